"""Decision diagrams: the assignments of a group of decisions as paths, counted, ranked and searched.

A node asks one step (:class:`spacec.space.schedule.Step`) and has one child per class of outcomes;
steps that a path does not ask belong to inactive decisions. Children come before parents in every
list, node 0 is the end, and :data:`DEAD` stands for no way on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.space.schedule import IN, Step
from spacec.space.values import Value

DEAD = -1
END = 0
LIMIT = 700_000
"""Work that exact counting may do before it gives up: ways from state to state, dear ones counted several times."""
UNDER_LIMITS = (
    "architectures are sampled all the same, some of them rejected; without the constraint `count(where=False)` is the "
    "count, and `spacec count` estimates the one under it"
)
"""What is to be done where constraints are too much for a diagram."""
QUICK = 60_000
"""Steps of counting that a look at a space may cost: a fraction of a second."""

Delta = tuple[int | Fraction | None, ...]
"""Per constraint, what is added on the way; ``None``: from here on the constraint holds vacuously."""

Allowed = Callable[[Step, int], bool]
"""Whether an outcome of a step is allowed."""


class TooManyStates(SpacecError):
    """E0510: making the diagram would take more work than its limit."""

    def __init__(self, limit: int, text: str = "") -> None:
        self.limit, self.text = limit, text
        under = f" under `{text}`" if text else ""
        super().__init__(
            Diagnostic(
                "E0510",
                f"counting this space{under} exactly takes more than {limit:,} steps",
                notes=("decisions far apart are coupled by their conditions, or by too many different partial costs",),
                help=UNDER_LIMITS if text else "",
            )
        )


@dataclass
class Meter:
    """The work of one count, over all its components and constraints, so that it ends in bounded time."""

    limit: int
    spent: int = 0

    def spend(self, steps: int, text: str = "") -> None:
        """Raise :class:`TooManyStates` once the limit is passed; ``text`` is the constraint at hand."""
        self.spent += steps
        if self.spent > self.limit:
            raise TooManyStates(self.limit, text)


@dataclass(frozen=True)
class Diagram:
    """``children[node]`` and ``deltas[node]`` are per class of ``steps[node]``; ``offset`` is added at the root."""

    steps: tuple[Step | None, ...]
    children: tuple[tuple[int, ...], ...]
    deltas: tuple[tuple[Delta, ...], ...]
    root: int
    offset: Delta

    def counts(self, allowed: Allowed | None = None) -> list[int]:
        """Paths to the end per node, over allowed outcomes."""
        counts = [1]
        for step, children in zip(self.steps[1:], self.children[1:], strict=True):
            assert step is not None
            total = 0
            for outcome, kind in enumerate(step.classes):
                child = children[kind]
                if child != DEAD and (allowed is None or allowed(step, outcome)):
                    total += counts[child]
            counts.append(total)
        return counts

    def path(self, counts: list[int], rank: int, allowed: Allowed | None = None) -> list[tuple[Step, int]]:
        """The ``rank``-th path, in the order of outcomes; ``counts`` must be those of ``allowed``."""
        found: list[tuple[Step, int]] = []
        node = self.root
        while (step := self.steps[node]) is not None:
            for outcome, kind in enumerate(step.classes):
                child = self.children[node][kind]
                if child == DEAD or (allowed is not None and not allowed(step, outcome)):
                    continue
                if rank < counts[child]:
                    found.append((step, outcome))
                    node = child
                    break
                rank -= counts[child]
            else:
                raise IndexError("rank out of range")
        return found

    def rank(self, counts: list[int], outcome_of: Callable[[Step], int], allowed: Allowed | None = None) -> int:
        """The place of the path that takes ``outcome_of`` each step; ``ValueError`` where it is no path.

        ``counts`` must be those of ``allowed``.
        """
        total, node = 0, self.root
        while node != DEAD and (step := self.steps[node]) is not None:
            outcome = outcome_of(step)
            for before in range(outcome):
                child = self.children[node][step.classes[before]]
                if child != DEAD and (allowed is None or allowed(step, before)):
                    total += counts[child]
            node = self.children[node][step.classes[outcome]]
        if node == DEAD:
            raise ValueError("not a path of this diagram")
        return total

    def best(self, score: Callable[[Step, int], float]) -> list[tuple[Step, int]]:
        """The path with the largest sum of scores; ties go to the first in order. The root must not be dead."""
        totals = [0.0]
        picks = [-1]
        for step, children in zip(self.steps[1:], self.children[1:], strict=True):
            assert step is not None
            best, pick = float("-inf"), -1
            for outcome, kind in enumerate(step.classes):
                child = children[kind]
                if child == DEAD:
                    continue
                total = score(step, outcome) + totals[child]
                if pick < 0 or total > best:
                    best, pick = total, outcome
            totals.append(best)
            picks.append(pick)
        found: list[tuple[Step, int]] = []
        node = self.root
        while (step := self.steps[node]) is not None:
            found.append((step, picks[node]))
            node = self.children[node][step.classes[picks[node]]]
        return found


def assignment(path: list[tuple[Step, int]]) -> dict[str, Value]:
    """The values that a path gives to the decisions that it asks."""
    chosen: dict[str, Value] = {}
    picked: dict[str, list[int]] = {}
    for step, outcome in path:
        if step.element is None:
            chosen[step.decision] = step.domain[outcome]
            continue
        elements = picked.setdefault(step.decision, [])
        if outcome == IN:
            elements.append(step.element)
    chosen.update((decision, tuple(sorted(elements))) for decision, elements in picked.items())
    return chosen


class Builder:
    """Collects the nodes of a diagram, children first; equal nodes are one."""

    def __init__(self) -> None:
        self.steps: list[Step | None] = [None]
        self.children: list[tuple[int, ...]] = [()]
        self.deltas: list[tuple[Delta, ...]] = [()]
        self._known: dict[tuple[int, tuple[int, ...], tuple[Delta, ...]], int] = {}

    def add(self, step: Step, children: tuple[int, ...], deltas: tuple[Delta, ...]) -> int:
        """The node with these children, or :data:`DEAD` where all are."""
        if all(c == DEAD for c in children):
            return DEAD
        node = self._known.setdefault((id(step), children, deltas), len(self.steps))
        if node == len(self.steps):
            self.steps.append(step)
            self.children.append(children)
            self.deltas.append(deltas)
        return node

    def build(self, root: int, offset: Delta) -> Diagram:
        return Diagram(tuple(self.steps), tuple(self.children), tuple(self.deltas), root, offset)
