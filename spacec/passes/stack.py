"""Stack layers that can run together into one: few large calls for many small ones.

Layers that wait for each other stay apart: every node has a *level*, the longest way from it to an output, and only
nodes of one level are joined, so the ends of parallel chains meet (:mod:`spacec.passes.levels`). With
``align = "same"`` layers that read one tensor through one window join their highest, with ``"early"`` all do that could
run already.

A joined op (``parts`` of :class:`spacec.ir.flat.FlatOp`) has the weights of its parts side by side along the output
channels. Convolutions of one tensor read it once (``groups`` stay); those of several tensors read these side by side,
each its own (groups multiplied; what two parts read stands there twice). What reads part of a stack reads a share of
its channels, a mix by :attr:`spacec.ir.flat.Term.first`; normalised terms of a mix are brought into one tensor.

``embed`` writes kernels of several sizes into the window of the largest, zeros elsewhere, where they reach over at most
``embed`` places an axis: fewer calls, more multiplications.

Assumes a specialised graph. Random draws keep their order. Elastic sizes and switches are left as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from spacec.ir.dims import Dim
from spacec.ir.flat import FlatGraph, FlatMix, FlatOp, Term, with_sources
from spacec.passes.levels import conditions, levels
from spacec.passes.stack_kinds import Class, Options, class_of, joined_op, shape_of
from spacec.passes.stack_layout import Block, Layout, joined_runs

WORTH = 4
"""Norms for which it pays to bring their inputs side by side first."""
FEW = 3
"""Tensors from which on it pays to bring the weighed terms of a mix side by side."""


@dataclass(frozen=True)
class Stack:
    """Join layers that can run together into one.

    The flags say which kinds of layers are joined; ``concat``: also where their inputs must be first.
    ``pointwise`` are convolutions of one place and linear maps, ``dense`` the other convolutions that are not
    ``depthwise``; ``activation`` is all that acts on each channel alone, without a window or weights.
    """

    name: ClassVar[str] = "stack"
    dense: bool = True
    pointwise: bool = True
    depthwise: bool = True
    norm: bool = True
    activation: bool = True
    pool: bool = True
    concat: bool = True
    embed: int = 0
    align: str = "late"

    def __post_init__(self) -> None:
        if self.align not in ("late", "same", "early"):
            raise ValueError(f"`align` is late, same or early, not '{self.align}'")

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph with joined ops."""
        flags = ("dense", "pointwise", "depthwise", "norm", "activation", "pool")
        options = Options(frozenset(name for name in flags if getattr(self, name)), self.embed)
        uses = Counter(n.key for n in flat.nodes if isinstance(n, FlatOp))
        classes: dict[int, Class] = {}
        together = conditions(flat, keep)
        for index, node in enumerate(flat.nodes):
            found = class_of(flat, index, options)
            if found is None or (isinstance(node, FlatOp) and node.key and _alone(node, uses, keep)):
                continue
            classes[index] = replace(found, what=(found.what, together[index]))
        work = _Rewriting(flat, self, classes)
        for level in levels(flat, classes, self.align, keep):
            work.level(level)
        return work.graph()


def _alone(op: FlatOp, uses: Counter[str], keep: frozenset[str]) -> bool:
    """Whether a layer is asked for, or has statistics that several uses update in turn."""
    return op.key in keep or (op.spec.name == "bn" and uses[op.key] > 1)


class _Rewriting:
    """Builds the new graph, level by level."""

    def __init__(self, flat: FlatGraph, options: Stack, classes: dict[int, Class]) -> None:
        self.flat = flat
        self.options = options
        self.classes = classes
        self.layout = Layout()

    def graph(self) -> FlatGraph:
        outputs = {name: self.layout.node_of(i) for name, i in self.flat.outputs.items()}
        return replace(self.flat, nodes=tuple(self.layout.nodes), outputs=outputs)

    def level(self, level: Iterable[int]) -> None:
        groups: dict[Class, list[int]] = {}
        for index in level:
            if index in self.classes:
                groups.setdefault(self.classes[index], []).append(index)
            else:
                self.alone(index)
        for what, members in groups.items():
            members.sort(key=lambda i: (*self.where(i), i))
            for group in self.grouped(what, members):
                if len(group) > 1:
                    self.join(what, group)
                else:
                    self.alone(group[0])

    # What is joined --------------------------------------------------------------------------------

    def grouped(self, what: Class, members: list[int]) -> Iterator[list[int]]:
        """The members in groups, each for one op."""
        if what.pairwise:
            yield from self.of_one_input_or_shape(members)
        elif (what.kind == "depthwise" and self.options.concat) or (
            what.kind == "norm" and self.options.concat and len(members) >= WORTH
        ):
            yield members
        else:
            yield from self.adjacent(members)

    def of_one_input_or_shape(self, members: list[int]) -> Iterator[list[int]]:
        """Groups that read one tensor or are alike in shape, whichever are fewer."""
        by_input: dict[tuple[int, int], list[int]] = {}
        by_shape: dict[object, list[int]] = {}
        for index in members:
            op = self.op(index)
            if op.attrs.get("groups", 1) == 1:
                by_input.setdefault(self.where(index), []).append(index)
            by_shape.setdefault(shape_of(self.flat, op), []).append(index)
        whole = sum(map(len, by_input.values())) == len(members)
        if whole and (len(by_input) <= len(by_shape) or not self.options.concat):
            yield from by_input.values()
        elif self.options.concat:
            yield from by_shape.values()
        else:
            for alike in by_shape.values():
                yield from self.adjacent(alike)

    def adjacent(self, members: list[int]) -> Iterator[list[int]]:
        """Groups whose inputs stand side by side already."""
        group: list[int] = []
        for index in members:
            op = self.op(index)
            if group and not self.follow(self.op(group[-1]).inputs, op.inputs):
                yield group
                group = []
            group.append(index)
        yield group

    def follow(self, before: Sequence[int], after: Sequence[int]) -> bool:
        pairs = zip(before, after, strict=True) if len(before) == len(after) else ()
        blocks = [(self.layout.place[a], self.layout.place[b]) for a, b in pairs]
        return bool(blocks) and all(a.node == b.node and a.end == b.first for a, b in blocks)

    # What it becomes -------------------------------------------------------------------------------

    def join(self, what: Class, group: list[int]) -> None:
        ops = [self.op(i) for i in group]
        groups = sum(g for op in ops if isinstance(g := op.attrs.get("groups", 1), int))
        arity = len(ops[0].inputs)
        read = [[self.layout.place[op.inputs[k]] for op in ops] for k in range(arity)]
        if what.pairwise and groups == len(ops):
            read[0], groups = _regular(read[0], groups)
        inputs = tuple(map(self.layout.read, read))
        widths: list[Dim] = [op.type.channels for op in ops]
        self.layout.keep_parts(group, joined_op(ops, inputs, groups), widths)

    def alone(self, index: int) -> None:
        node = self.flat.nodes[index]
        if isinstance(node, FlatMix):
            self.layout.keep(index, self.mix(node))
        else:
            self.layout.keep(index, with_sources(node, self.layout.node_of))

    def mix(self, mix: FlatMix) -> FlatMix:
        """The mix of blocks: normalised terms in one tensor, the others in as few as they are in."""
        channels = mix.type.channels
        if not isinstance(channels, int):
            terms = (replace(t, source=self.layout.node_of(t.source)) for t in mix.terms)
            return replace(mix, terms=tuple(terms))
        blocks = {k: self.block(t, channels) for k, t in enumerate(mix.terms)}
        gathered = self.gathered(mix, blocks)
        parts: dict[object, list[int]] = {}
        for k in range(len(mix.terms)):
            parts.setdefault(gathered.get(k, blocks[k].node), []).append(k)
        now = dict(enumerate(mix.terms))
        for which, members in parts.items():
            distinct = sorted({blocks[k] for k in members}, key=lambda b: (b.node, b.first))
            if isinstance(which, int) and len(joined_runs(distinct)) > 1:
                found = {b: (b.node, b.first) for b in distinct}
            else:
                node = self.layout.read(distinct)
                found = {b: (node, place * channels) for place, b in enumerate(distinct)}
            for k in members:
                source, first = found[blocks[k]]
                now[k] = replace(now[k], source=source, first=first)
        return replace(mix, terms=tuple(now.values()))

    def gathered(self, mix: FlatMix, blocks: Mapping[int, Block]) -> dict[int, str]:
        """The terms whose channels are brought side by side: normalised ones, and others that are weighed."""
        if not self.options.concat:
            return {}
        normed = [k for k, t in enumerate(mix.terms) if t.norm and self.options.norm]
        weighed = [k for k, t in enumerate(mix.terms) if t.gates and not t.norm]
        few = len({blocks[k].node for k in weighed}) < FEW
        found = {} if len(normed) < WORTH else dict.fromkeys(normed, "normed")
        return found if few else found | dict.fromkeys(weighed, "weighed")

    def block(self, term: Term, channels: int) -> Block:
        """The channels that a term reads."""
        place = self.layout.place[term.source]
        return Block(place.node, place.first + term.first, channels)

    def where(self, index: int) -> tuple[int, int]:
        """Where what an op reads first stands."""
        place = self.layout.place[self.op(index).inputs[0]]
        return place.node, place.first

    def op(self, index: int) -> FlatOp:
        node = self.flat.nodes[index]
        assert isinstance(node, FlatOp), "only ops have a class"
        return node


def _regular(read: list[Block], groups: int) -> tuple[list[Block], int]:
    """What convolutions without groups read: each tensor once where equally many follow each other on each."""
    once = list(dict.fromkeys(read))
    each, rest = divmod(len(read), len(once))
    if rest == 0 and read == [b for b in once for _ in range(each)]:
        return once, len(once)
    return read, groups
