"""The flat form of a space graph: every call expanded, every decision and weight under its global name.

This is what the back end reads. Nodes are in topological order and refer to each other by index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from spacec.ir.conditions import ALWAYS, Cond
from spacec.ir.ops import AttrValue, OpSpec, Precondition
from spacec.ir.types import TensorType
from spacec.source import NOWHERE, Span

LOSS_PREFIX = "loss:"
"""Begins the names of the ops' losses in what a network without its supernet returns."""


@dataclass(frozen=True)
class FlatOp:
    """A primitive. Sizes in ``attrs`` and ``type`` may be polynomials over decision symbols.

    ``key``: dotted, identifier-safe path of its weights or state (``normal_3.edge_5.conv_0``), empty
    for an op without state; a ``tied`` op appears several times with one key. ``guard``: when the
    node exists in an architecture (its text is selected and its inputs are present).
    """

    spec: OpSpec
    attrs: dict[str, AttrValue]
    inputs: tuple[int, ...]
    type: TensorType
    key: str = ""
    guard: Cond = ALWAYS
    span: Span = field(default=NOWHERE, repr=False)
    frozen: bool = False
    """Its weights are not trained, its norms and drops are always in evaluation."""
    parts: tuple[str, ...] = ()
    """Of a joined op (without a key): the keys of the layers whose weights and state, side by side along the output
    channels in this order, are its own."""
    recompute: bool = False
    """Its result is not kept for the backward pass, which makes it again from the op's input."""


@dataclass(frozen=True)
class Edge:
    """The weight of a picked element: ``element`` of the slot ``slot``, in the activation ``instance``."""

    slot: str
    instance: str
    element: int


@dataclass(frozen=True)
class FlatChoose:
    """A choice: mask slot ``slot``; ``alternatives`` are node indices, ``None`` is absent.

    ``instance`` names this activation of the slot (slots of a shared cell have many), for masks that
    differ per cell instance. ``edge``: a supernet multiplies the result by this weight. With ``bypass`` the candidates
    make the first channels only: the node ``bypass`` makes the others, weighted by the sum of the weights of all
    candidates, and the two are interleaved (:mod:`spacec.passes.partial`).
    """

    slot: str
    alternatives: tuple[int | None, ...]
    type: TensorType
    instance: str
    guard: Cond = ALWAYS
    span: Span = field(default=NOWHERE, repr=False)
    edge: Edge | None = None
    bypass: int | None = None


@dataclass(frozen=True)
class FlatSwitch:
    """The one of ``alternatives`` (node indices, ``None`` is absent) whose condition holds.

    The conditions exclude each other; they mention value decisions by their ids.
    """

    alternatives: tuple[int | None, ...]
    conditions: tuple[Cond, ...]
    type: TensorType
    guard: Cond = ALWAYS
    span: Span = field(default=NOWHERE, repr=False)


@dataclass(frozen=True)
class FlatCall:
    """One of the calls that an entry joins, made inside the entry ``caller`` (``None``: outside all).

    ``gate``: the candidates that lead to it from there, as a condition on masks: its decisions are pairs of slot
    and instance, its candidates indices of the slot's labels.
    """

    caller: int | None
    gate: Cond


@dataclass(frozen=True)
class FlatEntry:
    """A member of a tied family that runs once for calls which exclude each other. Callers come before callees."""

    name: str
    calls: tuple[FlatCall, ...]


@dataclass(frozen=True)
class FlatMeet:
    """An input of a member that runs once: ``sources`` are what the calls of ``entry`` give it, in their order.

    In an architecture it is the source of the one active call, in a supernet the mean of the sources
    weighted by the reach of their calls (:mod:`spacec.ir.entries`).
    """

    entry: int
    sources: tuple[int, ...]
    type: TensorType
    guard: Cond = ALWAYS
    span: Span = field(default=NOWHERE, repr=False)


@dataclass(frozen=True)
class FlatInput:
    """A named input of the network."""

    name: str
    type: TensorType


@dataclass(frozen=True)
class Gate:
    """The mask weight of one candidate, in one activation of its slot; ``None``: the sum of all of its weights."""

    slot: str
    instance: str
    candidate: int | None


@dataclass(frozen=True)
class Term:
    """What a mix adds: channels of ``source`` from ``first`` on, normalised and weighed.

    ``norm`` is the key of the batch norm that stands between; the weight is the product of ``gates``.
    """

    source: int
    gates: tuple[Gate, ...] = ()
    first: int = 0
    norm: str = ""


@dataclass(frozen=True)
class FlatMix:
    """The sum of ``terms``, all of them present: what optimised graphs have for choices and the sums that read them."""

    terms: tuple[Term, ...]
    type: TensorType
    guard: Cond = ALWAYS
    span: Span = field(default=NOWHERE, repr=False)


FlatNode = FlatInput | FlatOp | FlatChoose | FlatSwitch | FlatMeet | FlatMix


def sources_of(node: FlatNode) -> tuple[int, ...]:
    """The nodes that a node may read, in order."""
    match node:
        case FlatOp():
            return node.inputs
        case FlatChoose(bypass=int() as bypass):
            return (*(a for a in node.alternatives if a is not None), bypass)
        case FlatChoose() | FlatSwitch():
            return tuple(a for a in node.alternatives if a is not None)
        case FlatMeet():
            return node.sources
        case FlatMix():
            return tuple(t.source for t in node.terms)
        case FlatInput():
            return ()


def with_sources(node: FlatNode, new: Callable[[int], int]) -> FlatNode:
    """The node with every source replaced; itself where all stay."""
    if all(new(source) == source for source in sources_of(node)):
        return node
    match node:
        case FlatOp():
            return replace(node, inputs=tuple(map(new, node.inputs)))
        case FlatChoose():
            alternatives = tuple(None if a is None else new(a) for a in node.alternatives)
            return replace(node, alternatives=alternatives, bypass=None if node.bypass is None else new(node.bypass))
        case FlatSwitch():
            return replace(node, alternatives=tuple(None if a is None else new(a) for a in node.alternatives))
        case FlatMeet():
            return replace(node, sources=tuple(map(new, node.sources)))
        case FlatMix():
            return replace(node, terms=tuple(replace(t, source=new(t.source)) for t in node.terms))
        case FlatInput():
            return node


@dataclass(frozen=True)
class FlatGraph:
    """``nodes`` in topological order, inputs first; ``outputs`` maps output names to node indices."""

    name: str
    nodes: tuple[FlatNode, ...]
    inputs: tuple[str, ...]
    outputs: dict[str, int]
    preconditions: tuple[Precondition, ...] = ()
    entries: tuple[FlatEntry, ...] = ()


def activation_names(flat: FlatGraph) -> dict[tuple[str, str], str]:
    """What each activation (slot, instance) is called where no slot stands beside it.

    It is the instance, or ``SLOT/INSTANCE`` where activations of several slots have one name: parts without weights
    are numbered by the weights before them, ``act_0`` being the activation function of every layer.
    """
    found: dict[tuple[str, str], None] = {}
    for node in flat.nodes:
        if isinstance(node, FlatChoose):
            found[node.slot, node.instance] = None
            if node.edge is not None:
                found[node.edge.slot, node.edge.instance] = None
    owners: dict[str, set[str]] = {}
    for slot, instance in found:
        owners.setdefault(instance, set()).add(slot)
    return {(s, i): i if len(owners[i]) == 1 else f"{s}/{i}" for s, i in found}
