"""``space.where(text)``: further constraints read as if they stood in the text of the space."""

from __future__ import annotations

import pytest

import spacec
from spacec.diagnostics.model import SpacecError
from tests.cli.running import ROOT

SPACE = """\
space s(C = 4, limit = 400, classes = 10)
input  image:  [3, 8, 8]
output logits: [classes]
let k1 = {3, 5}
let k2 = {3, 5, 7}
net = conv(k1, C) >> (conv(k2) | skip) >> conv(3) * {1..3} >> global_pool >> linear(classes)
"""
CONDITIONS = (
    "params <= 1000",
    "params <= 2 * limit",
    "params > C * 200",
    "k1 <= k2",
    "k1 in [3] or depth >= 2",
    "not (k1 < k2)",
    "params(C = 2) <= 600, k1 == 3",
    "params <= 1000,  # the first\n  depth <= 2",
)


@pytest.mark.parametrize("text", CONDITIONS)
@pytest.mark.parametrize("given", [{}, {"C": 6, "limit": 500}], ids=str)
def test_it_is_the_space_whose_text_says_so(text: str, given: dict[str, int]) -> None:
    space = spacec.loads(SPACE, **given)
    written = spacec.loads(f"{SPACE}where {text}\n", **given)
    narrowed = space.where(text)
    assert narrowed.digest == written.digest == space.digest
    assert narrowed.table == written.table
    assert [a.text() for a in narrowed.enumerate()] == [a.text() for a in written.enumerate()]
    assert narrowed.count() == space.count(where=text) == written.count() < space.count()
    assert narrowed.count(where=False) == space.count()


def test_they_add_up_in_any_order() -> None:
    space = spacec.loads(f"{SPACE}where depth <= 2\n")
    first, second = "params <= 900", "k1 <= k2"
    together = space.where(f"{first}, {second}")
    assert 0 < together.count() < space.where(first).count()
    for narrowed in (space.where(first).where(second), space.where(second).where(first)):
        assert {a.text() for a in narrowed.enumerate()} == {a.text() for a in together.enumerate()}
    assert [s.text for s in space.where(first).where(second).narrowed_by] == [first, second]
    assert space.narrowed_by == ()


def test_what_is_drawn_and_varied_satisfies_it() -> None:
    space = spacec.load("grammars/darts.space").where("macs <= 40M")
    drawn = space.sample(5, seed=1)
    for arch in (*drawn, space.mutate(drawn[0], 3), space.crossover(*drawn[:2], 4)):
        assert space.macs(arch) <= 40_000_000
    assert space.architecture("random:1").text() == drawn[0].text()


@pytest.mark.parametrize(
    ("text", "code", "shown"),
    [
        ("params <= 1K, parms <= 2K", "E0505", "parms"),
        ("params <= 20k", "E0107", "20k"),
        ("params <= 1K and k9 < 3", "E0505", "k9"),
        ("params(D = 3) <= 1K", "E0501", "D = 3"),
        ("k1", "E0505", "k1"),
    ],
)
def test_findings_point_into_the_given_text(text: str, code: str, shown: str) -> None:
    with pytest.raises(SpacecError) as error:
        spacec.loads(SPACE).where(text, name="--where")
    (found,) = error.value.diagnostics
    assert found.span is not None
    assert (found.code, found.span.source.name, found.span.text) == (code, "--where", shown)


@pytest.mark.parametrize("text", ["", "  ", "params <=", "net = conv(3)", "params <= 2K\nlet a = 3", "space t", "(k1"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(SpacecError) as error:
        spacec.loads(SPACE).where(text)
    assert {d.code[:3] for d in error.value.diagnostics} == {"E01"}


def test_the_word_itself_may_stand_there() -> None:
    space = spacec.loads(SPACE)
    assert space.where("where k1 < k2").table == space.where("k1 < k2").table


def test_every_shipped_space_can_be_narrowed() -> None:
    for path in sorted((ROOT / "grammars").glob("n*.space")):
        space = spacec.load(path)
        assert space.where("params >= 1").digest == space.digest
