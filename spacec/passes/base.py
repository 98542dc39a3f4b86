"""What a pass over the flat graph is, which ones there are, and how a list of them runs.

A pass is a frozen dataclass whose fields are its options. It assumes a graph without violations
(:mod:`spacec.ir.verify`) and leaves one that computes the same functions of inputs, weights and mask weights, with the
same running statistics and the same random draws. Names in ``keep`` (parameter keys, instances of choices, inputs and
outputs) stay nodes of their own with their value, where they were needed: taps and gates ask for them.

In the order in which they are useful, a list of passes is written as ``name`` or ``name:option=value,option=value``.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import ClassVar, Protocol

from spacec.ir.conditions import decisions
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatNode, FlatOp, sources_of, with_sources


class Pass(Protocol):
    """A rewrite of flat graphs."""

    name: ClassVar[str]

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The rewritten graph."""
        ...


PASSES: Mapping[str, str] = {
    "canonicalise": "spacec.passes.canonicalise:Canonicalise",
    "drop_dead": "spacec.passes.drop_dead:DropDead",
    "drop_zeros": "spacec.passes.drop_zeros:DropZeros",
    "fold_norms": "spacec.passes.fold_norms:FoldNorms",
    "hoist": "spacec.passes.hoist:Hoist",
    "mixes": "spacec.passes.mixes:Mixes",
    "separable": "spacec.passes.separable:Separable",
    "order": "spacec.passes.order:Order",
    "polyphase": "spacec.passes.polyphase:Polyphase",
    "recompute": "spacec.passes.recompute:Recompute",
    "share": "spacec.passes.share:Share",
    "stack": "spacec.passes.stack:Stack",
    "superkernels": "spacec.passes.superkernels:Superkernels",
}
"""The classes of the passes by name, as ``"module:Class"``; :mod:`spacec.hooks.host` has a line on each."""


def run(flat: FlatGraph, passes: Iterable[Pass], keep: frozenset[str] = frozenset()) -> FlatGraph:
    """The graph after all passes, in their order; what nothing reads any more is left out after each."""
    for found in passes:
        flat = drop_dead(found.apply(flat, keep))
    return flat


def parse(text: str, known: Mapping[str, str] = PASSES) -> Pass:
    """The pass that ``name`` or ``name:option=value,…`` stands for.

    Values are read as the type of the option's default: a number, a flag (``0`` or ``1``), or a text.
    Raises :class:`ValueError` in words that name the unknown pass, option or value.
    """
    name, _, rest = text.partition(":")
    if name not in known:
        raise ValueError(f"no pass is called '{name}'; there are {', '.join(sorted(known))}")
    module, _, attribute = known[name].partition(":")
    cls = getattr(importlib.import_module(module), attribute)
    defaults = {f.name: f.default for f in dataclasses.fields(cls)}
    options = {}
    for part in filter(None, rest.split(",")):
        option, _, value = part.partition("=")
        if option not in defaults:
            raise ValueError(f"pass '{name}' has no option '{option}'; it has {', '.join(defaults) or 'none'}")
        options[option] = _value(name, option, value, defaults[option])
    made: Pass = cls(**options)
    return made


def _value(name: str, option: str, text: str, default: object) -> object:
    try:
        match default:
            case bool():
                return bool(int(text))
            case int():
                return int(text)
    except ValueError:
        raise ValueError(f"option '{option}' of pass '{name}' is a number, not '{text}'") from None
    return text


def asked(flat: FlatGraph) -> frozenset[Hashable]:
    """The activations, as slot and instance, on which the reach of merged calls depends: their choices stay."""
    gates = (call.gate for entry in flat.entries for call in entry.calls)
    return frozenset(name for gate in gates for name in decisions(gate))


def roots(flat: FlatGraph) -> list[int]:
    """The nodes that a graph is there for: outputs, and choices that merged calls ask about."""
    found = asked(flat)
    wanted = (i for i, n in enumerate(flat.nodes) if isinstance(n, FlatChoose) and (n.slot, n.instance) in found)
    return [*flat.outputs.values(), *wanted]


def named(flat: FlatGraph, names: Collection[str]) -> frozenset[int]:
    """The nodes of these names: parameter keys, instances of choices, inputs and outputs."""
    found = {flat.outputs[name] for name in names if name in flat.outputs}
    for index, node in enumerate(flat.nodes):
        match node:
            case FlatOp(key=name) | FlatChoose(instance=name) | FlatInput(name=name) if name in names:
                found.add(index)
    return frozenset(found)


def live(flat: FlatGraph, kept: Iterable[int] = ()) -> list[bool]:
    """Which nodes the roots and the nodes ``kept`` need; inputs always are."""
    needed = [isinstance(node, FlatInput) for node in flat.nodes]
    for index in (*roots(flat), *kept):
        needed[index] = True
    for index in range(len(flat.nodes) - 1, -1, -1):
        if needed[index]:
            for source in sources_of(flat.nodes[index]):
                needed[source] = True
    return needed


def drop_dead(flat: FlatGraph, kept: Iterable[int] = ()) -> FlatGraph:
    """The graph without nodes that neither a root nor a node of ``kept`` needs; inputs stay."""
    needed = live(flat, kept)
    if all(needed):
        return flat
    builder = Builder()
    for index, node in enumerate(flat.nodes):
        if needed[index]:
            builder.place[index] = builder.add(with_sources(node, builder.place.__getitem__))
    return builder.graph(flat)


class Builder:
    """A graph under construction: ``place`` maps nodes of the old graph to nodes of the new one."""

    def __init__(self) -> None:
        self.nodes: list[FlatNode] = []
        self.place: dict[int, int] = {}

    def add(self, node: FlatNode) -> int:
        """The index of a node, whose sources are in the new graph."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def graph(self, flat: FlatGraph) -> FlatGraph:
        """The new graph, with the outputs of ``flat``."""
        outputs = {name: self.place[index] for name, index in flat.outputs.items()}
        return dataclasses.replace(flat, nodes=tuple(self.nodes), outputs=outputs)


def readers(flat: FlatGraph) -> list[list[int]]:
    """For every node, the nodes that may read it, each as often as it does; an output is read by ``-1``."""
    found: list[list[int]] = [[] for _ in flat.nodes]
    for index, node in enumerate(flat.nodes):
        for source in sources_of(node):
            found[source].append(index)
    for index in flat.outputs.values():
        found[index].append(-1)
    return found
