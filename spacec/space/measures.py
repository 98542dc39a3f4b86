"""Costs that a ``where`` measures beside those of the loaded form.

A :class:`Measure` says what a cost symbol stands for; :func:`counted` gives the terms of those that
the decisions alone settle, :func:`at_sizes` those of a form at given sizes of its inputs. Other forms have to be
compiled and latency tables to be read first: :mod:`spacec.measuring` does both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from spacec.ir.conditions import Has, Is, both
from spacec.ir.dims import Dim, poly, symbols
from spacec.ir.sizes import substitute
from spacec.source import NOWHERE, Span
from spacec.space.decisions import CostTerm, Decision, DecisionTable

Kind = Literal["params", "macs", "activations", "nodes", "latency", "own", "picks", "depth", "count"]


@dataclass(frozen=True)
class Measure:
    """One cost of a ``where``; ``name`` is its canonical text and its key among a table's costs.

    ``params``, ``macs``, ``activations``, ``nodes`` and ``latency`` are measured in the form that
    ``form`` gives (empty: the one that is loaded) at the input ``sizes``; ``latency`` reads the file
    ``path``, ``own`` asks the user's function of the name ``label``. ``picks``, ``depth`` and
    ``count`` add up over the decisions of ``owner`` (a let or tied with all its members, or one
    member; empty: of all): elements picked, copies of depth choices, choices of the candidate ``label``.
    """

    name: str
    kind: Kind
    owner: str = ""
    label: str = ""
    path: str = ""
    form: tuple[tuple[str, object], ...] = ()
    sizes: tuple[tuple[str, int], ...] = ()
    span: Span = field(default=NOWHERE, compare=False, repr=False)


def counted(table: DecisionTable, measure: Measure) -> tuple[CostTerm, ...]:
    """The terms of ``picks``, ``depth`` and ``count``."""
    return tuple(
        term for d in table.decisions if owned(d, measure.owner) for term in _terms(d, measure.kind, measure.label)
    )


def owned(decision: Decision, owner: str) -> bool:
    """Whether a let or tied, or a member of a family, owns the decision; nobody in particular owns all."""
    return not owner or decision.owner == owner or decision.owner.startswith(f"{owner}[")


def _terms(d: Decision, kind: Kind, label: str) -> list[CostTerm]:
    if kind == "picks" and d.kind == "subset":
        return [CostTerm(both(d.active, Has(d.id, k)), 1) for k in range(d.size)]
    if kind == "depth" and d.kind == "depth":
        depths = [(k, v) for k, v in enumerate(d.values) if isinstance(v, int) and v]
        return [CostTerm(both(d.active, Is(d.id, frozenset((k,)))), v) for k, v in depths]
    if kind == "count" and label in d.labels:
        return [CostTerm(both(d.active, Is(d.id, frozenset((d.labels.index(label),)))), 1)]
    return []


def at_sizes(terms: tuple[CostTerm, ...], sizes: Mapping[str, int]) -> tuple[CostTerm, ...]:
    """The terms with input sizes put in; decisions stay."""

    def given(amount: Dim) -> Dim:
        free = {s for s in symbols(amount) if s.ref is None and s.name in sizes}
        return substitute(amount, lambda s: sizes[s.name] if s in free else poly(s)) if free else amount

    return tuple(CostTerm(t.when, given(t.amount)) for t in terms) if sizes else terms
