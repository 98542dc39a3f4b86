"""Picks of numbers: what is there, what sizes follow from it, and what is proved about them."""

from __future__ import annotations

import itertools

import pytest

import spacec
from spacec.ir import cases
from tests.sema.compile import codes, front_end

HEAD = "space s(C = 4)\ninput  x: [4, 6, 6]\noutput y: [4, 6, 6]\n"


def subsets(least: int = 0) -> list[tuple[int, ...]]:
    """Of three elements, at least so many."""
    return [c for k in range(least, 4) for c in itertools.combinations(range(3), k)]


def widths(body: str, low_high: str = "any") -> dict[tuple[int, ...], int]:
    """Per subset of three, the channels of the first convolution, whose width is ``body``."""
    text = HEAD + f"net = dag(x) {{\n  e = pick {low_high} from v in 0..2: v\n"
    text += f"  return x >> conv(1, {body}) >> conv(1, 4)\n}}\n"
    space = spacec.loads(text)
    found = {}
    for arch in space.enumerate():
        subset = arch.values["net.pick[0]"]
        assert isinstance(subset, tuple)
        found[subset] = space.params(arch) // 8
    return found


def test_len_counts_what_is_there() -> None:
    assert widths("1 + len(e)") == {s: 1 + len(s) for s in subsets()}


def test_len_of_picked_tensors_counts_what_is_there() -> None:
    text = HEAD + "net = dag(x) {\n  s = pick any from [x, x >> relu]: identity\n"
    space = spacec.loads(
        text + "  return x >> conv(1, 1 + len(s)) >> conv(1, 4) >> dag(z) { return z + sum(x, s) }\n}\n"
    )
    assert {space.params(a) for a in space.enumerate()} == {8, 16, 24}


def test_membership_is_zero_or_one() -> None:
    found = widths("1 + 2*(1 in e) + (7 in e) + (1 not in e)")
    assert found == {s: 3 if 1 in s else 2 for s in found}


def test_sums_and_extremes_are_of_what_is_there() -> None:
    assert widths("1 + sum(e)") == {s: 1 + sum(s) for s in subsets()}
    assert widths("1 + max(0, e)") == {s: 1 + max(s, default=0) for s in subsets()}
    assert widths("1 + min(5, from v in e: v + 1)") == {s: 1 + min([5, *(v + 1 for v in s)]) for s in subsets()}
    assert widths("1 + max(e)", "1..3") == {s: 1 + max(s) for s in subsets(1)}


def test_slices_of_a_pick_keep_what_is_there() -> None:
    assert widths("1 + len(e[1..]) + 5*len(e[..0])") == {
        s: 1 + sum(v >= 1 for v in s) + 5 * (0 in s) for s in subsets()
    }


def test_quotients_and_remainders_are_exact() -> None:
    assert widths("7 // max(1, len(e))") == {s: 7 // max(1, len(s)) for s in subsets()}
    assert widths("1 + 7 % max(1, len(e))") == {s: 1 + 7 % max(1, len(s)) for s in subsets()}
    assert widths("12 / len(e)", "1..3") == {s: 12 // len(s) for s in subsets(1)}


def test_a_pick_of_what_is_picked_is_there_where_both_are() -> None:
    text = HEAD + "net = dag(x) {\n  e = pick any from v in 0..1: v\n  f = pick any from v in e: v\n"
    space = spacec.loads(text + "  return x >> conv(1, 1 + 2*len(f)) >> conv(1, 4)\n}\n")
    for arch in space.enumerate():
        e, f = arch.values["net.pick[0]"], arch.values["net.pick[1]"]
        assert isinstance(e, tuple)
        assert isinstance(f, tuple)
        assert space.params(arch) == 8 * (1 + 2 * len(set(e) & set(f)))


def test_presence_passes_through_definitions() -> None:
    text = HEAD + (
        "def wide(n) = conv(1, n) >> bn\ndef kept(picked) = dag(x) { return sum(x, from v in picked: x >> wide(4)) }\n"
        "let ends = pick any from v in 0..2: v\n"
        "net = dag(x) { return x >> kept(ends) >> wide(1 + len(ends)) >> kept2 }\n"
        "def kept2 = dag(x) { return x >> conv(1, 4) }\n"
    )
    space = spacec.loads(text)
    assert [d.id for d in space.decisions] == ["ends.pick[0]"]
    for arch in space.enumerate():
        n = len(arch.values["ends.pick[0]"])  # type: ignore[arg-type]  # a subset
        assert space.params(arch) == n * (16 + 8) + (1 + n) * 4 + 2 * (1 + n) + 4 * (1 + n)


def test_each_use_of_a_def_picks_for_itself() -> None:
    text = HEAD + (
        "def cell = dag(x) {\n  e = pick any from v in 0..1: v\n"
        "  return x >> conv(1, 1 + len(e)) >> bn >> conv(1, 4)\n}\nnet = cell * 2\n"
    )
    space = spacec.loads(text)
    assert space.count() == 16
    assert {space.params(a) for a in space.enumerate()} == {10 * (2 + n) for n in range(5)}


def test_the_type_of_packed_terms_is_a_number() -> None:
    assert codes(HEAD + "net = dag(x) { return concat(pick 2 from [x, x, x]: conv(1, 2)) }\n") == []
    found = front_end(HEAD + "net = dag(x) { return concat(pick 1..2 from [x, x, x]: conv(1, 2)) }\n")[0].diagnostics
    assert [d.code for d in found] == ["E0304"]


def test_a_loop_cannot_depend_on_what_is_picked() -> None:
    text = HEAD + "net = dag(x) {\n  e = pick any from v in 0..1: v\n  return x >> conv(1) * len(e)\n}\n"
    assert codes(text) == ["E0404"]


def test_too_many_cases_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEAD + (
        "net = dag(x) {\n  e = pick any from v in 0..9: v\n"
        "  return x >> conv(1, max(1, sum(from v in e: 2^v))) >> narrow(1) >> conv(1, 4)\n}\n"
    )
    assert codes(text) == []
    monkeypatch.setattr(cases, "MAX_NODES", 100)
    assert codes(text) == ["E0408"]


def test_a_narrow_of_a_free_size_cannot_be_proved() -> None:
    text = "space s\ninput  x: [D, H, W]\noutput y: [4, H, W]\nnet = narrow(4)\n"
    assert codes(text) == ["E0305"]


def test_a_supernet_reserves_what_some_architecture_uses() -> None:
    text = (
        HEAD + "net = dag(x) {\n  e = pick 1..2 from v in 0..3: v\n  return x >> conv(1, 5 * len(e)) >> conv(1, 4)\n}\n"
    )
    assert spacec.loads(text).supernet_params() == 2 * 10 * 4
