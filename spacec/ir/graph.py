"""The space graph: regions of primitive ops, choices and calls, shared wherever the text is.

A :class:`Region` is one definition elaborated for one set of static arguments and input types; it
is elaborated once and called from many places. Everything inside is relative to the region: paths,
conditions, presence. :mod:`spacec.ir.flatten` expands calls and gives decisions and weights their
global names. Nodes are in topological order; a :class:`Ref` names one output of one node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from spacec.ir.conditions import ALWAYS, Cond
from spacec.ir.dims import Symbol
from spacec.ir.ops import AttrValue, OpResult, OpSpec, Precondition
from spacec.ir.types import TensorType
from spacec.source import NOWHERE, Span

if TYPE_CHECKING:
    import networkx

DecisionKind = Literal["op", "subset", "value", "depth"]


@dataclass(frozen=True)
class Ref:
    """Output ``out`` of node ``node`` of the region at hand."""

    node: int
    out: int = 0


@dataclass(eq=False)
class Step:
    """One step of a path inside a region: a definition, label or argument entered.

    Ordinals count siblings of the same name, separately for steps that bear decisions and for
    steps that bear state, so that code without either renames nothing. They are given when the
    region is complete.
    """

    name: str
    parent: Step | None = None
    decides: bool = False
    stateful: bool = False
    frozen: bool = False
    """Everything entered from here has weights that are not trained."""
    decision_ordinal: int = 0
    state_ordinal: int = 0
    decision_path: str | None = None
    state_path: str | None = None
    """Kept by :mod:`spacec.ir.naming` from when the ordinals are given: a large space asks for them very often."""

    def mark(self, *, decides: bool = False, stateful: bool = False) -> None:
        """Record on this step and its parents what they bear."""
        step: Step | None = self
        while step is not None:
            step.decides |= decides
            step.stateful |= stateful
            step = step.parent


@dataclass(eq=False)
class Binder:
    """A ``let`` or ``tied`` (one per family member); ``home`` is the step that owns a local one."""

    kind: Literal["let", "tied"]
    name: str
    span: Span = NOWHERE
    home: Step | None = None
    region: Region | None = None
    """The region of a local one (inside a ``dag``, or inline): its ids hang below the activation that declares it."""
    member: bool = False
    """One of an indexed family."""

    @property
    def local(self) -> bool:
        return self.region is not None


@dataclass(eq=False)
class DecisionDecl:
    """A decision as declared in a region.

    ``labels`` name the candidates of ``op``, ``value`` and ``depth``; ``values`` are what they give
    (numbers, strings). A ``subset`` picks ``low`` to ``high`` of ``size`` elements. ``condition``:
    when it is active, relative to the region.
    """

    kind: DecisionKind
    step: Step
    labels: tuple[str, ...] = ()
    values: tuple[AttrValue, ...] = ()
    priors: tuple[float, ...] | None = None
    low: int = 0
    high: int = 0
    size: int = 0
    elastic: bool = False
    condition: Cond = ALWAYS
    span: Span = NOWHERE
    symbol: Symbol | None = None
    """The size symbol that an elastic value decision puts into types."""
    slot: SlotDecl | None = None
    """Its mask slot (``None`` for a subset, whose elements have one each)."""
    name: str = ""
    """What messages call a value."""
    single: bool = False
    """It has one global id wherever it is mentioned, so its declaration alone names it: a value that is handed on."""
    sized: bool = False
    """Which candidate or elements it takes decides sizes that no mixture has."""


@dataclass(frozen=True, eq=False)
class DecisionRef:
    """A decision seen from a region: the calls that lead to it, then the declaration."""

    calls: tuple[Call, ...]
    decision: DecisionDecl

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, DecisionRef)
            and self.decision is other.decision
            and len(self.calls) == len(other.calls)
            and all(a is b for a, b in zip(self.calls, other.calls, strict=True))
        )

    @cached_property
    def _hash(self) -> int:
        return hash((id(self.decision), *map(id, self.calls)))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True, eq=False)
class Mention:
    """A decision that sizes speak of, seen from the region where they are written.

    It is the ``ref`` of their presence symbols; ``name`` is for readers, ``order`` its place among all.
    """

    ref: DecisionRef
    name: str
    order: int


@dataclass(eq=False)
class SlotDecl:
    """A mask slot of the supernet: what one softmax ranges over.

    A choice has one slot with its labels. An element of a pick has one slot: *absent* first
    (if ``absent``), then the labels of the body's one choice, or the single label ``present``.
    Where the pick's edges are weighed, its elements share ``edges``: a slot with one label for each of
    them, which has ``edge_weights``, and whose ``weighs`` is the pick (``None`` where the subset is forced).
    """

    step: Step
    labels: tuple[str, ...]
    decision: DecisionDecl | None = None
    pick: DecisionDecl | None = None
    element: int = 0
    absent: bool = False
    priors: tuple[float, ...] | None = None
    edges: SlotDecl | None = None
    edge_weights: bool = False
    """It weighs the elements of a pick against each other."""
    weighs: DecisionDecl | None = None


@dataclass(eq=False)
class OpNode:
    """A primitive applied; ``result`` carries the type and the cost of one application."""

    spec: OpSpec
    attrs: dict[str, AttrValue]
    inputs: tuple[Ref, ...]
    result: OpResult
    step: Step | None
    guard: Cond = ALWAYS
    span: Span = NOWHERE


@dataclass(eq=False)
class ChooseNode:
    """One of ``alternatives`` (``None`` is absent), in the order of the slot's labels.

    In a supernet the slot's mask weighs them; in an architecture the slot's decisions select one.
    """

    slot: SlotDecl
    alternatives: tuple[Ref | None, ...]
    type: TensorType
    guard: Cond = ALWAYS
    span: Span = NOWHERE


@dataclass(eq=False)
class SwitchNode:
    """The one of ``alternatives`` (``None`` is absent) whose condition holds: a choice that other decisions determine.

    The conditions exclude each other, and one of them holds wherever the decisions they mention are
    active. A switch is no decision and has no slot.
    """

    alternatives: tuple[Ref | None, ...]
    conditions: tuple[Cond, ...]
    type: TensorType
    guard: Cond = ALWAYS
    span: Span = NOWHERE


@dataclass(eq=False)
class CallNode:
    """A region entered; ``binder`` is set where a ``let`` or ``tied`` is used."""

    region: Region
    inputs: tuple[Ref, ...]
    step: Step
    binder: Binder | None = None
    guard: Cond = ALWAYS
    span: Span = NOWHERE


Call = CallNode
Node = OpNode | ChooseNode | SwitchNode | CallNode


@dataclass(frozen=True)
class Output:
    """A result of a region, with its type and when it is present (relative to the region)."""

    ref: Ref
    type: TensorType
    presence: Cond = ALWAYS


@dataclass(eq=False)
class Region:
    """A definition elaborated once. Nodes ``0 … len(inputs) - 1`` stand for the inputs."""

    name: str
    inputs: tuple[TensorType, ...]
    nodes: list[Node] = field(default_factory=list)
    outputs: tuple[Output, ...] = ()
    decisions: list[DecisionDecl] = field(default_factory=list)
    slots: list[SlotDecl] = field(default_factory=list)
    binders: list[Binder] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)
    """Decisions whose presence sizes written here speak of."""
    decides: bool = False
    """Bears decisions of its caller's owner (those of a top-level let or tied do not count)."""
    searches: bool = False
    """Contains any decision at all, a let's included."""
    singles: bool = False
    """Contains a decision that its declaration alone names: one activation of a binder, or of the text."""
    stateful: bool = False
    expanded: int = 0
    """Nodes with every call written out."""
    preconditions: tuple[Precondition, ...] = ()


@dataclass(frozen=True)
class Port:
    """A named input or output of the space."""

    name: str
    type: TensorType
    span: Span = field(default=NOWHERE, compare=False)


MemberUse = tuple[str, int]
"""A member of a ``tied`` family as it is used with one set of types: its global name, and its region's identity."""


@dataclass(eq=False)
class SpaceGraph:
    """The whole space: its root region and its ports."""

    name: str
    root: Region
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    merged: tuple[MemberUse, ...] = ()
    """Members whose calls exclude each other and run once, callers first (:mod:`spacec.passes.merge_calls`)."""

    def regions(self) -> list[Region]:
        """Every distinct region, callees first."""
        seen: dict[int, Region] = {}
        stack: list[tuple[Region, bool]] = [(self.root, False)]
        while stack:
            region, done = stack.pop()
            if done:
                seen.setdefault(id(region), region)
                continue
            if id(region) in seen:
                continue
            stack.append((region, True))
            stack.extend((n.region, False) for n in region.nodes if isinstance(n, CallNode))
        return list(seen.values())

    def to_networkx(self) -> networkx.DiGraph:
        """The call structure as a directed graph: one node per region, edges to callees (with counts)."""
        import networkx  # heavy, and only drawings and analyses need it

        graph = networkx.DiGraph()
        for index, region in enumerate(self.regions()):
            graph.add_node(id(region), name=region.name, order=index, ops=len(region.nodes))
        for region in self.regions():
            for node in region.nodes:
                if isinstance(node, CallNode):
                    count = graph.get_edge_data(id(region), id(node.region), {"count": 0})["count"]
                    graph.add_edge(id(region), id(node.region), count=count + 1)
        return graph
