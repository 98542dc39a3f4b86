"""``activations`` and ``nodes`` beside what networks of every shipped space really make, op by op."""

from __future__ import annotations

import re
from math import prod
from typing import Any

import pytest
import torch
from torch import nn

import spacec
from spacec.ir.conditions import holds
from spacec.ir.flat import FlatChoose, FlatOp
from spacec.lower.masks import architecture_mask
from spacec.lower.pieces import OpStep
from spacec.lower.plan import make_plan
from spacec.lower.program import compile_function
from spacec.lower.sizes import architecture_sizes, number
from spacec.lower.switches import Switches
from spacec.space.architecture import Architecture
from spacec.space.cost import free_sizes
from spacec.testing.inputs import example_inputs, smallest_sizes
from tests.grammars.record import GRAMMARS, NAMES

TARGET = re.compile(r"(x\d+)(?:, extra)? = ")
BATCH = 2


def made_by(network: nn.Module, inputs: dict[str, Any]) -> list[tuple[int, ...]]:
    """Shapes of one sample of all that the forward pass makes: its own text, run with a note after each line."""
    program = network.design.program  # type: ignore[union-attr]  # a Network, built by its space
    lines = []
    for line in program.text().splitlines():
        lines.append(line)
        target = TARGET.match(line.strip())
        if target is not None and not line.endswith(".x"):
            lines.append(f"    note({target[1]})")
    shapes: list[tuple[int, ...]] = []

    def note(value: torch.Tensor) -> None:
        shapes.append(tuple(value.shape[1:]))

    run = compile_function("\n".join(lines), "forward", (*program.code, note))
    with torch.no_grad():
        run(network, *inputs.values())
    return shapes


def peak_of(network: nn.Module, inputs: dict[str, Any]) -> int:
    """The most elements of one sample that are alive at a time, by the text of the forward pass: names and when each is
    read or written again."""
    program = network.design.program  # type: ignore[union-attr]  # a Network, built by its space
    rows = [line.strip() for line in program.text().splitlines()[1:]]
    shapes = iter(made_by(network, inputs))
    given = [x[0] if isinstance(x, tuple) else x for x in inputs.values()]
    held = {name: prod(x.shape[1:]) for name, x in zip(program.parameters, given, strict=True)}
    graphs = [n for n, x in zip(program.parameters, inputs.values(), strict=True) if isinstance(x, tuple)]
    peak = sum(held.values())
    for k, row in enumerate(rows):
        target = TARGET.match(row)
        if target is None or row.endswith(".x"):
            continue
        own = prod(next(shapes))
        peak = max(peak, sum(held.values()) + own)
        held[target[1]] = own
        for name in list(held):
            later = rows[k + 1 :]
            written = next((j for j, r in enumerate(later) if (t := TARGET.match(r)) and t[1] == name), len(later))
            reads = (re.sub(r"^x\d+(, extra)? = ", "", r) for r in later[: written + 1])
            features = rf"\b{name}\.x\b" if name in graphs else rf"\b{name}\b"
            if not any(re.search(features, r) for r in reads):
                del held[name]
    return peak


def handed_on(space: spacec.Space, arch: Architecture, sizes: dict[str, int]) -> list[int]:
    """Elements of the ops that are there and that the network does not run: unread ones, and sums of one term."""
    chosen, numbers = architecture_mask(space.table, arch), {**architecture_sizes(space.table, arch), **sizes}
    switches = Switches.of(space.flat, space.table).taken(dict(arch.choices))

    def running(index: int) -> tuple[int, ...]:
        node = space.flat.nodes[index]
        if not isinstance(node, FlatChoose):
            return switches[index]
        k = chosen.get(node.slot)
        return () if k is None else (k,)

    steps = {s.node: s for s in make_plan(space.flat, running).steps if isinstance(s, OpStep)}
    found = []
    for index, op in enumerate(space.flat.nodes):
        if not isinstance(op, FlatOp) or op.spec.name == "identity" or not holds(op.guard, arch.values.get):
            continue
        step = steps.get(index)
        if step is None or (op.spec.inputs is None and len(step.inputs) == 1):
            found.append(prod(number(n, numbers) for n in op.type.dims))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_real_networks(name: str) -> None:
    """What a network makes, and what it has but does not run, add up to the costs."""
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    free = smallest_sizes(space, {})
    sizes = {s: n for s, n in free.items() if s in free_sizes(space.table, "activations")}
    for arch in space.sample(3, seed=5):
        network = space.network(arch, seed=0).eval()
        shapes, rest = made_by(network, example_inputs(space, BATCH)), handed_on(space, arch, free)
        peak = space.peak_activations(arch, **free)
        assert peak == peak_of(network, example_inputs(space, BATCH))
        assert space.cost(arch, "nodes") == len(shapes) + len(rest)
        assert space.cost(arch, "activations", **sizes) == sum(map(prod, shapes)) + sum(rest)


def test_what_counts() -> None:
    space = spacec.loads(
        "space small\n"
        "input x: [4, 8, 8]\n"
        "output y: [4, 8, 8]\n"
        "net = dag(x) {\n"
        "  a = x >> relu\n"
        "  b = x >> relu >> conv(3)\n"
        "  return (a + b) >> (one: identity | two: conv(1) >> bn)\n"
        "}\n"
    )
    one, two = space.enumerate()
    assert [space.cost(a, "nodes") for a in (one, two)] == [3, 5]  # equal relus of one value are one
    assert [space.cost(a, "activations") for a in (one, two)] == [3 * 256, 5 * 256]
