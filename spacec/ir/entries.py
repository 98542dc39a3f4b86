"""Which calls of merged members run, and how much each counts (language, rule 10).

The *reach* of a call is the reach of its caller times the value of its gate: a candidate counts as its mask weighs
it, conditions multiply, and alternatives count as independent events do (1 - product of 1 - value). The
reach of a member is the sum over its calls, since at most one is active in any architecture. Values are whatever can be
added and multiplied with floats, so tensors pass through.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import reduce
from operator import add, mul
from typing import Any

from spacec.ir.conditions import All, Cond, Has, Is
from spacec.ir.flat import FlatEntry

Runs = Callable[[str, str], Collection[int]]
"""Slot and instance to the candidates that run."""

Weigh = Callable[[str, str, Collection[int]], Any]
"""Slot, instance and candidates to what these count together."""


def running_calls(entries: Sequence[FlatEntry], runs: Runs) -> list[tuple[int, ...]]:
    """Per entry, the calls that run: their callers run, and so do candidates that lead to them."""
    found: list[tuple[int, ...]] = []
    for entry in entries:
        reached = ((k, c) for k, c in enumerate(entry.calls) if c.caller is None or found[c.caller])
        found.append(tuple(k for k, c in reached if _runs(c.gate, runs)))
    return found


def _runs(gate: Cond, runs: Runs) -> bool:
    if isinstance(gate, Is | Has):
        slot, instance, candidates = _named(gate)
        return not candidates.isdisjoint(runs(slot, instance))
    verdicts = (_runs(p, runs) for p in gate.parts)
    return all(verdicts) if isinstance(gate, All) else any(verdicts)


def reaches(entries: Sequence[FlatEntry], weigh: Weigh) -> list[tuple[Any, ...]]:
    """Per entry, the reach of each call."""
    found: list[tuple[Any, ...]] = []
    totals: list[Any] = []
    for entry in entries:
        calls = tuple(
            (1.0 if call.caller is None else totals[call.caller]) * _value(call.gate, weigh) for call in entry.calls
        )
        found.append(calls)
        totals.append(reduce(add, calls, 0.0))
    return found


def _value(gate: Cond, weigh: Weigh) -> Any:
    if isinstance(gate, Is | Has):
        return weigh(*_named(gate))
    if isinstance(gate, All):
        return reduce(mul, (_value(p, weigh) for p in gate.parts), 1.0)
    return 1.0 - reduce(mul, (1.0 - _value(p, weigh) for p in gate.parts), 1.0)


def _named(gate: Is | Has) -> tuple[str, str, frozenset[int]]:
    """Slot, instance and candidates of an atom."""
    assert isinstance(gate, Is), "a gate asks for candidates of a slot"
    assert isinstance(gate.decision, tuple), "a gate names slot and instance"
    slot, instance = gate.decision
    return slot, instance, gate.candidates
