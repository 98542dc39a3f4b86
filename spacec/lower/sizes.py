"""Concrete sizes: symbols of elastic decisions get numbers, free sizes of inputs stay open.

A decision symbol's name is its decision's id. The *layout* of a tensor lists its channel segments:
a concatenation of elastic widths keeps each at its own place, so that slices of the largest
tensor and masks over it mean the same channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from spacec.ir.dims import Dim, Poly, Symbol, symbols
from spacec.ir.flat import FlatGraph, FlatInput, FlatNode, FlatOp, FlatSwitch, sources_of
from spacec.ir.ops import AttrValue
from spacec.ir.sizes import evaluate, largest_of
from spacec.ir.types import TensorType
from spacec.lower import errors
from spacec.lower.layers import Shape, Site, Value
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.values import number as decision_number
from spacec.space.values import symbol_number
from spacec.std.rules import presences

Size = int | Fraction
Sizes = Mapping[str, Size]
"""Key of a decision's symbol to its number. Presence without an entry is open: sizes are then the largest it gives."""

Layout = tuple[Dim, ...]
"""Channel segments, in order."""


def elastic_decisions(table: DecisionTable) -> dict[str, Decision]:
    """Decisions whose values are sizes inside types, by id."""
    return {d.id: d for d in table.decisions if d.elastic and d.kind == "value"}


def candidate_sizes(decision: Decision) -> tuple[Size, ...]:
    """The number each candidate gives, in order."""
    return tuple(decision_number(decision, k) for k in range(len(decision.labels)))


def largest(table: DecisionTable) -> dict[str, Size]:
    """Every elastic decision at the value at which the sizes that mention it are largest."""
    return {n: (min if d.grows is False else max)(candidate_sizes(d)) for n, d in elastic_decisions(table).items()}


def architecture_sizes(table: DecisionTable, architecture: Architecture) -> dict[str, Size]:
    """Every number that an architecture's decisions give; an inactive elastic decision is at its largest."""
    found = largest(table)
    for decision in table.decisions:
        value = architecture.get(decision.id)
        if value is not None and (decision.elastic or decision.kind == "subset"):
            found[decision.id] = decision_number(decision, value)
        for part in range(decision.size if decision.kind == "subset" else len(decision.labels)):
            found[f"{decision.id}#{part}"] = symbol_number(decision, value, part)
    return found


def number(dim: Dim, sizes: Sizes) -> int:
    """The integer that ``dim`` is; raises :class:`ValueError` where a symbol has no size or it is no integer."""
    if isinstance(dim, int):
        return dim
    try:
        found = evaluate(dim, lambda symbol: size_of(sizes, symbol))
    except KeyError:
        open_symbols = sorted(s.name for s in dim.symbols if s.key not in sizes and s.part is None)
        if open_symbols:
            raise ValueError(f"the size {dim} depends on `{open_symbols[0]}`, which is no elastic decision") from None
        return number(largest_of(dim, sizes), sizes)
    if not isinstance(found, int):
        raise ValueError(f"the size {dim} is {found}, not an integer")
    return found


def size_of(sizes: Sizes, symbol: Symbol) -> int:
    """Fractions pass through the arithmetic of sizes as integers do."""
    return sizes[symbol.key]  # type: ignore[return-value]  # evaluate is exact on fractions too


def shape(type_: TensorType, sizes: Sizes) -> Shape:
    """The type with numbers; a spatial size that the input decides is ``None``."""
    space = tuple(
        number(d, sizes) if all(s.key in sizes or s.part is not None for s in symbols(d)) else None for d in type_.space
    )
    return Shape(number(type_.channels, sizes), space, type_.kind)


def attribute(value: AttrValue, sizes: Sizes) -> Value:
    """An attribute with numbers for sizes."""
    if isinstance(value, tuple):
        return tuple(attribute(v, sizes) for v in value)
    return number(value, sizes) if isinstance(value, Poly) else value


def site(flat: FlatGraph, index: int, sizes: Sizes) -> Site:
    """The op at ``index`` as its lowering sees it. Raises :class:`SpacecError` where a size is unknown."""
    op = flat.nodes[index]
    assert isinstance(op, FlatOp), "only ops have a lowering"
    try:
        return Site(
            op.spec.name,
            {name: attribute(value, sizes) for name, value in op.attrs.items()},
            tuple(shape(flat.nodes[i].type, sizes) for i in op.inputs),
            shape(op.type, sizes),
        )
    except ValueError as error:
        headline = f"`{op.spec.name}` has no definite size: {error}"
        raise errors.lowering_error(errors.LOWERING, headline, op.span) from error


@dataclass(frozen=True)
class ElasticSites:
    """Which nodes depend on elastic decisions or on presence, and the channel layout of every node."""

    flat: FlatGraph
    names: frozenset[str]

    @cached_property
    def symbols(self) -> dict[int, frozenset[str]]:
        """Op index to the keys of what its attributes, inputs or output mention of these; others are left out."""
        found = {}
        for index, node in enumerate(self.flat.nodes):
            if isinstance(node, FlatOp):
                mentioned = {s.key for d in self.sizes_of(index) for s in symbols(d) if self.decided(s)}
                if mentioned:
                    found[index] = frozenset(mentioned)
        return found

    @cached_property
    def presences(self) -> dict[str, Symbol]:
        """The presence symbols that sizes mention, by key."""
        nodes = range(len(self.flat.nodes))
        found = {s.key: s for i in nodes for d in self.sizes_of(i) for s in symbols(d) if s.part is not None}
        return dict(sorted(found.items()))

    def decided(self, symbol: Symbol) -> bool:
        """Whether a symbol is a number of an architecture, and not of its input."""
        return symbol.part is not None or symbol.name in self.names

    def sizes_of(self, index: int) -> list[Dim]:
        """Every size that the layer of an op is made from."""
        node = self.flat.nodes[index]
        if not isinstance(node, FlatOp):
            return []
        dims = [node.type.channels, *(self.flat.nodes[i].type.channels for i in node.inputs)]
        return dims + [d for value in node.attrs.values() for d in _dims(value)]

    def footprint(self, index: int) -> tuple[Dim, ...]:
        """The sizes that tell layers of an op apart: its own, and the channel segments it reads and makes."""
        if index not in self._footprints:
            op = self.flat.nodes[index]
            assert isinstance(op, FlatOp), "only ops have layers"
            segments = [s for i in (*op.inputs, index) for s in self.layouts[i]]
            mentioned = dict.fromkeys(d for d in (*self.sizes_of(index), *segments) if not isinstance(d, int))
            self._footprints[index] = tuple(mentioned)
        return self._footprints[index]

    def mentioned(self, index: int) -> tuple[str, ...]:
        """The keys of the symbols that :meth:`footprint` mentions."""
        if index not in self._mentioned:
            keys = dict.fromkeys(s.key for d in self.footprint(index) for s in symbols(d))
            self._mentioned[index] = tuple(keys)
        return self._mentioned[index]

    @cached_property
    def _mentioned(self) -> dict[int, tuple[str, ...]]:
        return {}

    @cached_property
    def _footprints(self) -> dict[int, tuple[Dim, ...]]:
        return {}

    @cached_property
    def layouts(self) -> tuple[Layout, ...]:
        """Channel segments of every node. Raises :class:`SpacecError` (E0902) where joined tensors differ in them."""
        out: list[Layout] = []
        for node in self.flat.nodes:
            out.append(self._layout(node, out))
        return tuple(out)

    def _layout(self, node: FlatNode, before: list[Layout]) -> Layout:
        whole: Layout = (node.type.channels,)
        if not any(self.decided(s) for s in symbols(node.type.channels)):
            return whole
        if isinstance(node, FlatInput):
            return whole
        if isinstance(node, FlatSwitch):
            return self._switched(node, before)
        joined = sources_of(node)
        if isinstance(node, FlatOp) and node.spec.name == "concat":
            present = presences(node.attrs, len(joined))
            return tuple(s * p for i, p in zip(joined, present, strict=True) for s in before[i])
        if isinstance(node, FlatOp) and node.spec.name == "mul":
            joined = tuple(i for i in joined if self.flat.nodes[i].type.channels == node.type.channels)
        if not isinstance(node, FlatOp) or node.spec.name in ("sum", "mul"):
            different = [before[i] for i in joined if before[i] != before[joined[0]]]
            if different:
                raise errors.lowering_error(
                    errors.ELASTIC,
                    f"elastic channels laid out as {_layout_text(before[joined[0]])} meet {_layout_text(different[0])}",
                    node.span,
                    notes=("slices of the largest tensors would pair different channels",),
                )
            return before[joined[0]]
        if not joined or node.type.channels != self.flat.nodes[joined[0]].type.channels or "out" in node.attrs:
            return self._created(node, before)
        return before[joined[0]]

    def _switched(self, node: FlatSwitch, before: list[Layout]) -> Layout:
        """Candidates of a switch agree in size where they count, so one segment is laid out like any other."""
        found = list(dict.fromkeys(before[a] for a in node.alternatives if a is not None))
        if len(found) == 1:
            return found[0]
        for layout in found:
            if len(layout) > 1:
                raise errors.lowering_error(
                    errors.ELASTIC,
                    f"elastic channels laid out as {_layout_text(layout)} are a candidate beside other ones",
                    node.span,
                    notes=("slices of the largest tensors would pair different channels",),
                )
        return (node.type.channels,)

    def _created(self, node: FlatOp, before: list[Layout]) -> Layout:
        """Channels made by an op; a depthwise convolution keeps those of its input."""
        groups = node.attrs.get("groups", 1)
        if node.inputs and groups == node.type.channels == self.flat.nodes[node.inputs[0]].type.channels:
            return before[node.inputs[0]]
        return (node.type.channels,)


def _dims(value: AttrValue) -> list[Dim]:
    if isinstance(value, tuple):
        return [d for v in value for d in _dims(v)]
    return [value] if isinstance(value, Poly) else []


def _layout_text(layout: Layout) -> str:
    return "[" + " | ".join(map(str, layout)) + "]"
