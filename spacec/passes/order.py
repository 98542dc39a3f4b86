"""The order in which nodes run, for a low peak of memory.

The model. A node's value takes as many bytes as its type has elements, free sizes of inputs and sizes that decisions
settle at a value each. It is there from when it is computed until its last reader ran; what autograd holds for the
backward pass stays for good in training: :data:`HELD` tells which ops hold their inputs and which their result. Views
(an identity, some channels in a row) and workspaces are not modelled.

The order is made by a list scheduler: of the nodes whose inputs are there, the one that leaves the least memory behind
is next, and of equals the one that came first; once as in training, once as in evaluation. What counts is the product
of both peaks, and the given order is kept where that is no lower. In training, where most values are held, order
changes little; evaluation gains.

Assumes a flat graph. Guarantees that what draws random numbers, and layers that run several times, keep their order
among each other: so the draws are those of the plain form, and running statistics are updated alike. Ops with state
that do not say that they are repeatable (:class:`spacec.ir.ops.OpLaws`) count as drawing.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from spacec.ir.dims import Dim
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatMix, FlatNode, FlatOp, sources_of, with_sources
from spacec.ir.sizes import evaluate
from spacec.ir.symbol import Symbol
from spacec.passes.base import Builder

Holds = Literal["inputs", "result", "nothing"]

HELD: Mapping[str, Holds] = {
    **dict.fromkeys(("relu", "relu6", "sigmoid", "tanh", "elu", "softplus"), "result"),
    **dict.fromkeys(
        ("sum", "concat", "identity", "zero", "upsample", "narrow", "share", "shift", "flatten", "global_pool"),
        "nothing",
    ),
    **dict.fromkeys(("avg_pool", "times", "token", "rest", "above", "noise", "broadcast", "bias"), "nothing"),
}
"""What autograd holds of an op; any other holds its inputs."""

FREE_SIZE = 32
"""What a size is taken to be that nothing settles."""


@dataclass(frozen=True)
class Order:
    """Run in an order of low peak memory."""

    name: ClassVar[str] = "order"

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph with its nodes in the order in which they run."""
        models = [Memory.of(flat, hold) for hold in (True, False)]
        given = list(range(len(flat.nodes)))
        orders = [given, *(_scheduled(flat, model) for model in models)]
        found = min(orders, key=lambda order: math.prod(model.peak(flat, order) for model in models))
        if found is given:
            return flat
        builder = Builder()
        for index in found:
            builder.place[index] = builder.add(with_sources(flat.nodes[index], builder.place.__getitem__))
        return builder.graph(flat)


@dataclass(frozen=True)
class Memory:
    """The model: elements of every value, how often it is read, and whether it stays for good."""

    size: Sequence[int]
    readers: Sequence[int]
    held: Sequence[bool]

    @classmethod
    def of(cls, flat: FlatGraph, hold: bool) -> Memory:
        """Of a graph, as in training with ``hold``, else as in evaluation."""
        known: dict[Dim, int] = {}
        size = []
        readers = [0] * len(flat.nodes)
        held = [False] * len(flat.nodes)
        for index, node in enumerate(flat.nodes):
            elements = node.type.elements
            if elements not in known:
                known[elements] = max(1, round(evaluate(elements, _value)))
            size.append(known[elements])
            for source in set(sources_of(node)):
                readers[source] += 1
            for at in _held(index, node) if hold else ():
                held[at] = True
        for index in flat.outputs.values():
            held[index] = True
        return cls(size, readers, held)

    def peak(self, flat: FlatGraph, order: Sequence[int]) -> int:
        """Most elements that are there at once when the nodes run in this order."""
        left = list(self.readers)
        now = peak = 0
        for index in order:
            now += self.size[index]
            peak = max(peak, now)
            for source in set(sources_of(flat.nodes[index])):
                left[source] -= 1
                now -= self.size[source] if not left[source] and not self.held[source] else 0
            now -= self.size[index] if not left[index] and not self.held[index] else 0
        return peak


def _value(symbol: Symbol) -> int:
    return max(symbol.domain) if symbol.domain else FREE_SIZE


def _held(index: int, node: FlatNode) -> Iterator[int]:
    """The nodes whose values a node's backward pass reads."""
    match node:
        case FlatOp():
            holds = HELD.get(node.spec.name, "inputs")
            if holds == "inputs":
                yield from node.inputs
            elif holds == "result":
                yield index
        case FlatMix():
            yield from (term.source for term in node.terms if term.gates or term.norm)
        case FlatChoose():
            yield from sources_of(node)
        case FlatInput():
            yield index


def _scheduled(flat: FlatGraph, memory: Memory) -> list[int]:
    """The order of the list scheduler."""
    work = _Scheduler(flat, memory)
    found: list[int] = []
    while work.ready:
        cost, index = heapq.heappop(work.ready)
        if cost != work.cost[index]:
            continue  # it is in the heap again, with what it costs now
        found.append(index)
        work.run(index)
    assert len(found) == len(flat.nodes), "every node becomes ready"
    return found


@dataclass
class _Scheduler:
    """``waits``: how many nodes must run before each; ``cost``: what running it now adds to the memory, if ready."""

    flat: FlatGraph
    memory: Memory
    waits: list[int] = field(default_factory=list)
    after: list[list[int]] = field(default_factory=list)
    cost: list[int | None] = field(default_factory=list)
    ready: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sources = [tuple(dict.fromkeys(sources_of(node))) for node in self.flat.nodes]
        self.left = list(self.memory.readers)
        self.after = [[] for _ in self.flat.nodes]
        self.readers: list[list[int]] = [[] for _ in self.flat.nodes]
        for index, sources in enumerate(self.sources):
            for source in sources:
                self.readers[source].append(index)
                self.after[source].append(index)
        for early, late in _kept_order(self.flat):
            self.after[early].append(late)
        self.waits = [0] * len(self.flat.nodes)
        for found in self.after:
            for index in found:
                self.waits[index] += 1
        self.cost = [None] * len(self.flat.nodes)
        for index, count in enumerate(self.waits):
            if not count:
                self.offer(index)

    def offer(self, index: int) -> None:
        """Put a ready node into the heap with what it costs now."""
        memory = self.memory
        cost = memory.size[index] if memory.readers[index] or memory.held[index] else 0
        for source in self.sources[index]:
            if self.left[source] == 1 and not memory.held[source]:
                cost -= memory.size[source]
        if cost != self.cost[index]:
            self.cost[index] = cost
            heapq.heappush(self.ready, (cost, index))

    def run(self, index: int) -> None:
        self.cost[index] = None
        for source in self.sources[index]:
            self.left[source] -= 1
            if self.left[source] == 1:
                for reader in self.readers[source]:
                    if self.cost[reader] is not None:
                        self.offer(reader)
        for later in self.after[index]:
            self.waits[later] -= 1
            if not self.waits[later]:
                self.offer(later)


def _kept_order(flat: FlatGraph) -> Iterator[tuple[int, int]]:
    """Pairs of nodes that stay one after the other: inputs first, then draws, and the runs of each layer."""
    inputs = [i for i, n in enumerate(flat.nodes) if isinstance(n, FlatInput)]
    yield from itertools.pairwise(inputs)
    last: dict[str, int] = {}
    for index, node in enumerate(flat.nodes):
        if inputs and not isinstance(node, FlatInput) and not sources_of(node):
            yield inputs[-1], index
        for layer in _layers(node):
            if layer in last and last[layer] != index:
                yield last[layer], index
            last[layer] = index


def _layers(node: FlatNode) -> Iterator[str]:
    """The layers that a node runs; what draws counts as one and the same."""
    match node:
        case FlatOp():
            yield from (key for key in (node.key, *node.parts) if key)
            if node.spec.state and not node.spec.laws.repeatable:
                yield "?"
        case FlatMix():
            yield from (term.norm for term in node.terms if term.norm)
