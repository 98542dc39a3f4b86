"""The flat form of a space graph: every call expanded, every decision and weight under its global name.

This is what the back end reads. Nodes are in topological order and refer to each other by index.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class FlatChoose:
    """A choice: mask slot ``slot``; ``alternatives`` are node indices, ``None`` is absent.

    ``instance`` names this activation of the slot (slots of a shared cell have many), for masks that
    differ per cell instance.
    """

    slot: str
    alternatives: tuple[int | None, ...]
    type: TensorType
    instance: str
    guard: Cond = ALWAYS
    span: Span = field(default=NOWHERE, repr=False)


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
class FlatInput:
    """A named input of the network."""

    name: str
    type: TensorType


FlatNode = FlatInput | FlatOp | FlatChoose | FlatSwitch


@dataclass(frozen=True)
class FlatGraph:
    """``nodes`` in topological order, inputs first; ``outputs`` maps output names to node indices."""

    name: str
    nodes: tuple[FlatNode, ...]
    inputs: tuple[str, ...]
    outputs: dict[str, int]
    preconditions: tuple[Precondition, ...] = ()
