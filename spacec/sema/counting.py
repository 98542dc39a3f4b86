"""Numbers out of what may be absent: how many are there, whether one is, their sum and their extremes.

Every function sees presence as a size (:func:`spacec.sema.presence.indicator`), so what it gives is
a number where nothing is decided and a size that decisions settle elsewhere.
"""

from __future__ import annotations

from typing import Literal

from spacec.ir import cases
from spacec.ir.conditions import ALWAYS
from spacec.ir.dims import Dim, Poly
from spacec.ir.quotients import extreme
from spacec.ir.settled import as_cases, as_dim
from spacec.ir.sizes import tightened
from spacec.sema.arithmetic import relation
from spacec.sema.builder import Builder
from spacec.sema.machine import Machine
from spacec.sema.presence import indicator, presence_size, present_any
from spacec.sema.values import ABSENT, Pack, Picked, Tensor, Value
from spacec.source import Span


def flat_items(values: list[Value]) -> list[Value]:
    """The arguments of a function of numbers: a list stands for its elements."""
    return [item for v in values for item in (flat_items(list(v.items)) if isinstance(v, Pack) else (v,))]


def length(m: Machine, builder: Builder, pack: Pack) -> Dim:
    """How many elements are there; all of them where none can be absent."""
    maybe = [v for v in pack.items if v is ABSENT or (isinstance(v, Tensor | Picked) and v.presence != ALWAYS)]
    total: Dim = len(pack.items) - len(maybe)
    for item in maybe:
        total = total + presence_size(m, builder, item)
    return tightened(total)


def contains(m: Machine, builder: Builder, value: Value, pack: Pack) -> Dim | None:
    """1 where an element that is there equals ``value``; ``None`` where equality is not decided."""
    total: Dim = 0
    for item in pack.items:
        equal = relation(value, "==", item.value if isinstance(item, Picked) else item)
        if equal is None:
            return None
        if equal:
            total = total + presence_size(m, builder, item)
    return total if isinstance(total, int) and total <= 1 else extreme("min", (1, total))


def is_numbers(items: list[Value]) -> bool:
    """Whether there are numbers, and nothing else."""
    plain = [v.value if isinstance(v, Picked) else v for v in items]
    return bool(plain) and all(isinstance(v, int | Poly) and not isinstance(v, bool) for v in plain)


def total_of(m: Machine, builder: Builder, items: list[Value]) -> Dim:
    """The sum of the numbers that are there."""
    total: Dim = 0
    for item in items:
        value = item.value if isinstance(item, Picked) else item
        assert isinstance(value, int | Poly), "asked before"
        total = total + (indicator(m, builder, item.presence) * value if isinstance(item, Picked) else value)
    return tightened(total)


def extreme_of(m: Machine, builder: Builder, fn: Literal["max", "min"], items: list[Value], span: Span) -> Value:
    """The largest or smallest of the numbers that are there. Raises :class:`spacec.ir.cases.TooManyCases`."""
    sure = [v for v in items if isinstance(v, int | Poly)]
    picked = [v for v in items if isinstance(v, Picked)]
    if not sure and present_any(p.presence for p in picked) != ALWAYS:
        text = f"`{fn}` of numbers that may all be absent"
        return m.fail("E0306", span, text, "each of these is picked", help=f"give it a least case: `{fn}(0, …)`")
    if not picked:
        return extreme(fn, tuple(sure))
    plain = [v.value if isinstance(v, Picked) else v for v in items]
    numbers = [as_cases(v) for v in plain if isinstance(v, int | Poly)]
    known = [n for n in numbers if n is not None]
    if len(known) < len(items):
        return m.fail("E0306", span, f"`{fn}` of picked numbers beside a free size is not decided")
    pick, unpick = (max, min) if fn == "max" else (min, max)
    ends = [unpick(n.values) if isinstance(n, cases.Cases) else n for n in known]
    neutral = unpick(ends)
    there = [as_cases(presence_size(m, builder, v)) for v in items]
    best: cases.Cases | cases.Number = neutral
    for number, presence in zip(known, there, strict=True):
        assert presence is not None, "presence is decided"
        best = cases.merge(pick, best, cases.merge(cases.Unless(neutral), number, presence))
    return tightened(as_dim(best))
