"""What a supernet knows that never changes: shared by its copies, never copied."""

from __future__ import annotations

import keyword
from collections import Counter, OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from spacec.ir.flat import (
    FlatChoose,
    FlatGraph,
    FlatInput,
    FlatMeet,
    FlatMix,
    FlatOp,
    FlatSwitch,
    activation_names,
    sources_of,
)
from spacec.lower import errors, sizes
from spacec.lower.joined import Joined, joined_function
from spacec.lower.layers import Call, Layer, lower
from spacec.lower.masks import SlotInfo
from spacec.lower.plan import Plan, Planner
from spacec.lower.stacked import Stacked
from spacec.lower.switches import Switches
from spacec.passes.superkernels import SUPERKERNEL, gates_of
from spacec.space.decisions import DecisionTable

PLANS_KEPT = 64
"""Execution plans cached per supernet: random single-path training meets few twice."""


def check_untraced() -> None:
    """Raise :class:`RuntimeError` inside ``torch.compile``: what a mask's structure needs is made outside, once."""
    if torch.compiler.is_compiling():
        raise RuntimeError("run the supernet once without torch.compile, under a mask that runs the same candidates")


def check_keys(layers: dict[str, Layer]) -> None:
    """Raise :class:`SpacecError` (E0903) where a key is no attribute path, or goes through another layer."""
    for key in layers:
        parts = key.split(".")
        for part in parts:
            if not part.isidentifier() or keyword.iskeyword(part) or hasattr(nn.Module, part) or part in _TAKEN:
                raise errors.lowering_error(errors.KEY, f"`{part}` in the key `{key}` is no free attribute name")
        for length in range(1, len(parts)):
            if (layer := ".".join(parts[:length])) in layers:
                raise errors.lowering_error(errors.KEY, f"the key `{key}` goes through the layer `{layer}`")


_TAKEN = frozenset((*vars(nn.Module()), "blueprint", "design"))


def add_layer(layers: dict[str, Layer], op: FlatOp, layer: Layer) -> None:
    """Record the layer of an op under its key; tied ops share one and must agree."""
    if not op.key:
        raise errors.lowering_error(
            errors.LOWERING, f"`{op.spec.name}` has weights or state, but is declared without", op.span
        )
    if layers.setdefault(op.key, layer) != layer:
        raise errors.lowering_error(
            errors.KEY,
            f"two different layers share the weights `{op.key}`",
            op.span,
            notes=(layers[op.key].text(), layer.text()),
        )


@dataclass(eq=False)
class Blueprint:
    """The graph of a supernet, lowered at its largest sizes; ``lowered`` by node index."""

    flat: FlatGraph
    table: DecisionTable
    lowered: dict[int, Layer | Call]
    layers: dict[str, Layer]
    slots: dict[str, SlotInfo]
    chooses: dict[int, FlatChoose]
    """Every choice, by node index."""
    mixes: dict[int, FlatMix]
    """Every mix of an optimised graph, by node index."""
    joined: dict[int, Joined]
    """How each joined op of an optimised graph runs, by node index."""
    switches: Switches
    elastic: sizes.ElasticSites
    names: dict[str, tuple[int, ...]]
    """Nodes that a tap may name: by parameter key, instance, output or input name."""
    plans: OrderedDict[tuple[tuple[int, ...], ...], Plan]
    keep: frozenset[str] = frozenset()
    """Names of an optimised graph that are tapped."""

    @cached_property
    def planner(self) -> Planner:
        """Makes the plans that are not kept."""
        return Planner(self.flat)

    @cached_property
    def input_nodes(self) -> tuple[int, ...]:
        """Nodes of the inputs, in the inputs' order."""
        index = {n.name: i for i, n in enumerate(self.flat.nodes) if isinstance(n, FlatInput)}
        return tuple(index[name] for name in self.flat.inputs)

    @cached_property
    def stacked(self) -> Stacked:
        """How mixes read blocks of stacks."""
        return Stacked.of(self.flat, self.keep)

    @cached_property
    def heads(self) -> frozenset[str]:
        """Keys of the head layers."""
        return head_keys(self.flat, self.lowered)

    @cached_property
    def gated(self) -> tuple[tuple[str, str], ...]:
        """The activations, as slot and instance, whose mask weights choices, edges, mixes and kernels read."""
        found = {(g.slot, g.instance): None for mix in self.mixes.values() for t in mix.terms for g in t.gates}
        summed = (n for n in self.flat.nodes if isinstance(n, FlatOp) and n.spec == SUPERKERNEL)
        found.update(((g.slot, g.instance), None) for op in summed for gates in gates_of(op) for g in gates)
        for choice in self.chooses.values():
            found[choice.slot, choice.instance] = None
            if choice.edge is not None:
                found[choice.edge.slot, choice.edge.instance] = None
        return tuple(found)

    @cached_property
    def recomputed(self) -> frozenset[int]:
        """The ops whose results the backward pass makes again, and the nodes that read them."""
        marked = {i for i, n in enumerate(self.flat.nodes) if isinstance(n, FlatOp) and n.recompute}
        reading = (i for i, n in enumerate(self.flat.nodes) if not marked.isdisjoint(sources_of(n)))
        return frozenset((*marked, *reading)) if marked else frozenset()

    @cached_property
    def often_normed(self) -> frozenset[tuple[int, int]]:
        """The nodes, with the first of their channels, that several terms read through a norm."""
        read = Counter((t.source, t.first) for mix in self.mixes.values() for t in mix.terms if t.norm)
        return frozenset(place for place, times in read.items() if times > 1)

    @cached_property
    def activations(self) -> dict[tuple[str, str], str]:
        """What each (slot, instance) is called by itself."""
        return activation_names(self.flat)

    def slot_of(self, decision: str) -> str:
        """The slot of an elastic decision: its own id unless the table names another."""
        return self._elastic_slots.get(decision, decision)

    @cached_property
    def _elastic_slots(self) -> dict[str, str]:
        return {s.decision: s.id for s in self.table.slots if s.decision in self.elastic.names}

    @cached_property
    def widest(self) -> sizes.Sizes:
        """Every elastic decision at its largest."""
        return sizes.largest(self.table)

    @cached_property
    def elastic_sizes(self) -> dict[str, tuple[sizes.Size, ...]]:
        """The numbers of every elastic decision's candidates."""
        return {n: sizes.candidate_sizes(d) for n, d in sizes.elastic_decisions(self.table).items()}

    @cached_property
    def presences(self) -> dict[str, tuple[SlotInfo, frozenset[int]]]:
        """The slot of each presence that sizes mention, and the candidates that make it hold, by the symbol's key."""
        elements = {(s.pick, s.element): s for s in self.table.slots if s.pick is not None}
        choices = {s.decision: s for s in self.table.slots if s.decision is not None}
        found = {}
        for key, symbol in self.elastic.presences.items():
            assert symbol.part is not None, "it is presence"
            subset = self.table.by_id[symbol.name].kind == "subset"
            slot = elements[symbol.name, symbol.part] if subset else choices[symbol.name]
            places = range(slot.absent, slot.size) if subset else (symbol.part + slot.absent,)
            found[key] = self.slots[slot.id], frozenset(places)
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Blueprint:
        return self

    def plan(self, running: tuple[tuple[int, ...], ...]) -> Plan:
        """The plan where each choice, then each switch (in order), runs these candidates; the most recent are kept."""
        found = self.plans.get(running)
        if found is None:
            check_untraced()
            by_node = dict(zip((*self.chooses, *self.switches.nodes), running, strict=True))
            found = self.plans[running] = self.planner.plan(by_node.__getitem__)
            if len(self.plans) > PLANS_KEPT:
                self.plans.popitem(last=False)
        else:
            self.plans.move_to_end(running)
        return found


def head_keys(flat: FlatGraph, lowered: dict[int, Layer | Call]) -> frozenset[str]:
    """Keys of layers with weights from which an output is reached without passing another such layer."""
    found: set[str] = set()
    seen: set[int] = set()
    stack = list(flat.outputs.values())
    while stack:
        index = stack.pop()
        if index in seen:
            continue
        seen.add(index)
        node, layer = flat.nodes[index], lowered.get(index)
        if isinstance(node, FlatOp):
            if isinstance(layer, Layer) and layer.axes != ():
                found.add(node.key)
            else:
                stack.extend(node.inputs)
        else:
            stack.extend(sources_of(node))
    return frozenset(found)


def make_blueprint(
    flat: FlatGraph,
    table: DecisionTable,
    slots: dict[str, SlotInfo] | None = None,
    keep: frozenset[str] = frozenset(),
) -> Blueprint:
    """Lower every op at the largest sizes. Raises :class:`SpacecError` where one cannot be.

    ``slots`` are given for an optimised graph, which has lost choices, and what it keeps by name.
    """
    widest = sizes.largest(table)
    elastic = sizes.ElasticSites(flat, frozenset(widest))
    lowered: dict[int, Layer | Call] = {}
    layers: dict[str, Layer] = {}
    joined: dict[int, Joined] = {}
    for index, op in enumerate(flat.nodes):
        if isinstance(op, FlatOp):
            lowered[index] = lower(op, sizes.site(flat, index, widest))
            found = lowered[index]
            if op.parts:
                joined[index] = joined_function(op, found)
            elif isinstance(found, Layer):
                add_layer(layers, op, found)
    check_keys(layers)
    _check_growth(table)
    _check_elastic(flat, elastic, lowered)
    chooses = {i: n for i, n in enumerate(flat.nodes) if isinstance(n, FlatChoose)}
    mixes = {i: n for i, n in enumerate(flat.nodes) if isinstance(n, FlatMix)}
    slots = _slots(table, chooses) if slots is None else slots
    switches, names = Switches.of(flat, table), _names(flat)
    return Blueprint(
        flat, table, lowered, layers, slots, chooses, mixes, joined, switches, elastic, names, OrderedDict(), keep
    )


def _check_growth(table: DecisionTable) -> None:
    for decision in table.decisions:
        if decision.grows is None:
            raise errors.lowering_error(
                errors.ELASTIC,
                f"some sizes grow with `{decision.id}` and others shrink, so no tensor holds all of them as slices",
                decision.span,
            )


def _check_elastic(flat: FlatGraph, elastic: sizes.ElasticSites, lowered: dict[int, Layer | Call]) -> None:
    for index in elastic.symbols:
        op, found = flat.nodes[index], lowered[index]
        assert isinstance(op, FlatOp), "only ops depend on sizes"
        if isinstance(found, Layer) and found.axes is None:
            raise errors.lowering_error(
                errors.ELASTIC,
                f"`{op.spec.name}` cannot run slices of its largest size",
                op.span,
            )
        groups = op.attrs.get("groups", 1)
        if not isinstance(groups, int) and groups != flat.nodes[op.inputs[0]].type.channels:
            raise errors.lowering_error(
                errors.ELASTIC,
                f"the {groups} groups of this convolution follow an elastic size",
                op.span,
                notes=("a smaller number of groups is no slice of a larger one",),
                help="choose among separate values, without `elastic`",
            )
    if elastic.symbols:
        _ = elastic.layouts  # raises where joined tensors are laid out differently


def _slots(table: DecisionTable, chooses: dict[int, FlatChoose]) -> dict[str, SlotInfo]:
    instances: dict[str, set[str]] = {}
    for choice in chooses.values():
        instances.setdefault(choice.slot, set()).add(choice.instance)
        if choice.edge is not None:
            instances.setdefault(choice.edge.slot, set()).add(choice.edge.instance)
    found = {s.id: SlotInfo(s.id, s.labels, frozenset(instances.get(s.id, ())), s.sized) for s in table.slots}
    relaxed = {s.decision for s in table.slots}
    for name, decision in sizes.elastic_decisions(table).items():
        if name not in relaxed:
            found[name] = SlotInfo(name, decision.labels, frozenset())
    return found


def _names(flat: FlatGraph) -> dict[str, tuple[int, ...]]:
    names: dict[str, tuple[int, ...]] = {}
    for index, node in enumerate(flat.nodes):
        match node:
            case FlatOp():
                name = node.key
            case FlatChoose():
                name = node.instance
            case FlatInput():
                name = node.name
            case FlatSwitch() | FlatMeet() | FlatMix():
                continue
        if name:
            names[name] = (*names.get(name, ()), index)
    for name, index in flat.outputs.items():
        names.setdefault(name, (index,))
    return names
