"""Example inputs for any space: what its input types ask for, at small sizes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch

from spacec.facade import Space
from spacec.ir.dims import Symbol, symbols
from spacec.ir.sizes import evaluate
from spacec.lower.examples import example_tensor


def example_inputs(
    space: Space, batch: int = 4, seed: int = 0, sizes: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Random inputs by name, each ``[batch, C, *space]`` of the default dtype; tokens are integers ``[batch, *space]``,
    graphs a :class:`spacec.lower.modules_graph.Graph` of ``batch`` rings of four nodes.

    Free sizes that ``sizes`` leaves out take the smallest value up to 8 at which every precondition holds.
    """
    values = smallest_sizes(space, sizes or {})
    generator = torch.Generator().manual_seed(seed)
    return {name: example_tensor(kind, batch, values, generator) for name, kind in space.inputs.items()}


def smallest_sizes(space: Space, given: Mapping[str, int]) -> dict[str, int]:
    """A value for each free size of the inputs; ``ValueError`` where none up to 8 meets the preconditions."""
    free: set[str] = {s.name for kind in space.inputs.values() for d in kind.dims for s in symbols(d)}
    unset = sorted(free - given.keys())
    for trial in itertools.product(range(1, 9), repeat=len(unset)):
        values = {**given, **dict(zip(unset, trial, strict=True))}

        def value(symbol: Symbol, values: Mapping[str, int] = values) -> int:
            return values.get(symbol.name, max(symbol.domain or (1,)))

        if all(evaluate(p.dim, value) % p.divisor == 0 for p in space.preconditions):
            return values
    raise ValueError(f"no sizes up to 8 of {', '.join(unset)} meet what the space asks of its inputs")
