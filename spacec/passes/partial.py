"""Partial channels: every choice runs its candidates on one share of the channels, the others pass it by.

PC-DARTS (Xu et al., ICLR 2020, eq. 2), for a choice of candidates o from x to y of as many channels, and a share 1/K::

    y = shuffle(concat(Σ_o w_o o(x[: c/K]), (Σ_o w_o) · pool(x[c/K :])))

``pool`` is the maximum over windows of s where the candidates make the map s times smaller, else nothing; the shuffle
interleaves the channels of K groups. Where K does not divide c, the next smaller number that does takes its place. The
factor Σ_o w_o is one under a softmax, and lets a mask scale a whole edge.

Assumes a flat graph. A candidate is narrowed by running the rules of its ops again on narrower inputs: a parameter that
counts channels (:attr:`spacec.ir.ops.OpParam.counts`) is divided by K, rounded up; groups follow where each is one
channel. Whatever the rules refuse, or what does not come out as the c/K channels it should, leaves its choice as it
was, with the reason. A choice inside a narrowed one runs on the narrow channels. Guarantees slots, instances, edges,
keys and conditions as they were; and with K = 1 the graph itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from spacec.ir.dims import Dim
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatMeet, FlatNode, FlatOp, sources_of
from spacec.ir.ops import AttrValue, RuleError
from spacec.ir.quotients import ceil_div
from spacec.ir.sizes import same
from spacec.ir.types import TensorType
from spacec.passes.shares import Region, narrowed_graph

MAX_STRIDE = 8
"""The largest factor by which a choice may shrink its maps."""


@dataclass(frozen=True)
class Narrowed:
    """What became of a graph: ``narrowed`` has the number of parts of choices by instance, ``whole`` the choices left
    in full, each with why; ``regions`` what was narrowed, by node of the choice."""

    flat: FlatGraph
    narrowed: Mapping[str, int] = field(default_factory=dict)
    whole: Mapping[str, str] = field(default_factory=dict)
    regions: Mapping[int, Region] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class PartialChannels:
    """The pass: choices run on ``1/parts`` of their channels, or on the next larger share that is whole channels."""

    parts: int

    def __post_init__(self) -> None:
        if isinstance(self.parts, bool) or not isinstance(self.parts, int) or self.parts < 1:
            raise ValueError(f"the channels are split into 1 part or more, not {self.parts!r}")

    def apply(self, flat: FlatGraph) -> Narrowed:
        """The graph with its choices narrowed."""
        if self.parts == 1:
            return Narrowed(flat)
        work = _Analysis(flat, self.parts)
        for index in range(len(flat.nodes) - 1, -1, -1):
            work.consider(index)
        work.settle_keys()
        instances = {i: n.instance for i, n in enumerate(flat.nodes) if isinstance(n, FlatChoose)}
        done = {instances[i]: work.found[i].parts for i in sorted(work.found)}
        whole = {instances[i]: work.refused[i] for i in sorted(work.refused)}
        return Narrowed(narrowed_graph(flat, work.found), done, whole, work.found)


class _Refusal(Exception):
    """Why a choice runs in full."""


class _Analysis:
    def __init__(self, flat: FlatGraph, parts: int) -> None:
        self.flat = flat
        self.parts = parts
        self.found: dict[int, Region] = {}
        self.refused: dict[int, str] = {}
        self.inside: set[int] = set()
        """Nodes of the regions found."""
        self.readers: list[list[int]] = [[] for _ in flat.nodes]
        for index, node in enumerate(flat.nodes):
            for source in set(sources_of(node)):
                self.readers[source].append(index)
        self.outputs = frozenset(flat.outputs.values())

    def consider(self, index: int) -> None:
        """Narrow the choice at ``index`` if it can be; those around it come first."""
        node = self.flat.nodes[index]
        if not isinstance(node, FlatChoose) or index in self.inside:
            return
        try:
            region = self.region(index, node)
        except _Refusal as refusal:
            self.refused[index] = str(refusal)
            return
        self.found[index] = region
        self.inside.update(region.nodes)

    def region(self, index: int, choice: FlatChoose) -> Region:
        """What to narrow of a choice. Raises :class:`_Refusal`."""
        source, between = self.between(choice)
        x = self.flat.nodes[source].type
        parts, stride = self.share_of(x, choice.type)
        assert isinstance(x.channels, int), "decided channels have no share"
        channels = x.channels // parts
        self.check_own(index, between)
        types = {source: TensorType(channels, x.space, x.kind)}
        nodes: dict[int, FlatNode] = {}
        for i in between:
            nodes[i] = self.narrowed(self.flat.nodes[i], types, parts)
            types[i] = nodes[i].type
        wanted = TensorType(channels, choice.type.space, choice.type.kind)
        for k, alternative in enumerate(choice.alternatives):
            if alternative is not None and not _alike(types[alternative], wanted):
                raise _Refusal(f"candidate {k} gives {types[alternative]} on {channels} channels, not {wanted}")
        return Region(source, parts, channels, stride, nodes)

    def between(self, choice: FlatChoose) -> tuple[int, list[int]]:
        """The nearest tensor through which all candidates read, and the nodes after it, in order."""
        present = [a for a in choice.alternatives if a is not None]
        if len(present) < 2:
            raise _Refusal("it has one candidate, which mixes nothing")
        frontier: set[int] = set(present)
        passed: list[int] = []
        merged = len(frontier) == 1  # all candidates end in one member that runs once
        while len(frontier) > 1 or (merged and (not passed or self.meets(frontier))):
            last = max(frontier)
            frontier.remove(last)
            sources = sources_of(self.flat.nodes[last])
            if not sources:
                raise _Refusal("its candidates read different tensors")
            passed.append(last)
            frontier.update(sources)
        return frontier.pop(), passed[::-1]

    def meets(self, frontier: set[int]) -> bool:
        """Whether what is left is where the calls of a member meet, so that the candidates begin before it."""
        return all(isinstance(self.flat.nodes[i], FlatMeet) for i in frontier)

    def share_of(self, x: TensorType, y: TensorType) -> tuple[int, tuple[int, ...]]:
        """Parts of the channels, of which the candidates get one, and the stride of the others along each axis."""
        if x.kind == "tokens" or x.kind != y.kind or x.rank != y.rank:
            raise _Refusal(f"its candidates make {y} of {x}")
        if not isinstance(x.channels, int) or not isinstance(y.channels, int):
            raise _Refusal(f"its channels are decided: {x}")
        if x.channels != y.channels:
            raise _Refusal(f"its candidates make {y.channels} channels of {x.channels}")
        parts = next(k for k in range(self.parts, 0, -1) if x.channels % k == 0)
        if parts == 1:
            raise _Refusal(f"its {x.channels} channels do not split into {self.parts} or fewer")
        return parts, tuple(_stride(n, m) for n, m in zip(x.space, y.space, strict=True))

    def check_own(self, index: int, between: list[int]) -> None:
        """Raises :class:`_Refusal` where weights or choices of the candidates serve others too."""
        own = {*between, index}
        shared: set[int] = set()
        for i in reversed(between):
            node = self.flat.nodes[i]
            if i not in shared and i not in self.outputs and own.issuperset(self.readers[i]):
                continue
            shared.update(sources_of(node))
            if not isinstance(node, FlatOp) or node.key:
                name = node.key if isinstance(node, FlatOp) else "a choice"
                raise _Refusal(f"its candidates share {name} with the rest of the network")

    def narrowed(self, node: FlatNode, types: Mapping[int, TensorType], parts: int) -> FlatNode:
        """A node on narrower sources. Raises :class:`_Refusal`."""
        if isinstance(node, FlatOp):
            return self.narrowed_op(node, tuple(types[i] for i in node.inputs), parts)
        assert not isinstance(node, FlatInput), "an input has no sources"
        options = (types[i] for i in sources_of(node))
        first = next(options)
        if not all(_alike(first, other) for other in options):
            raise _Refusal("candidates of a choice inside it come out in different sizes")
        return replace(node, type=first)

    def narrowed_op(self, op: FlatOp, inputs: tuple[TensorType, ...], parts: int) -> FlatOp:
        attrs = dict(op.attrs)
        before = self.flat.nodes[op.inputs[0]].type.channels
        for param in op.spec.params:
            value = attrs.get(param.name)
            if param.counts == "channels":
                attrs[param.name] = _divided(op, value, parts)
            elif param.counts == "groups" and value != 1 and value == before:
                attrs[param.name] = inputs[0].channels
        try:
            result = op.spec.rule(attrs, inputs)
        except RuleError as error:
            raise _Refusal(f"{op.spec.name}: {error.message}") from None
        if result.preconditions or result.bounds:
            raise _Refusal(f"`{op.spec.name}` would need conditions on sizes")
        return replace(op, attrs=attrs, type=result.type)

    def settle_keys(self) -> None:
        """Give up choices until all uses of the same weights have the same sizes."""
        while wrong := self.disagreeing():
            for index in [i for i, r in self.found.items() if wrong & _keys(r.nodes.values())]:
                key = min(wrong & _keys(self.found[index].nodes.values()))
                self.refused[index] = f"it shares the weights {key} with a place of another size"
                del self.found[index]

    def disagreeing(self) -> set[str]:
        """Keys whose uses differ in size."""
        owner = {i: region for region in self.found.values() for i in region.nodes}
        forms: dict[str, object] = {}
        wrong: set[str] = set()
        for index, node in enumerate(self.flat.nodes):
            if not isinstance(node, FlatOp) or not node.key:
                continue
            region = owner.get(index)
            now = node if region is None else region.nodes[index]
            given = [self.flat.nodes[i].type.channels if region is None else region.width(i) for i in node.inputs]
            form = (tuple(now.attrs.items()), now.type.channels, given) if isinstance(now, FlatOp) else None
            if forms.setdefault(node.key, form) != form:
                wrong.add(node.key)
        return wrong


def _divided(op: FlatOp, channels: AttrValue, parts: int) -> int:
    if isinstance(channels, bool) or not isinstance(channels, int):
        raise _Refusal(f"the channels of its `{op.spec.name}` are decided: {channels}")
    return -(-channels // parts)


def _keys(nodes: Iterable[FlatNode]) -> set[str]:
    return {n.key for n in nodes if isinstance(n, FlatOp) and n.key}


def _alike(a: TensorType, b: TensorType) -> bool:
    return a == b or (
        a.kind == b.kind and a.rank == b.rank and all(same(p, q) is True for p, q in zip(a.dims, b.dims, strict=True))
    )


def _stride(n: Dim, m: Dim) -> int:
    found = next((s for s in range(1, MAX_STRIDE + 1) if same(ceil_div(n, s), m) is True), None)
    if found is None:
        raise _Refusal(f"its candidates make a size of {m} of one of {n}")
    return found
