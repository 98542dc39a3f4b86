"""When an activation of a region is there: the condition of everything that leads to it, in full and in short.

Assumes calls that are walked from the root, callers first (:mod:`spacec.ir.naming`).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from spacec.ir.conditions import ALWAYS, Cond, Has, Is, both, conjuncts
from spacec.ir.graph import CallNode, DecisionRef
from spacec.ir.naming import Place


@dataclass(frozen=True)
class Since:
    """When something below an owner is there: ``local``, since the owner was entered under ``start``.

    A decision that is not asked has no value. So where ``local`` asks for one of the owner's own decisions
    (``decided``), it says everything.
    """

    owner: str
    start: Cond = ALWAYS
    local: Cond = ALWAYS
    decided: bool = False

    def through(self, told: Cond, owners: Container[str], local: Cond | None = None) -> Since:
        """Further on, where ``told`` asks decisions of ``owners``; ``local`` is given where it is known already."""
        decided = self.decided or self.owner in owners
        return Since(self.owner, self.start, both(self.local, told) if local is None else local, decided)

    @property
    def whole(self) -> Cond:
        return self.local if self.decided else both(self.start, self.local)


@dataclass(frozen=True)
class Reach:
    """When an activation is there, over global ids.

    ``guard`` in full, with all that leads to it: masks weigh decisions whether they are asked or not, so costs need
    it. :attr:`entry` says the same for architectures, and is short. :attr:`asked` is when the owner is asked here
    or in another activation of it: what the activity of its decisions is made of.
    """

    guard: Cond
    unit: Since
    """Since the root, or the member that runs once, whose one activation this is part of."""
    owner: Since
    """Since the innermost let or tied."""

    @staticmethod
    def of(owner: str, guard: Cond = ALWAYS, start: Cond = ALWAYS) -> Reach:
        since = Since(owner, start)
        return Reach(guard, since, since)

    def under(self, place: Place, condition: Cond) -> Reach:
        """The reach of what stands in ``place`` under a condition relative to it."""
        if condition == ALWAYS:
            return self
        decided = self.unit.decided and self.owner.decided
        return self.through(place.absolute(condition), () if decided else _owners(place, condition))

    def through(self, told: Cond, owners: Container[str]) -> Reach:
        """The reach of what stands under ``told``, a condition over global ids that asks decisions of ``owners``."""
        if told is ALWAYS:
            return self
        guard = both(self.guard, told)
        unit = self.unit.through(told, owners, guard if self.unit.local is self.guard else None)
        owner = unit if self.owner is self.unit else self.owner.through(told, owners)
        return Reach(guard, unit, owner)

    def into(self, call: CallNode, child: Place) -> Reach:
        """The reach inside a call, from its reach: a let or tied is an owner of its own."""
        return self if call.binder is None else Reach(self.guard, self.unit, Since(child.owner, self.entry))

    @property
    def entry(self) -> Cond:
        return self.unit.whole

    @property
    def asked(self) -> Cond:
        return self.owner.whole


def _owners(place: Place, condition: Cond) -> set[str]:
    """The owners that a condition surely asks, where a declaration alone does not name what it asks."""
    refs = (c.decision for c in conjuncts(condition) if isinstance(c, Is | Has))
    own = (r for r in refs if isinstance(r, DecisionRef) and id(r.decision) not in place.shared)
    return {place.home(ref).owner for ref in own}
