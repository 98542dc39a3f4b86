"""Settle what is best for a sum of costs, decision by decision, where decisions depend on nothing but being asked.

The decisions of a table refer to earlier ones, so they are looked at from the last to the first. One is *free* where
whatever it adds stands under conditions on others beside its own candidates, where each of these conditions says that
it is asked, where one value adds the least under all of them and one the most, and where no constraint and no
decision that is kept speaks of it. Then this value is best whatever else is chosen, and the decision is
replaced by what it adds. What is left is small where spaces are large: trees of definitions vanish altogether.
Linear in the terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from spacec.ir.conditions import Any, Cond, Has, Is, both, conjuncts
from spacec.ir.conditions import decisions as mentioned_by
from spacec.ir.dims import Dim, Poly, symbols
from spacec.space.decisions import CostTerm, Decision
from spacec.space.shorter import Case, implies
from spacec.space.values import Number, Value

Range = tuple[Number, Number]
"""The least and the most that something adds."""

Best = tuple[Value, Value]
"""The values that add the least and the most."""

_Group = list[tuple[Is | Has, Range]]
"""Amounts that stand under one condition, by what they ask of a decision."""


@dataclass(frozen=True)
class Left:
    """What is left of a sum: ``decisions`` that are not free, and amounts over them.

    ``terms``: a condition, and what is added where it holds, at least and at most. ``sized``: terms whose amount
    mentions sizes. ``best``: the values of the decisions that are gone.
    """

    decisions: tuple[Decision, ...]
    terms: tuple[tuple[Cond, Range], ...]
    sized: tuple[CostTerm, ...]
    best: dict[str, Best]


def eliminate(decisions: Sequence[Decision], terms: Iterable[CostTerm], kept: Iterable[str]) -> Left:
    """The sum of ``terms`` without the decisions that are free; those in ``kept`` (ids) are not."""
    work = _Work(decisions, set(kept))
    for term in terms:
        work.take(term)
    for place in range(len(decisions) - 1, -1, -1):
        work.settle(place)
    left = ((both(*case), (low, high)) for case, (low, high) in work.left.items())
    return Left(tuple(work.decisions[::-1]), tuple(left), tuple(work.sized), work.best)


@dataclass
class _Work:
    every: Sequence[Decision]
    kept: set[str]
    place: dict[str, int] = field(init=False)
    buckets: list[dict[Case, Range]] = field(init=False)
    """Per decision, the amounts whose condition mentions it, and after it only decisions that were kept."""
    left: dict[Case, Range] = field(default_factory=dict)
    sized: list[CostTerm] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    best: dict[str, Best] = field(default_factory=dict)
    known: dict[Cond, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.place = {d.id: k for k, d in enumerate(self.every)}
        self.buckets = [{} for _ in self.every]

    def take(self, term: CostTerm) -> None:
        amount = constant(term.amount)
        if amount is None:
            self.sized.append(term)
            self.kept |= {s.name for s in symbols(term.amount)} | self.mentioned(conjuncts(term.when))
        elif not any(isinstance(part, Any) and not part.parts for part in conjuncts(term.when)):
            self.add(conjuncts(term.when), (amount, amount), len(self.every))

    def add(self, case: Case, amount: Range, before: int) -> None:
        """To the last of the decisions that a condition mentions, of those before a place."""
        places = [k for k in map(self.place.__getitem__, self.mentioned(case)) if k < before]
        bucket = self.buckets[max(places)] if places else self.left
        low, high = bucket.get(case, (0, 0))
        bucket[case] = low + amount[0], high + amount[1]

    def mentioned(self, case: Case) -> frozenset[str]:
        """Ids of the table's decisions in the parts of a condition."""
        found: set[str] = set()
        for part in case:
            if isinstance(part, Is | Has):
                found.add(str(part.decision))
                continue
            if part not in self.known:
                self.known[part] = frozenset(map(str, mentioned_by(part)))
            found |= self.known[part]
        return frozenset(found & self.place.keys())

    def settle(self, place: int) -> None:
        decision, bucket = self.every[place], self.buckets[place]
        self.buckets[place] = {}
        found = None if decision.id in self.kept else self.freed(decision, bucket)
        if found is not None:
            left, self.best[decision.id] = found
            for rest, amount in left.items():
                self.add(rest, amount, place)
            return
        self.decisions.append(decision)
        self.kept |= self.mentioned(conjuncts(decision.active))
        for case, amount in bucket.items():
            self.add(case, amount, place)

    def freed(self, decision: Decision, bucket: dict[Case, Range]) -> tuple[dict[Case, Range], Best] | None:
        """What is added under each condition, and the values that add it; ``None`` where the decision is not free."""
        own: dict[Case, list[tuple[Is | Has, Range]]] = {}
        for case, amount in bucket.items():
            parts = [p for p in case if decision.id in self.mentioned(frozenset((p,)))]
            if len(parts) > 1 or not isinstance(parts[0], Is | Has):
                return None
            own.setdefault(case - set(parts), []).append((parts[0], amount))
        if not all(implies(rest, decision.active) for rest in own):
            return None
        low, high = (_best(decision, list(own.values()), end) for end in (0, 1))
        if low is None or high is None:
            return None
        return dict(zip(own, zip(low[1], high[1], strict=True), strict=True)), (low[0], high[0])


def constant(amount: Dim) -> Number | None:
    """The number that an amount is, or ``None`` where it mentions sizes."""
    if isinstance(amount, Poly):
        return None if amount.symbols else sum((c for _, c in amount.terms), 0)
    return amount


def _best(decision: Decision, groups: list[_Group], end: int) -> tuple[Value, list[Number]] | None:
    """The first value that adds the least (``end`` 0) or the most in every group at once, and these amounts."""
    sign = 1 if end == 0 else -1
    added = [_gains(decision, group, end, sign) for group in groups]
    if decision.kind != "subset":
        least = [min(sums) for sums in added]
        for k in range(len(decision.labels)):
            if all(sums[k] == low for sums, low in zip(added, least, strict=True)):
                return k, [sign * low for low in least]
        return None
    least = [sum(gains[e] for e in _picked(decision, gains)) for gains in added]
    value = _picked(decision, [sum(gains) for gains in zip(*added, strict=True)] or [0] * decision.size)
    if any(sum(gains[e] for e in value) != low for gains, low in zip(added, least, strict=True)):
        return None
    return value, [sign * low for low in least]


def _gains(decision: Decision, group: _Group, end: int, sign: int) -> list[Number]:
    """What each candidate, or each element of a subset, adds; ``sign`` turns the most into the least."""
    gains: list[Number] = [0] * (decision.size if decision.kind == "subset" else len(decision.labels))
    for part, amount in group:
        if isinstance(part, Is) != (decision.kind == "subset"):
            for k in part.candidates if isinstance(part, Is) else (part.element,):
                gains[k] += sign * amount[end]
    return gains


def _picked(decision: Decision, gains: list[Number]) -> tuple[int, ...]:
    """The elements with the least sum."""
    order = sorted(range(decision.size), key=gains.__getitem__)
    count = max(decision.low, min(decision.high, sum(g < 0 for g in gains)))
    return tuple(sorted(order[:count]))
