"""The numbers that a network holds at a time, told from its plan without building it.

Assumes an architecture of the table. The order is that in which networks run (:mod:`spacec.lower.plan`): a value is
held from the op that makes it to the last one that reads it; while an op runs, it holds its inputs and its result.
An op whose result is its input, ``identity`` or a sum of one term, holds nothing of its own. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping

from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import holds
from spacec.ir.dims import Symbol, symbols
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatOp, FlatSwitch
from spacec.ir.sizes import evaluate
from spacec.lower.pieces import OpStep
from spacec.lower.plan import Plan, Step, make_plan
from spacec.space.applications import missing_sizes
from spacec.space.architecture import Architecture
from spacec.space.decisions import DecisionTable
from spacec.space.derive import slots_of
from spacec.space.values import Number, symbol_number


def peak_activations(flat: FlatGraph, table: DecisionTable, arch: Architecture, sizes: Mapping[str, int]) -> int:
    """The most elements of one sample that are held at a time. Raises E0512 for a missing size, E0905 for no output."""
    plan, roots = _planned(flat, table, arch), dict[int, int]()
    for step in plan.steps:
        source = _handed_on(flat, step)
        if source is not None:
            roots[step.node] = roots.get(source, source)
    kept = {roots.get(i, i) for i in flat.outputs.values()}
    steps = [s for s in plan.steps if isinstance(s, OpStep) and s.node not in roots]
    last = {roots.get(i, i): k for k, s in enumerate(steps) for i in s.inputs}
    held = {i: elements(flat, i, table, arch, sizes) for i, n in enumerate(flat.nodes) if isinstance(n, FlatInput)}
    total = most = sum(held.values())
    for k, step in enumerate(steps):
        held[step.node] = elements(flat, step.node, table, arch, sizes)
        total += held[step.node]
        most = max(most, total)
        spent = {roots.get(i, i) for i in step.inputs}
        total -= sum(held.pop(i) for i in spent if last[i] == k and i not in kept)
    return most


def elements(flat: FlatGraph, node: int, table: DecisionTable, arch: Architecture, sizes: Mapping[str, int]) -> int:
    """Elements of one sample of a node's value in an architecture."""
    size = flat.nodes[node].type.elements
    unknown = sorted({s.name for s in symbols(size) if s.name not in table.by_id and s.name not in sizes})
    if unknown:
        raise SpacecError(missing_sizes("memory", unknown))

    def value(symbol: Symbol) -> Number:
        decision = table.by_id.get(symbol.name)
        return sizes[symbol.name] if decision is None else symbol_number(decision, arch.get(symbol.name), symbol.part)

    return int(evaluate(size, value))


def _planned(flat: FlatGraph, table: DecisionTable, arch: Architecture) -> Plan:
    chosen = slots_of(table, arch)

    def running(index: int) -> tuple[int, ...]:
        node = flat.nodes[index]
        if isinstance(node, FlatSwitch):
            return tuple(k for k, c in enumerate(node.conditions) if holds(c, lambda d: arch.get(str(d))))[:1]
        assert isinstance(node, FlatChoose), "only choices select"
        k = chosen.get(node.slot)
        return () if k is None else (k,)

    return make_plan(flat, running)


def _handed_on(flat: FlatGraph, step: Step) -> int | None:
    """What a step only hands on."""
    if not isinstance(step, OpStep):
        ((_, source),) = step.options
        return source
    op = flat.nodes[step.node]
    assert isinstance(op, FlatOp), "only ops have steps of their own"
    alone = op.spec.name == "identity" or (op.spec.inputs is None and len(step.inputs) == 1)
    return step.inputs[0] if alone else None
