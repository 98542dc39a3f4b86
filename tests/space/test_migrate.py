"""Architectures carried over to an edited space: by id, then by label, and never by a guess."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.space.migrate import Edits, Migrated, edits_of, migrate
from spacec.testing.generate import random_space

HEAD = "space s(C = 4)\ninput x: [4, 8, 8]\noutput y: [10]\n"


def space(body: str) -> spacec.Space:
    return spacec.loads(HEAD + body + " >> global_pool >> linear(10)\n")


def carried(a: spacec.Space, b: spacec.Space, text: str, **given: dict[str, str]) -> Migrated:
    edits = edits_of(a.table, b.table, given.get("rename", {}), given.get("set", {}))
    return migrate(a.table, b.table, a.architecture(f"{a.digest}:{text}"), edits)


def values(found: Migrated) -> str:
    assert found.arch is not None, found.lost
    return found.arch.text().partition(":")[2]


THREE = space("def f = a: conv(3) | b: relu | c: bn\nnet = f * 2")


@given(st.integers(0, 400), st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_between_equal_spaces_it_is_the_identity(seed: int, draw: int) -> None:
    text = random_space(seed)
    one, two = spacec.loads(text), spacec.loads(text, classes=5)
    assert one.table.owner_digests == two.table.owner_digests
    for arch in one.sample(n=3, seed=draw):
        assert migrate(one.table, two.table, arch) == Migrated(arch)


def test_labels_keep_their_meaning_where_their_places_change() -> None:
    other = space("def f = c: bn | d: conv(5) | a: conv(3) | b: relu\nnet = f * 2")
    assert values(carried(THREE, other, "net=a,c")) == "net=a,c"


def test_a_candidate_that_is_gone_is_named() -> None:
    other = space("def f = a: conv(3) | c: bn\nnet = f * 2")
    found = carried(THREE, other, "net=a,b")
    assert found.arch is None
    assert found.lost == ("net.f[1]: 'b' is no candidate any more (a | c); say --rename 'b=NAME'",)
    assert values(carried(THREE, other, "net=a,b", rename={"b": "c"})) == "net=a,c"
    assert values(carried(THREE, other, "net=a,b", set={"net.f[1]": "a"})) == "net=a,a"


def test_a_new_decision_needs_a_value_unless_it_has_but_one() -> None:
    other = space("def f = a: conv(3) | b: relu | c: bn\nnet = f * 3")
    found = carried(THREE, other, "net=a,b")
    assert found.lost == ("net.f[2] is new and has a | b | c; say --set net.f[2]=VALUE",)
    assert values(carried(THREE, other, "net=a,b", set={"net.f[2]": "c"})) == "net=a,b,c"


def test_a_decision_that_is_gone_is_dropped_and_said() -> None:
    other = space("def f = a: conv(3) | b: relu | c: bn\nnet = f")
    found = carried(THREE, other, "net=a,b")
    assert values(found) == "net=a"
    assert found.dropped == ("net.f[1]=b (no such decision now)",)


def test_what_becomes_active_and_inactive() -> None:
    deep = space("def f = a: conv(3) | b: relu | c: bn\nnet = f * {1..3}")
    short = carried(THREE, deep, "net=a,b", set={"net.depth[0]": "1"})
    assert short.dropped == ("net.f[1]=b (inactive now)",)
    long = carried(THREE, deep, "net=a,b", set={"net.depth[0]": "3", "net.f[2]": "c"})
    assert values(long).count(",") == 3
    back = carried(deep, THREE, "net=1,a")
    assert back.lost == ("net.f[1] was inactive and is active now and has a | b | c; say --set net.f[1]=VALUE",)


def test_renamed_definitions_and_owners() -> None:
    other = space("def g = a: conv(3) | b: relu | c: bn\nnet = g * 2")
    assert carried(THREE, other, "net=a,b").arch is None
    renamed = carried(THREE, other, "net=a,b", rename={"net.f[0]": "net.g[0]", "net.f[1]": "net.g[1]"})
    assert values(renamed) == "net=a,b"
    one, two = (space(f"let {name} = a: conv(3) | b: relu\nnet = {name} * 2") for name in ("cell", "block"))
    assert values(carried(one, two, "cell=b", rename={"cell": "block"})) == "block=b"


def test_picks_are_carried_only_where_they_mean_the_same() -> None:
    def picking(count: str, *elements: str) -> spacec.Space:
        return space(f"net = dag(x) {{ return sum(pick {count} from [{', '.join(elements)}]: conv(3) | bn) }}")

    one = picking("1..2", "x", "x >> relu", "x >> bn")
    assert values(carried(one, picking("2", "x", "x >> relu", "x >> bn"), "net=0+2,bn,bn")) == "net=0+2,bn,bn"
    lost = carried(one, picking("1", "x", "x >> relu", "x >> bn"), "net=0+2,bn,bn").lost
    assert lost == ("net.pick[0]: 0+2 of 1 to 2 of 3 does not fit 1 of 3",)
    assert carried(one, picking("1..2", "x", "x >> relu"), "net=0,bn").arch is None


def test_violated_constraints_are_said() -> None:
    limited = spacec.loads(HEAD + "def f = a: conv(3) | b: relu | c: bn\nnet = f * 2 >> global_pool >> linear(10)\n"
                           "where params <= 100\n")  # fmt: skip
    found = carried(THREE, limited, "net=a,a")
    assert values(found) == "net=a,a"
    assert len(found.violated) == 1


@pytest.mark.parametrize(
    ("rename", "given", "code"),
    [
        ({"nothing": "a"}, {}, "E0603"),
        ({"a": "nothing"}, {}, "E0603"),
        ({"net.f[0]": "net.f[9]"}, {}, "E0603"),
        ({}, {"net.f[9]": "a"}, "E0603"),
        ({}, {"net.f[0]": "nothing"}, "E0604"),
    ],
)
def test_edits_that_name_nothing(rename: dict[str, str], given: dict[str, str], code: str) -> None:
    with pytest.raises(spacec.SpacecError) as caught:
        edits_of(THREE.table, THREE.table, rename, given)
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_no_edits() -> None:
    assert edits_of(THREE.table, THREE.table, {}, {}) == Edits()
