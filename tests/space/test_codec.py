"""Architectures as text and JSON, and what a wrong one gets."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacec.diagnostics.codes import codes
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.space import algebra, codec
from spacec.space.adapt import adapt
from spacec.space.architecture import architecture_of, slug
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.sample import sample
from spacec.space.validate import findings, validate
from tests.space.tables import brute_force, darts, nas_bench_201, tables, tabular

CELL = "0+1,max3,sep5,0+2,skip,skip,0+1,dil3,dil5,1+4,avg3,max3"
TEXT = f"9c41e07a:normal={CELL}:reduce={CELL}"


def refused(read: Callable[[], object]) -> Diagnostic:
    with pytest.raises(SpacecError) as caught:
        read()
    first = caught.value.diagnostics[0]
    assert first.code in codes()
    assert first.headline in str(caught.value)
    return first


@settings(max_examples=300, deadline=None)
@given(tables(constrained=False))
def test_decoding_inverts_encoding(table: DecisionTable) -> None:
    texts = set()
    for arch in algebra.enumerate_architectures(table):
        text = str(arch)
        assert re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]+", text)
        assert codec.read_architecture(table, text) == arch
        assert codec.read_architecture(table, codec.to_json(arch)) == arch
        assert adapt(table, arch) == arch
        assert pickle.loads(pickle.dumps(arch)) == arch
        validate(table, arch)
        texts.add(text)
    assert len(texts) == algebra.count(table)


@settings(max_examples=300, deadline=None)
@given(tables(), st.data())
def test_validation_is_brute_force(table: DecisionTable, data: st.DataObject) -> None:
    values = st.one_of(st.integers(-1, 3), st.lists(st.integers(-1, 3), max_size=3).map(tuple))
    chosen = data.draw(st.dictionaries(st.sampled_from([d.id for d in table.decisions]), values))
    assert (not findings(table, chosen)) == (chosen in brute_force(table))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='9c41e07a:=,+-normaledu0123 \n{}[]"é', max_size=60))
def test_no_text_is_a_traceback(text: str) -> None:
    for given_text in (text, f"9c41e07a:{text}", f"9c41e07a:normal={text}", f"{{{text}"):
        with suppress(SpacecError):
            codec.read_architecture(darts(), given_text)


def test_the_text_form_reads_as_documented() -> None:
    table = darts()
    arch = codec.from_text(table, TEXT)
    assert str(arch) == TEXT
    assert arch["normal.pick[0]"] == (0, 1)
    assert arch["normal.pick[0].edge[1]"] == 4
    assert "normal.pick[3].edge[0]" not in arch
    assert arch.get("normal.pick[3].edge[0]") is None
    assert codec.from_text(table, TEXT.replace("sep5", "4")) == arch
    assert codec.from_text(table, TEXT.replace("sep5", "4")).text() == TEXT


def test_numbers_name_candidates_before_they_are_indices() -> None:
    table = tabular()
    assert codec.from_text(table, "07ab07ab:net=32,144,24").choices[0] == ("net.linear[0].out", 3)
    assert refused(lambda: codec.from_text(table, "07ab07ab:net=0,144,24")).code == "E0604"


def test_candidates_without_distinct_slugs_are_written_as_indices() -> None:
    decision = Decision("net.op", "net", "op", ("conv(3) >> bn", "conv(3) + bn"))
    table = DecisionTable("s", "00000001", (decision,))
    assert [str(a) for a in algebra.enumerate_architectures(table)] == ["00000001:net=0", "00000001:net=1"]
    assert slug("walk[1, 2]") == "walk@1.2"
    assert slug("relu >> conv(1) >> bn") == "relu-conv-1-bn"


def test_json_spells_the_ids_out_and_accepts_indices_and_labels() -> None:
    table = nas_bench_201()
    data = json.loads(codec.to_json(sample(table)[0]))
    assert data["space"] == "nas_bench_201"
    assert list(data["decisions"]) == [d.id for d in table.decisions]
    data["decisions"] = {name: k for k, name in enumerate(("cell.edge[0]", "cell.edge[1]"))} | {
        f"cell.edge[{i}]": "conv3" for i in range(2, 6)
    }
    assert str(codec.read_architecture(table, data)) == "00000201:cell=none,skip,conv3,conv3,conv3,conv3"


def test_files_and_seeds(tmp_path: Path) -> None:
    table = darts()
    arch = codec.read_architecture(table, "random:3")
    assert arch == sample(table, 1, 3)[0]
    file = tmp_path / "found.json"
    file.write_text(codec.to_json(arch), encoding="utf-8")
    assert codec.read_architecture(table, str(file)) == arch == codec.read_architecture(table, file)
    assert refused(lambda: codec.read_architecture(table, "random:x")).code == "E0601"
    assert "missing.json" in refused(lambda: codec.read_architecture(table, "missing.json")).headline
    assert refused(lambda: codec.read_architecture(table, str(tmp_path))).code == "E0601"
    file.write_bytes(b"\xff\xfe")
    assert refused(lambda: codec.read_architecture(table, file)).code == "E0601"


@pytest.mark.parametrize(
    ("text", "code", "under"),
    [
        ("", "E0601", None),
        ("normal=0+1", "E0601", "normal=0+1"),
        (TEXT.replace(":normal=", ":normal:"), "E0601", "normal"),
        (TEXT + ":normal=1", "E0601", "normal"),
        (TEXT.replace("9c41e07a", "9c41e07b"), "E0602", "9c41e07b"),
        (TEXT.replace(":normal=", ":nromal="), "E0603", "nromal"),
        (TEXT.replace("sep5", "spe5", 1), "E0604", "spe5"),
        (TEXT.replace("sep5", "7", 1), "E0604", "7"),
        (TEXT.replace("0+1", "0+0", 1), "E0604", "0+0"),
        (TEXT.replace("0+1", "0+1+2", 1), "E0604", "0+1+2"),
        (TEXT.replace("0+1", "-", 1), "E0604", "-"),
        (TEXT.removesuffix(",max3"), "E0605", ""),
        (TEXT + ",skip", "E0605", "skip"),
    ],
)
def test_a_wrong_text(text: str, code: str, under: str | None) -> None:
    found = refused(lambda: codec.read_architecture(darts(), text))
    assert found.code == code
    assert (found.span.text if found.span else None) == under


def test_misspelt_names_get_a_suggestion() -> None:
    assert "'sep5'" in refused(lambda: codec.from_text(darts(), TEXT.replace("sep5", "spe5", 1))).help
    assert "'normal'" in refused(lambda: codec.from_text(darts(), TEXT.replace("normal", "nromal"))).help
    data = json.loads(codec.to_json(codec.from_text(darts(), TEXT)))
    data["decisions"]["normal.pik[0]"] = data["decisions"].pop("normal.pick[0]")
    found = refused(lambda: codec.read_architecture(darts(), data))
    assert (found.code, found.help) == ("E0603", "did you mean 'normal.pick[0]'?")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"format": "other"}, "E0601"),
        ({"version": 2}, "E0601"),
        ({"decisions": []}, "E0601"),
        ({"decisions": {"normal.pick[0]": 1.5}}, "E0601"),
        ({"decisions": {"normal.pick[0]": [True]}}, "E0601"),
        ({"decisions": {"normal.pick[0]": [0, 5]}}, "E0604"),
        ({"decisions": {"normal.pick[0]": [0, 1]}}, "E0605"),
        ({"decisions": {"normal.pick[0].edge[0]": True}}, "E0601"),
        ({"digest": "00000000", "owners": {}}, "E0602"),
    ],
)
def test_wrong_json(change: dict[str, object], code: str) -> None:
    data = json.loads(codec.to_json(codec.from_text(darts(), TEXT))) | change
    assert refused(lambda: codec.read_architecture(darts(), data)).code == code


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "{" + '"a":' * 3, '{"version": ' + "9" * 5_000 + "}"])
def test_what_is_no_json(text: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(text, encoding="utf-8")
    assert refused(lambda: codec.read_architecture(darts(), file)).code == "E0601"


def test_json_findings_point_into_the_text() -> None:
    text = codec.to_json(codec.from_text(darts(), TEXT)).replace('"sep5"', '"sep9"', 1)
    found = refused(lambda: codec.from_json(darts(), text))
    assert found.code == "E0604"
    assert found.span is not None
    assert found.span.text == '"normal.pick[0].edge[1]"'


def test_an_inactive_decision_with_a_value() -> None:
    data = json.loads(codec.to_json(codec.from_text(darts(), TEXT)))
    data["decisions"]["normal.pick[3].edge[0]"] = "skip"
    found = refused(lambda: codec.read_architecture(darts(), data))
    assert (found.code, "inactive" in found.headline) == ("E0605", True)


def test_identity_ignores_the_form() -> None:
    """Language rule 3: same digest, or same digests of all owners that the form uses."""
    both_cells, arch = darts(), codec.from_text(darts(), TEXT)
    other_form = replace(both_cells, space="darts", slots=())
    assert adapt(other_form, arch) == arch
    normal_only = replace(darts(("normal",)), digest="11111111")
    part = adapt(normal_only, arch)
    assert str(part) == TEXT.split(":reduce")[0].replace("9c41e07a", "11111111")
    assert codec.from_json(normal_only, codec.to_json(arch)) == part
    assert refused(lambda: codec.from_text(normal_only, TEXT)).code == "E0602"
    found = refused(lambda: adapt(both_cells, part))
    assert (found.code, found.notes) == ("E0602", ("they differ in reduce.pick[0]",))


def test_another_space_is_named_with_what_differs() -> None:
    arch = codec.from_text(darts(), TEXT)
    found = refused(lambda: adapt(nas_bench_201(), arch))
    assert found.headline == "this architecture belongs to darts (9c41e07a); nas_bench_201 is 00000201"
    assert found.notes == (
        "they differ in normal.pick[0], normal.pick[0].edge[0], normal.pick[0].edge[1], normal.pick[1], "
        "normal.pick[1].edge[0] and 20 more",
    )
    changed = replace(darts(), digest="22222222", owner_digests={"normal": "x", "reduce": "00000002"})
    assert refused(lambda: adapt(changed, arch)).notes == ("they differ in normal",)
    assert refused(lambda: codec.from_json(changed, codec.to_json(arch))).notes == ("they differ in normal",)


def test_constraints_belong_to_the_form() -> None:
    table = tabular()
    large = codec.from_text(table, "07ab07ab:net=512,512,512")
    assert adapt(table, large) == large
    found = refused(lambda: validate(table, large))
    assert found.code == "E0606"
    assert "1,052,161 <= 41,153" in found.headline
    validate(table, large, where=False)
    exact = codec.from_text(table, "07ab07ab:net=32,144,24")
    validate(table, exact)


def test_architectures_are_values() -> None:
    a, b = codec.from_text(darts(), TEXT), codec.from_text(replace(darts(), space="renamed"), TEXT)
    assert a == b
    assert hash(a) == hash(b)
    assert len({a, b}) == 1
    assert list(a) == [d for d, _ in a.choices]
    empty = architecture_of(DecisionTable("fixed", "00000000", ()), {})
    assert str(empty) == "00000000"
    assert codec.read_architecture(DecisionTable("fixed", "00000000", ()), "00000000") == empty
    assert len(brute_force(DecisionTable("fixed", "00000000", ()))) == 1
