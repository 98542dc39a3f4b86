"""The network of one owner as one list of nodes: what its normal form, and what lives in it, are read from.

A :class:`Body` is a region (of the whole space, of a ``let`` or a ``tied``) with every call that decides nothing for
itself written out; calls of lets and tied members stay, each with a body of its own. Decisions have their global ids,
sizes are functions of these. Nodes are in topological order. :mod:`spacec.space.written` makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from spacec.ir.conditions import Cond, holds
from spacec.ir.graph import OpNode, Region
from spacec.ir.ops import AttrValue, OpLaws
from spacec.ir.types import TensorType
from spacec.space.values import Value


@dataclass(frozen=True)
class Open:
    """Stands for the value of a decision that is left open, among some candidates; of none: among all."""

    candidates: tuple[int, ...] = ()

    HOLE: ClassVar[Open]
    """Any candidate."""


Open.HOLE = Open()

Decide = Callable[[str], "Value | Open | None"]
"""The value of a decision, ``None`` where it is inactive, or which candidates are left open."""


class NotOpen(Exception):
    """A decision (its id) was left open whose candidates are not alike; groups of those that are, if known."""


def _settled(value: Value | Open | None) -> Value | None:
    return None if isinstance(value, Open) else value


@dataclass(slots=True, eq=False)
class InputCode:
    """Input ``place`` of the body."""

    place: int


@dataclass(slots=True, eq=False)
class OpCode:
    """A primitive. ``label`` is ready where no decision enters its attributes."""

    op: OpNode
    inputs: tuple[int, ...]
    laws: OpLaws
    weights: str
    attrs: dict[str, AttrValue]
    """With decisions by their global ids; ``*`` for a size that is not compared."""
    type: TensorType
    sources: tuple[TensorType, ...]
    frozen: bool
    label: str | None = None
    apart: bool = False
    """Its label hides a size that is not compared, so that equal labels do not mean equal vertices."""
    uneven: bool = False
    """Such a size enters its type."""
    mentions: tuple[str, ...] = ()
    """Decisions that enter its attributes."""
    typed: tuple[str, ...] = ()
    """Decisions that enter the types of its inputs, which show where these are zeros."""


@dataclass(slots=True, eq=False)
class ChooseCode:
    """A choice: the candidate of ``decision``, behind the gate of an element of ``pick``."""

    decision: str | None
    pick: str | None
    element: int
    shift: int
    """Candidates that are absent come first."""
    alternatives: tuple[int | None, ...]
    chains: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    """Alternatives that are chains of ops with one input and no decision: the node they begin from, the ops."""

    def taken(self, decide: Decide) -> int | Open | None:
        """The node that is chosen, if one is, or among which candidates it is left open."""
        if self.pick is not None:
            picked = decide(self.pick)
            if not isinstance(picked, tuple) or self.element not in picked:
                return None
        own = 0 if self.decision is None else decide(self.decision)
        return self.alternatives[own + self.shift] if isinstance(own, int) else own if isinstance(own, Open) else None


@dataclass(slots=True, eq=False)
class SwitchCode:
    """What other decisions choose."""

    conditions: tuple[Cond, ...]
    alternatives: tuple[int | None, ...]
    mentions: tuple[str, ...]

    def taken(self, decide: Decide) -> int | None:
        """The node whose condition holds, if it is there."""
        known = {d: decide(d) for d in self.mentions}
        for decision, value in known.items():
            if isinstance(value, Open):
                raise NotOpen(decision)
        pairs = zip(self.conditions, self.alternatives, strict=True)
        return next((a for c, a in pairs if holds(c, lambda d: _settled(known[str(d)]))), None)


@dataclass(slots=True, eq=False)
class CallCode:
    """A let or a tied member used. ``weights``: the key of its weights; ``name``: where other bodies share them."""

    body: Body
    inputs: tuple[int, ...]
    weights: str
    name: str


@dataclass(slots=True, eq=False)
class OutCode:
    """Output ``place`` of the call that is node ``call``."""

    call: int
    place: int


Code = InputCode | OpCode | ChooseCode | SwitchCode | CallCode | OutCode


@dataclass(slots=True, eq=False)
class Body:
    """The network of one owner; ``nodes`` begin with its inputs."""

    owner: str
    region: Region
    nodes: list[Code] = field(default_factory=list)
    types: list[TensorType] = field(default_factory=list)
    """Of each node; decisions in sizes have their global ids."""
    outputs: tuple[int, ...] = ()
    mentions: tuple[str, ...] = ()
    """Every decision that it depends on, calls included."""
    names: tuple[str, ...] = ()
    """Of its inputs."""
    askers: dict[str, int] = field(default_factory=dict)
    """How many nodes, of calls too, ask each decision."""


def mentioned(code: Code) -> Iterator[str]:
    """Decisions that a node asks itself."""
    match code:
        case OpCode() | SwitchCode():
            yield from code.mentions
        case ChooseCode():
            yield from (d for d in (code.decision, code.pick) if d is not None)
