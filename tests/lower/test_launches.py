"""The schedule of fewest launches, counted by dispatch: every framework call of a forward and a backward pass."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import spacec
from spacec.lower.supernet import Supernet
from spacec.testing.inputs import example_inputs

PRODUCTS = ("convolution", "mm", "addmm", "bmm", "baddbmm")


class Calls(TorchDispatchMode):
    """Counts the calls that reach the dispatcher, by operator."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def calls(net: Supernet, space: spacec.Space) -> tuple[int, int]:
    """Convolutions and matrix products, and all calls, of a step with soft masks."""
    mask = {s: torch.full((slot.size,), 0.1, requires_grad=True) for s, slot in net.blueprint.slots.items()}
    inputs = {name: x.float() for name, x in example_inputs(space).items()}
    with Calls() as counted:
        net(**inputs, mask=mask).prediction.square().sum().backward()
    products = sum(n for name, n in counted.names.items() if name.removesuffix("_backward") in PRODUCTS)
    return products, sum(counted.names.values())


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
