"""Costs that a user's Python function tells op by op."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.space.extremes import extremes
from tests.grammars.record import GRAMMARS, NAMES

SMALL = """\
space small(C = 4)
input  x: [3, 8, 8]
output y: [10]
net = conv(3, C) >> conv({1, 3}) >> conv(1, elastic {2, 6}) >> global_pool >> linear(10)
"""


def slow(op: str, attributes: Mapping[str, Any], shapes: tuple[tuple[int, ...], ...]) -> float:
    """A tenth of a millisecond for each channel that a convolution of 3 reads, a hundredth for each of 1."""
    if op != "conv":
        return 0
    return shapes[0][0] * (0.1 if attributes["kernel"] == 3 else 0.01)


def one(op: str, attributes: Mapping[str, Any], shapes: tuple[tuple[int, ...], ...]) -> int:
    return int(op != "identity")


def weights(op: str, attributes: Mapping[str, Any], shapes: tuple[tuple[int, ...], ...]) -> int:
    return attributes["out"] * shapes[0][0] * attributes["kernel"] ** 2 if op == "conv" else 0


def test_a_function_is_a_cost_like_others() -> None:
    space = spacec.loads(SMALL).with_cost("ms", slow)
    costs = [space.cost(a, "ms") for a in space.enumerate()]
    assert costs == pytest.approx([0.3 + 0.04 + 0.04] * 2 + [0.3 + 0.4 + 0.04] * 2)
    assert [space.latency(a, slow) for a in space.enumerate()] == costs
    assert space.costs(space.enumerate(), "ms").tolist() == costs
    assert space.cost(space.extreme("ms"), "ms") == min(costs)
    assert space.where("ms <= 0.39").count() == 2
    assert spacec.loads(SMALL + "where ms < 0.5\n", costs={"ms": slow}).count() == 2
    assert space.expected_cost({}, "ms") == pytest.approx(sum(costs) / 4)
    assert spacec.loads(SMALL).digest == space.digest


def test_sizes_and_forms() -> None:
    text = SMALL.replace("[3, 8, 8]", "[3, H, W]")
    area = lambda op, attributes, shapes: shapes[0][1] * shapes[0][2] if op == "conv" else 0  # noqa: E731  # a user's way
    space = spacec.loads(text).with_cost("area", area, H=4, W=5)
    arch = space.sample()[0]
    assert space.cost(arch, "area") == 3 * 20 == spacec.loads(text).latency(arch, area, H=4, W=5)
    assert space.where("area(H = 2, W = 2) <= 12").count() == 4
    assert space.where("area(H = 2, W = 2) < 12").count() == 0
    with pytest.raises(SpacecError, match="depends on the sizes H, W"):
        spacec.loads(text).with_cost("area", area).cost(arch, "area")
    wide = spacec.loads(SMALL, C=8).with_cost("w", weights)
    assert wide.where("w(C = 4) <= 100").count() == 0


@pytest.mark.parametrize("name", NAMES)
def test_counting_ops_by_a_function_is_counting_nodes(name: str) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    sizes = {"H": 8, "W": 8, "T": 64}
    for arch in space.sample(3, seed=4):
        assert space.latency(arch, one, **sizes) == space.cost(arch, "nodes")
    costed = space.with_cost("ones", one, **sizes)
    if name in ("nas_bench_101", "nas_bench_graph", "enas_macro", "amber"):  # sizes follow what is picked
        with pytest.raises(SpacecError, match="E0534"):
            extremes(costed.table, "ones")
        return
    assert extremes(costed.table, "ones") == extremes(space.table, "nodes")


def test_a_function_is_asked_once_for_each_application() -> None:
    asked: Counter[object] = Counter()

    def note(op: str, attributes: Mapping[str, Any], shapes: tuple[tuple[int, ...], ...]) -> int:
        asked[op, tuple(attributes.items()), shapes] += 1
        return 1

    space = spacec.load(GRAMMARS / "nas_bench_201.space").with_cost("n", note)
    assert space.cost(space.sample()[0], "n") > 0
    assert max(asked.values()) == 1


@pytest.mark.parametrize("wrong", [None, float("nan"), float("inf"), "fast"])
def test_what_is_no_number(wrong: object) -> None:
    space = spacec.loads(SMALL).with_cost("odd", lambda *_: wrong)  # type: ignore[arg-type, return-value]  # a mistake
    with pytest.raises(SpacecError, match="not a finite number") as caught:
        space.cost(space.sample()[0], "odd")
    assert caught.value.diagnostics[0].code == "E0534"


@pytest.mark.parametrize("name", ["params", "latency", "depth", "a b", ""])
def test_names_that_are_taken(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a cost"):
        spacec.loads(SMALL).with_cost(name, one)
