"""The schedule of fewest launches, counted by dispatch: every framework call of a forward and a backward pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import spacec
from spacec.lower.bench.counting import count_calls
from spacec.lower.supernet import Supernet
from spacec.testing.inputs import example_inputs


def calls(net: Supernet, space: spacec.Space) -> tuple[int, int]:
    """Convolutions and matrix products, and all calls, of a step with soft masks."""
    mask = {s: torch.full((slot.size,), 0.1, requires_grad=True) for s, slot in net.blueprint.slots.items()}
    inputs = {name: x.float() for name, x in example_inputs(space).items()}
    found = count_calls(lambda: net(**inputs, mask=mask).prediction.square().sum())
    return sum(c.products for c in found), sum(c.all for c in found)


@pytest.mark.parametrize(
    ("name", "sizes", "products", "everything"),
    [
        ("darts", {"size": [8, 8]}, 0.25, 1 / 3),
        ("nas_bench_201", {"size": [8, 8]}, 0.55, 0.5),
        ("clearer", {}, 1.0, 1.06),
    ],
)
def test_few_large_calls(name: str, sizes: dict[str, Any], products: float, everything: float) -> None:
    """Shares of the plain form's; the spaces are in their default size, but for the images."""
    space = spacec.load(f"grammars/{name}.space", **sizes)
    plain = calls(space.supernet(0), space)
    few = calls(space.supernet(0, optimise="launches"), space)
    assert few[0] <= products * plain[0]
    assert few[1] <= everything * plain[1]
