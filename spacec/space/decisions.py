"""Decisions, mask slots and costs of a space, under their global names.

A :class:`DecisionTable` is all that the space algebra knows: what can be chosen, when, what it
costs, and what is forbidden. It holds no graph and no torch.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import comb
from typing import Any, Literal

from spacec.ir.conditions import ALWAYS, Cond
from spacec.ir.dims import Dim
from spacec.ir.graph import DecisionKind
from spacec.ir.ops import AttrValue
from spacec.source import NOWHERE, Span


@dataclass(frozen=True)
class Decision:
    """One thing an architecture decides.

    ``kind``: ``"op"`` (an operation), ``"value"``, ``"depth"`` take one candidate index;
    ``"subset"`` takes a sorted tuple of ``low`` to ``high`` element indices out of ``size``.
    ``active``: when it is asked, over ids of other decisions. ``owner`` is the let or tied member
    that owns it, or ``net``.
    """

    id: str
    owner: str
    kind: DecisionKind
    labels: tuple[str, ...] = ()
    values: tuple[AttrValue, ...] = ()
    priors: tuple[float, ...] | None = None
    low: int = 0
    high: int = 0
    size: int = 0
    elastic: bool = False
    active: Cond = field(default=ALWAYS, repr=False)
    span: Span = field(default=NOWHERE, compare=False, repr=False)
    grows: bool | None = True
    """Of an elastic value: whether sizes that mention it grow with it; ``False``: shrink, ``None``: some do each."""

    @property
    def cardinality(self) -> int:
        """How many values it can take."""
        if self.kind == "subset":
            return sum(comb(self.size, k) for k in range(self.low, self.high + 1))
        return len(self.labels)


@dataclass(frozen=True)
class Slot:
    """A mask slot of the supernet; ``labels`` include ``absent`` first where ``absent`` is true.

    ``decision`` is the id of the operation decision it relaxes (``None`` for a bare gate),
    ``pick`` the id of the subset decision whose ``element`` it is (``None`` outside picks).
    With ``edges`` it weighs the elements of a pick against each other, one label each; ``weighs`` is then the
    id of the pick's subset decision (``None`` where the subset is forced).
    """

    id: str
    labels: tuple[str, ...]
    decision: str | None = None
    pick: str | None = None
    element: int = 0
    absent: bool = False
    priors: tuple[float, ...] | None = None
    sized: bool = False
    """What it takes decides sizes that no mixture has: its mask is an index, or one path."""
    edges: bool = False
    weighs: str | None = None

    @property
    def size(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class CostTerm:
    """``amount`` is added to a cost where ``when`` holds; amounts may mention elastic decisions.

    A symbol in ``amount`` has ``name`` equal to the decision's id and the decision's values as domain.
    """

    when: Cond
    amount: Dim


@dataclass(frozen=True)
class Constraint:
    """``left op right``: polynomials over decision symbols and cost symbols.

    A cost symbol has ``ref="cost"`` and the name of an entry of :attr:`DecisionTable.costs`. A
    comparison that mentions an inactive decision holds vacuously.
    """

    left: Dim
    op: Literal["<=", ">=", "==", "!=", "<", ">"]
    right: Dim
    text: str = ""
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Need:
    """An output of the space, and when it is there: an absent output is no architecture."""

    output: str
    when: Cond
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Forbidden:
    """Fails exactly where ``when`` holds: what a comparison of texts or labels comes to."""

    when: Cond
    text: str = ""
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Junction:
    """All (``conjunction``) or any of the parts hold; without parts it is true, or false."""

    conjunction: bool
    parts: tuple[Limit, ...]
    text: str = ""
    span: Span = field(default=NOWHERE, compare=False, repr=False)


Limit = Constraint | Forbidden | Junction
"""One condition of a ``where``."""


@dataclass(frozen=True)
class DecisionTable:
    """Everything the space algebra needs. ``decisions`` are in a stable order, conditions refer to earlier ones.

    ``needs`` hold in every architecture, ``constraints`` (the ``where``) in those that are valid in this form.
    """

    space: str
    digest: str
    decisions: tuple[Decision, ...]
    slots: tuple[Slot, ...] = ()
    costs: Mapping[str, tuple[CostTerm, ...]] = field(default_factory=dict)
    constraints: tuple[Limit, ...] = ()
    owner_digests: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    memo: dict[Hashable, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """What the algebra has derived from this table (compiled diagrams, text tokens): never part of its value."""

    @cached_property
    def by_id(self) -> dict[str, Decision]:
        return {d.id: d for d in self.decisions}

    @cached_property
    def owners(self) -> tuple[str, ...]:
        """Owners that have decisions, in order of their first one."""
        return tuple(dict.fromkeys(d.owner for d in self.decisions))
