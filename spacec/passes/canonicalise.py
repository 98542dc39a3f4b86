"""The simplest form of a graph: what gives its input is left out, sums and concats are flat, channels are taken once.

The rules are data (:data:`RULES`): each looks at one node and gives the node that stands for it, a new form of it, or
nothing. They hold by the ops' laws (:class:`spacec.ir.ops.OpLaws`) for every input and every value of the weights, in
training and in evaluation; where a sum is flattened, only the order of additions changes.

Assumes a flat graph. Guarantees that no rule applies to the result, and names, slots and instances as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from spacec.ir.flat import FlatGraph, FlatNode, FlatOp, with_sources
from spacec.passes.base import drop_dead, named, readers
from spacec.passes.shares import SHARE


@dataclass(frozen=True)
class Canonicalise:
    """Simplify by the ops' laws."""

    name: ClassVar[str] = "canonicalise"

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph with every rule applied until none does."""
        while True:
            swept = _Sweep(flat, named(flat, keep)).graph()
            if swept is None:
                return flat
            flat = swept


@dataclass(frozen=True)
class View:
    """What a rule may look at: the nodes before the one in question, and how often each is read."""

    nodes: Sequence[FlatNode]
    readers: Sequence[int]

    def op(self, index: int, name: str = "") -> FlatOp | None:
        """The op at a node, if it is one, and of that name."""
        node = self.nodes[index]
        return node if isinstance(node, FlatOp) and name in ("", node.spec.name) else None


Rule = Callable[[View, FlatOp], "int | FlatOp | None"]


def identity(view: View, op: FlatOp) -> int | None:
    """``f(x)`` is ``x`` where the op's law says so."""
    law = op.spec.laws.identity
    if law == "never" or op.spec.state or len(op.inputs) != 1:
        return None
    return op.inputs[0] if law == "always" or view.nodes[op.inputs[0]].type == op.type else None


def alone(view: View, op: FlatOp) -> int | None:
    """``sum(x)``, ``concat(x)`` and ``mul(x)`` are ``x``."""
    if not op.spec.laws.alone or len(op.inputs) != 1 or view.nodes[op.inputs[0]].type != op.type:
        return None
    return op.inputs[0]


def flat_sum(view: View, op: FlatOp) -> FlatOp | None:
    """``sum(a, sum(b, c))`` is ``sum(a, b, c)``, where nothing else reads the inner sum."""
    return _flattened(view, op) if op.spec.laws.adds else None


def flat_concat(view: View, op: FlatOp) -> FlatOp | None:
    """``concat(a, concat(b, c))`` is ``concat(a, b, c)``, where no term of either may be absent."""
    return _flattened(view, op) if op.spec.laws.joins and not op.attrs else None


def _flattened(view: View, op: FlatOp) -> FlatOp | None:
    inputs: list[int] = []
    for source in op.inputs:
        inner = view.op(source, op.spec.name)
        single = inner is not None and view.readers[source] == 1 and inner.attrs == op.attrs
        inputs += inner.inputs if inner is not None and single else (source,)
    return replace(op, inputs=tuple(inputs)) if len(inputs) > len(op.inputs) else None


def share_of_share(view: View, op: FlatOp) -> FlatOp | None:
    """Channels of some channels in a row are channels of all."""
    inner = view.op(op.inputs[0], SHARE.name) if op.spec.name == SHARE.name else None
    if inner is None:
        return None
    return _taken(op, inner.inputs[0], _number(op, "channels"), _number(op, "first") + _number(inner, "first"))


def share_of_concat(view: View, op: FlatOp) -> FlatOp | None:
    """Channels of one term of a concat are channels of the term."""
    inner = view.op(op.inputs[0]) if op.spec.name == SHARE.name else None
    if inner is None or not inner.spec.laws.joins or inner.attrs:
        return None
    first, channels = _number(op, "first"), _number(op, "channels")
    for source in inner.inputs:
        width = view.nodes[source].type.channels
        if not isinstance(width, int) or first < 0:
            return None
        if first + channels <= width:
            return _taken(op, source, channels, first)
        first -= width
    return None


def concat_of_shares(view: View, op: FlatOp) -> FlatOp | None:
    """Channels of one tensor that follow each other, side by side, are channels in a row."""
    terms = [view.op(source, SHARE.name) for source in op.inputs] if op.spec.laws.joins and not op.attrs else []
    shares = [term for term in terms if term is not None]
    if len(shares) < max(2, len(terms)) or len({share.inputs for share in shares}) > 1:
        return None
    at = first = _number(shares[0], "first")
    for share in shares:
        if _number(share, "first") != at:
            return None
        at += _number(share, "channels")
    return _taken(op, shares[0].inputs[0], at - first, first)


def _taken(op: FlatOp, source: int, channels: int, first: int) -> FlatOp:
    """The op that takes channels of ``source`` in the place of ``op``."""
    return replace(op, spec=SHARE, attrs={"channels": channels, "first": first}, inputs=(source,))


def _number(op: FlatOp, name: str) -> int:
    value = op.attrs[name]
    assert isinstance(value, int), "a share counts whole channels"
    return value


RULES: tuple[Rule, ...] = (identity, alone, flat_sum, flat_concat, share_of_share, share_of_concat, concat_of_shares)
"""Every rule, in the order in which they are tried."""


class _Sweep:
    """One pass over the nodes, in order: what a rule sees is canonical already."""

    def __init__(self, flat: FlatGraph, kept: frozenset[int]) -> None:
        self.flat = flat
        self.kept = kept
        self.nodes: list[FlatNode] = []
        self.readers: list[int] = []
        self.place: list[int] = []
        self.view = View(self.nodes, self.readers)

    def graph(self) -> FlatGraph | None:
        """The graph with the rules applied; ``None`` where none does."""
        changed = False
        count = [len(found) for found in readers(self.flat)]
        for index, node in enumerate(self.flat.nodes):
            moved = with_sources(node, self.place.__getitem__)
            found = self.simplified(moved) if isinstance(moved, FlatOp) else moved
            changed = changed or found is not moved
            if isinstance(found, int):
                self.place.append(found)
                self.readers[found] += count[index] - 1
                continue
            self.place.append(len(self.nodes))
            self.nodes.append(found)
            self.readers.append(count[index])
        if not changed:
            return None
        outputs = {name: self.place[i] for name, i in self.flat.outputs.items()}
        swept = replace(self.flat, nodes=tuple(self.nodes), outputs=outputs)
        return drop_dead(swept, [self.place[i] for i in self.kept])

    def simplified(self, op: FlatOp) -> FlatOp | int:
        """What is left of an op once no rule applies to it."""
        while True:
            results = (rule(self.view, op) for rule in RULES)
            found = next((r for r in results if r is not None), None)
            if found is None or isinstance(found, int):
                return op if found is None else found
            op = found
