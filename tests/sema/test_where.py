"""``where`` as written: each kind of constraint against a reading of it in Python, over every architecture."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.space import algebra
from spacec.space.cost import cost
from spacec.space.decisions import DecisionTable
from spacec.space.feasible import count_within, infeasible
from spacec.space.sample import sample
from spacec.space.validate import findings, validate
from tests.sema.compile import codes, table_of

SPACE = """\
space s(C = 4, layers = 2, limit = 2K, wide = 0, classes = 10)
input  image:  [3, 8, 8]
output logits: [classes]
let k1    = {3, 5}
let k2    = {3, 5, 7}
let rate  = {0.5, 0.75}
let op    = conv3: conv(3) | conv1: conv(1) | skip
let cell  = (op | conv(3) | skip) * 2
def drops = dropout(rate) | relu
net = conv(k1, C) >> conv(k2) >> op >> cell >> conv(3) * {1..3} >> drops >> global_pool >> linear(classes)
"""


def table(where: str, text: str = SPACE, **given: object) -> DecisionTable:
    return table_of(f"{text}where {where}\n", **given)


class Reading:
    """One architecture by the names of the text."""

    def __init__(self, table: DecisionTable, chosen: Any) -> None:
        self.table, self.chosen = table, chosen

    def __getattr__(self, name: str) -> Any:
        """The value of a let; ``None`` where it is inactive."""
        d = self.table.by_id[name]
        if name not in self.chosen:
            return None
        index = self.chosen[name]
        return d.values[index] if d.values else d.labels[index]

    @property
    def depth(self) -> int:
        return int(self.table.by_id["net.depth[0]"].labels[self.chosen["net.depth[0]"]])

    def count(self, label: str, owner: str = "") -> int:
        own = [d for d in self.table.decisions if d.owner == owner or not owner]
        return sum(d.id in self.chosen and d.labels[self.chosen[d.id]] == label for d in own)


WHERE: dict[str, Callable[[Reading], bool]] = {
    "k1 <= k2": lambda a: a.k1 <= a.k2,
    "not (k1 <= k2)": lambda a: a.k1 > a.k2,
    "k1 + 2 == k2": lambda a: a.k1 + 2 == a.k2,
    "3 < k2 <= 5": lambda a: a.k2 == 5,
    "not 3 < k2 <= 5": lambda a: a.k2 != 5,
    "k1 == 3 and k2 == 7": lambda a: (a.k1, a.k2) == (3, 7),
    "k1 == 3 or k2 == 7": lambda a: a.k1 == 3 or a.k2 == 7,
    "not (k1 == 3 or k2 == 7)": lambda a: a.k1 == 5 and a.k2 != 7,
    "k1 != 3 or k2 == 7, k2 != 3": lambda a: (a.k1 != 3 or a.k2 == 7) and a.k2 != 3,
    "k2 in [3, 7]": lambda a: a.k2 != 5,
    "k2 not in [3, 7]": lambda a: a.k2 == 5,
    "2 * k1 - k2 >= -1": lambda a: 2 * a.k1 - a.k2 >= -1,
    "k1 * k2 < 21": lambda a: a.k1 * a.k2 < 21,
    "0.5 * k1 <= 1.5": lambda a: a.k1 <= 3,
    "rate <= 0.5": lambda a: a.rate is None or a.rate <= 0.5,
    "rate <= 0.5 or k1 == 3": lambda a: a.rate is None or a.rate <= 0.5 or a.k1 == 3,
    "not (rate <= 0.5)": lambda a: a.rate is None or a.rate > 0.5,
    'op == "skip"': lambda a: a.op == "skip",
    'op != "skip" or k1 == 3': lambda a: a.op != "skip" or a.k1 == 3,
    'op in ["skip", "conv1"], k1 > 3': lambda a: a.op in ("skip", "conv1") and a.k1 > 3,
    'op not in ["skip", "conv1"]': lambda a: a.op == "conv3",
    'not (op == "skip" and k1 == 3)': lambda a: a.op != "skip" or a.k1 != 3,
    'count(cell, "skip") <= 1': lambda a: a.count("skip", "cell") <= 1,
    'count("skip") == 2': lambda a: a.count("skip") == 2,
    "depth <= 2": lambda a: a.depth <= 2,
    "2 * depth + k1 <= 7": lambda a: 2 * a.depth + a.k1 <= 7,
    "wide or k1 == 3": lambda a: a.k1 == 3,
    "not wide or k1 == 3": lambda a: True,
    "wide and k1 == 3": lambda a: False,
}


JOINED = sorted(w for w in WHERE if "rate" not in w and ", k" not in w)


@pytest.mark.parametrize("given", [{}, {"C": 8}])
def test_what_networks_make_can_be_limited(given: dict[str, int]) -> None:
    """``activations(C = 8)`` is that of the form with C = 8, whichever is loaded."""
    limited = table("activations(C = 8) <= 4K, nodes <= 9", **given)
    wide = table("nodes <= 99", C=8)
    free = list(algebra.enumerate_architectures(wide, where=False))
    expected = [a for a in free if cost(wide, a, "activations") <= 4_000 and cost(wide, a, "nodes") <= 9]
    assert 0 < algebra.count(limited) == len(expected) < len(free)
    assert {a.choices for a in algebra.enumerate_architectures(limited)} == {a.choices for a in expected}


@pytest.mark.parametrize("where", WHERE)
def test_a_constraint_means_what_it_says(where: str) -> None:
    limited = table(where)
    free = list(algebra.enumerate_architectures(limited, where=False))
    expected = [a for a in free if WHERE[where](Reading(limited, a.values))]
    assert {a.choices for a in algebra.enumerate_architectures(limited)} == {a.choices for a in expected}
    assert algebra.count(limited) == len(expected)
    valid = {a.choices for a in expected}
    assert all((not findings(limited, a.values)) == (a.choices in valid) for a in free)
    if expected:
        assert {a.choices for a in sample(limited, 20, seed=1)} <= valid
    else:
        found = infeasible(limited)
        assert found is not None
        assert found.code == "W0511"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(JOINED), min_size=2, max_size=3), st.sampled_from(["and", "or"]), st.booleans())
def test_constraints_join(parts: list[str], word: str, negated: bool) -> None:
    """*not* is the plain one, since no decision in these is ever inactive."""
    joined = f" {word} ".join(f"({p})" for p in parts)
    limited = table(f"not ({joined})" if negated else joined)
    verdict = all if word == "and" else any
    free = [Reading(limited, a.values) for a in algebra.enumerate_architectures(limited, where=False)]
    assert algebra.count(limited) == sum(verdict(WHERE[p](a) for p in parts) != negated for a in free)


def test_texts_compare_with_each_other() -> None:
    text = """\
space s
input  x: [3, 8, 8]
output y: [4, 8, 8]
let a = {"same", 1}
let b = {1, "same"}
net = conv(3, 4, pad = a) >> conv(3, pad = b)
"""
    assert algebra.count(table("a == b", text)) == 2
    assert algebra.count(table("a != b", text)) == 2
    assert algebra.count(table('a == "same"', text)) == 2
    assert algebra.count(table("a == 1", text)) == 2
    assert algebra.count(table('a == "same" or b == "same"', text)) == 3
    assert algebra.count(table('a in ["same"], not (b == "same")', text)) == 1


def test_limits_may_be_parameters() -> None:
    assert algebra.count(table("params <= limit")) == algebra.count(table("params <= 2000"))
    assert algebra.count(table("params <= limit", limit=1000)) == algebra.count(table("params <= 1K"))
    assert algebra.count(table("params <= 1.5K")) == algebra.count(table("params <= 1500"))


def test_a_let_that_this_form_leaves_out_is_inactive() -> None:
    text = """\
space s(deep = 0)
input  x: [3, 8, 8]
output y: [4, 8, 8]
let k = {3, 5}
let j = {3, 5}
net = dag(x) {
  a = x >> conv(k, 4)
  if deep { a = a >> conv(j) }
  return a
}
where k < j
"""
    assert algebra.count(table_of(text)) == 2
    assert algebra.count(table_of(text, deep=1)) == 1


# ------------------------------------------------------------------ other forms


def test_a_cost_may_be_measured_in_another_form() -> None:
    small, large = table("params(C = 4) <= 1500"), table("params(C = 4) <= 1500", C=16)
    named = {a.choices for a in algebra.enumerate_architectures(small)}
    assert named == {a.choices for a in algebra.enumerate_architectures(large)}
    assert 0 < len(named) < algebra.count(small, where=False)
    arch = next(algebra.enumerate_architectures(large))
    assert cost(large, arch, "params(C = 4)") == cost(small, arch, "params") < cost(large, arch, "params")
    plain = {a.choices for a in algebra.enumerate_architectures(table("params <= 1500"))}
    assert plain == named


def test_parameters_that_a_cost_does_not_name_have_their_defaults() -> None:
    text = SPACE.replace("space s(C = 4", "space s(needed, C = 4") + "where params(C = 2) <= 400\n"
    a, b = (spacec.loads(text, needed=1, classes=classes).count() for classes in (10, 500))
    assert a == b > 0


def test_macs_at_a_size() -> None:
    text = "space s(C = 8)\ninput  x: [3, 2*H, W]\noutput y: [C, 2*H, W]\nnet = conv(3, C) >> (conv(3) | conv(1))\n"
    limited = table("macs(H = 4, W = 8) <= 20K", text)
    assert [a.text() for a in algebra.enumerate_architectures(limited)] == [f"{limited.digest}:net=conv-1"]
    arch = next(algebra.enumerate_architectures(limited))
    assert cost(limited, arch, "macs(H = 4, W = 8)") == cost(limited, arch, "macs", {"H": 4, "W": 8}) == 64 * (216 + 64)
    assert algebra.count(table("macs(C = 2, H = 4, W = 8) <= 64 * (54 + 4)", text)) == 1


def test_a_size_that_the_network_does_not_take() -> None:
    text = "space s\ninput  x: [8, H, W]\noutput y: [8, H/2, W/2]\n"
    text += "net = factorized_reduce -> [8, H/2, W/2] >> (relu | skip)\n"
    assert codes(f"{text}where macs(H = 4, W = 4) <= 1K\n") == []
    assert codes(f"{text}where macs(H = 5, W = 4) <= 1K\n") == ["E0512"]


# -------------------------------------------------------------------- latencies


def latencies(folder: Path, rows: str) -> None:
    (folder / "t.csv").write_text(f"op,input,attributes,ms\n{rows}\n", encoding="utf-8")


def test_latency_is_the_sum_over_the_ops_that_run(tmp_path: Path) -> None:
    text = (
        "space s\ninput  x: [3, 8, 8]\noutput y: [10]\nlet w = elastic {4, 6}\n"
        "net = conv(3, w) >> (conv(3, w) | conv(1, w) | skip) >> conv(3, w) * {1, 2} >> global_pool >> linear(10)\n"
    )
    latencies(
        tmp_path,
        "conv,*,kernel=3,1.5\nconv,*,kernel=1,0.25\nconv,6x8x8,,0\nconv,6x8x8,kernel=3,2\nconv,6x8x8,kernel=1,.5\n*,*,,0.001",
    )
    with chdir(tmp_path):
        limited = table('latency("t.csv") <= 5.253ms', text)
        found = list(algebra.enumerate_architectures(limited, where=False))
    name = 'latency("t.csv")'
    assert len(found) == 12
    valid = 0
    for arch in found:
        a = Reading(limited, arch.values)
        each = {4: (1.5, 0.25), 6: (2.0, 0.5)}[a.w]
        own = {"conv(3, w)": each[0], "conv(1, w)": each[1], "skip": 0.001}[a.__getattr__("net.choice[0]")]
        expected = 1.5 + own + a.depth * each[0] + 0.002
        assert cost(limited, arch, name) == pytest.approx(expected, abs=1e-12)
        valid += round(expected, 9) <= 5.253
        assert (not findings(limited, arch.values)) == (round(expected, 9) <= 5.253)
    assert algebra.count(limited) == valid
    assert 0 < valid < 12


def test_latency_of_another_form_and_size(tmp_path: Path) -> None:
    text = "space s(C = 8)\ninput  x: [3, H, W]\noutput y: [C, H, W]\nnet = conv(3, C) >> (conv(3) | conv(1))\n"
    latencies(tmp_path, "conv,3x4x4,out=2,1\nconv,2x4x4,kernel=1,2\nconv,2x4x4,kernel=3,4")
    with chdir(tmp_path):
        assert algebra.count(table('latency("t.csv", C = 2, H = 4, W = 4) <= 4', text)) == 1
        assert codes(f'{text}where latency("t.csv", C = 2) <= 4\n') == ["E0512"]
        assert codes(f'{text}where latency("t.csv", H = 4, W = 4) <= 4\n') == ["E0532", "E0532"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("# nothing\n\n", "is empty"),
        ("op,shape,ms\n", "no column `input`"),
        ("op,input,ms,notes\n", "the column `notes`"),
        ("op,input,ms\nconv,*,-1\n", "`-1` is no number"),
        ("op,input,ms\nconv,*,nan\n", "`nan` is no number"),
        ("op,input,ms\n,*,1\n", "names no op"),
        ("op,input,attributes,ms\nconv,*,k=3 k=4,1\n", "named twice"),
    ],
)
def test_a_malformed_table_is_shown_by_line(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    with chdir(tmp_path), pytest.raises(SpacecError, match=words) as caught:
        table('latency("t.csv") <= 1ms')
    assert {d.code for d in caught.value.diagnostics} == {"E0531"}


# ---------------------------------------------------------------------- bounds


def test_a_look_is_bounded() -> None:
    limited = table("params <= 2K")
    assert count_within(limited) == algebra.count(limited)
    assert count_within(limited, limit=5) is None


def test_an_invalid_architecture_is_told_with_its_numbers() -> None:
    limited = table('k1 != 3 or count("skip") >= 9')
    arch = next(a for a in algebra.enumerate_architectures(limited, where=False) if Reading(limited, a.values).k1 == 3)
    with pytest.raises(SpacecError) as caught:
        validate(limited, arch)
    found = caught.value.diagnostics[0]
    assert found.headline == 'this architecture violates `k1 != 3 or count("skip") >= 9`'
    assert found.notes == ("`k1 != 3`: 3 != 3", '`count("skip") >= 9`: 0 >= 9')
