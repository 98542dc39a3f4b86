"""What terms of a sum, or all candidates of a choice, end in is computed once, behind it.

For a map L that is linear (:attr:`spacec.ir.ops.OpLaws.linear`), such as a mean over a window or an upsampling, and any
weights, whether they add up to one or not::

    Σ_k g_k L(x_k) = L(Σ_k g_k x_k)

In a mix and in a sum the terms that end in one L are gathered and the others stay; a choice, whose value is one tensor,
must end in it with all its candidates. What candidates *begin* with needs no pass of its own: once equal expressions
are shared (:mod:`spacec.passes.share`), they read one node.

Terms that anything else reads stay as they are, as L would run for those readers anyway. Of ops with weights only
those of one key (a tied layer) are one map. Assumes a specialised graph. Guarantees that every gate weighs what it did,
in front of the map, so that its gradient is the same by the chain rule.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import ClassVar

from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatMix, FlatNode, FlatOp, Term, with_sources
from spacec.ir.types import TensorType
from spacec.passes.base import Builder, asked, drop_dead, named, readers


@dataclass(frozen=True)
class Hoist:
    """Move linear maps behind the sums whose terms end in them."""

    name: ClassVar[str] = "hoist"

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph with common linear maps behind their sums."""
        while True:
            flat = drop_dead(flat, named(flat, keep))
            found = _Sweep(flat, named(flat, keep)).graph()
            if found is None:
                return flat
            flat = found


class _Sweep:
    """Every sum, mix and choice looked at once, in order."""

    def __init__(self, flat: FlatGraph, kept: frozenset[int]) -> None:
        self.flat = flat
        self.kept = kept
        self.fixed = asked(flat)
        self.read = readers(flat)
        self.builder = Builder()

    def graph(self) -> FlatGraph | None:
        """The graph after the sweep; ``None`` where there is nothing to move."""
        changed = False
        for index, node in enumerate(self.flat.nodes):
            now = with_sources(node, self.builder.place.__getitem__)
            found = None if index in self.kept else self.hoisted(node, now)
            changed = changed or found is not None
            self.builder.place[index] = self.builder.add(now) if found is None else found
        return self.builder.graph(self.flat) if changed else None

    def hoisted(self, node: FlatNode, now: FlatNode) -> int | None:
        """The node that stands for a sum whose maps were moved, ``None`` where none is."""
        match now:
            case FlatMix() if isinstance(node, FlatMix):
                return self.of_mix(now, [self.map_of(t.source, t.first, t.norm) for t in node.terms])
            case FlatOp() if now.spec.laws.adds and isinstance(node, FlatOp):
                return self.of_sum(now, [self.map_of(s) for s in node.inputs])
            case FlatChoose(bypass=None) if isinstance(node, FlatChoose):
                if (now.slot, now.instance) in self.fixed:
                    return None
                return self.of_choice(now, [self.map_of(a) for a in node.alternatives if a is not None])
            case _:
                return None

    def map_of(self, index: int, first: int = 0, norm: str = "") -> Hashable | None:
        """What tells the linear map apart that a term ends in; ``None`` where it ends in none that can be moved."""
        node = self.flat.nodes[index]
        if not isinstance(node, FlatOp) or len(node.inputs) != 1 or not node.spec.laws.linear or first or norm:
            return None
        if index in self.kept or len(self.read[index]) != 1 or any(node.attrs.get(a) for a in node.spec.laws.unless):
            return None
        if node.spec.state and not (node.key and node.spec.laws.repeatable):
            return None
        given = self.flat.nodes[node.inputs[0]].type
        return node.spec.name, tuple(node.attrs.items()), node.key, node.frozen, given, node.type

    def of_mix(self, mix: FlatMix, maps: list[Hashable | None]) -> int | None:
        groups = _groups(maps)
        if not groups:
            return None
        moved = {k for group in groups for k in group}
        behind = []
        for group in groups:
            terms = [(mix.terms[k], self.op(mix.terms[k].source)) for k in group]
            inner = tuple(replace(term, source=op.inputs[0]) for term, op in terms)
            before = FlatMix(inner, self.type_of(terms[0][1].inputs[0]), mix.guard, mix.span)
            behind.append(self.builder.add(self.after(before, terms[0][1], mix)))
        if len(behind) == 1 and len(moved) == len(mix.terms):
            return behind[0]
        left = [term for k, term in enumerate(mix.terms) if k not in moved]
        return self.builder.add(replace(mix, terms=(*left, *map(Term, behind))))

    def of_sum(self, total: FlatOp, maps: list[Hashable | None]) -> int | None:
        groups = _groups(maps)
        if not groups:
            return None
        moved = {k for group in groups for k in group}
        behind = []
        for group in groups:
            ops = [self.op(total.inputs[k]) for k in group]
            given = tuple(op.inputs[0] for op in ops)
            before = replace(total, inputs=given, type=self.type_of(given[0]))
            behind.append(self.builder.add(self.after(before, ops[0], total)))
        if len(behind) == 1 and len(moved) == len(total.inputs):
            return behind[0]
        left = [source for k, source in enumerate(total.inputs) if k not in moved]
        return self.builder.add(replace(total, inputs=(*left, *behind)))

    def of_choice(self, choice: FlatChoose, maps: list[Hashable | None]) -> int | None:
        if len(maps) < 2 or maps[0] is None or any(m != maps[0] for m in maps):
            return None
        ops = [None if a is None else self.op(a) for a in choice.alternatives]
        given = tuple(None if op is None else op.inputs[0] for op in ops)
        first = next(op for op in ops if op is not None)
        before = replace(choice, alternatives=given, type=self.type_of(first.inputs[0]))
        return self.builder.add(self.after(before, first, choice))

    def after(self, before: FlatNode, op: FlatOp, instead: FlatNode) -> FlatOp:
        """The map ``op`` on the node ``before``, where ``instead`` stood."""
        assert not isinstance(instead, FlatInput), "a sum is no input"
        return replace(op, inputs=(self.builder.add(before),), guard=instead.guard)

    def op(self, index: int) -> FlatOp:
        node = self.builder.nodes[index]
        assert isinstance(node, FlatOp), "maps are ops"
        return node

    def type_of(self, index: int) -> TensorType:
        return self.builder.nodes[index].type


def _groups(maps: list[Hashable | None]) -> list[list[int]]:
    """The places of terms that end in one map, where it is two terms or more."""
    found: dict[Hashable, list[int]] = {}
    for place, what in enumerate(maps):
        if what is not None:
            found.setdefault(what, []).append(place)
    return [group for group in found.values() if len(group) > 1]
