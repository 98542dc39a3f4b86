"""NSGA-II: Deb, Pratap, Agarwal and Meyarivan, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II (IEEE
Transactions on Evolutionary Computation 6, 2002).

A generation t has N parents P_t and N offspring Q_t. Both together are sorted into fronts F_1, F_2, … (section III-A);
P_{t+1} is filled front by front, the last one by crowding distance (III-C). Offspring: two binary tournaments by the
crowded comparison (rank, then crowding; III-B), crossover with probability p_c, mutation with probability p_m by
decision. Limits enter by constrained domination (VI). Both variations are those of the space, so children are valid
everywhere: crossover takes each decision from one of the parents by a fair coin, a mutated decision another value.

``replacement="steady"`` is for trials that run side by side: every result is sorted in at once, and nobody waits for
the end of a generation (Nebro and Durillo, On the Effect of Applying a Steady-State Selection Scheme in the
Multi-Objective Genetic Algorithm NSGA-II, 2009).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.objectives import Front, FrontPoint, Limit, Objective, parse_limits, parse_objectives
from spacec.search.options import option
from spacec.search.pareto import crowding, dominates, fronts, minimised
from spacec.search.strategy import Trial, TrialResult
from spacec.search.trial_strategy import TrialOptions, TrialStrategy
from spacec.space.architecture import Architecture

REDRAWS = 20
"""How often a child that was rated before is made anew, where children are to be distinct."""


@dataclass(frozen=True)
class Nsga2Options(TrialOptions):
    objectives: tuple[str, ...] = option(
        (), "metrics and costs, as val_acc,latency:min; none for the search's metric and params"
    )
    limits: tuple[str, ...] = option((), "what metrics and costs must keep, as params<=2000000")
    population: int = option(100, "N: parents of a generation, and offspring", low=2)
    crossover: float = option(0.9, "p_c: probability that a child has two parents", low=0, high=1)
    mutation: float | None = option(
        None, "p_m: probability that a decision is mutated; none for 1 / active decisions", low=0, high=1
    )
    replacement: Literal["generation", "steady"] = option(
        "generation", "sort when a generation is complete, as the paper, or after every result"
    )
    distinct: bool = option(False, "make a child anew that was rated before; the paper keeps it")


@dataclass(frozen=True)
class Individual:
    """A rated architecture: its objectives, of which less is better, and by how much it breaks the limits."""

    arch: Architecture
    point: tuple[float, ...]
    violation: float
    number: int


class Nsga2(TrialStrategy):
    """See the module. ``archive``: the front of all that was rated and keeps the limits."""

    name = "nsga2"
    help = "several objectives by non-dominated sorting (NSGA-II)"
    Options = Nsga2Options
    tiny: ClassVar[Mapping[str, object]] = {"population": 2, "samples": 5}
    options: Nsga2Options

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...]
    generation: int
    asked_now: int
    """Offspring of this generation that were asked for."""
    told_now: int
    parents: list[Individual]
    offspring: list[Individual]
    archive: list[Individual]
    nearest: float
    """The least violation that was seen."""
    known: set[str]
    _standing: list[tuple[int, float]] | None
    """Per parent, rank and minus the crowding distance, once asked for."""

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        default = (self.metric.name, "params")
        self.objectives = parse_objectives(ctx, self.options.objectives or default)
        self.limits = parse_limits(ctx, self.options.limits)
        self.generation = self.asked_now = self.told_now = 0
        self.parents, self.offspring, self.archive, self.known = [], [], [], set()
        self.nearest, self._standing = float("inf"), None

    def propose(self, n: int) -> Sequence[Trial]:
        n = min(n, self.most - self.asked)
        if self.options.replacement == "generation":
            n = min(n, self.options.population - self.asked_now)
        self.asked_now += max(0, n)
        return [self._asked() for _ in range(n)]

    def take(self, result: TrialResult, value: float | None) -> None:
        self.told_now += 1
        found = None if value is None else self._individual(result)
        if found is not None:
            self.offspring.append(found)
            self._archive(found)
        if self.options.replacement == "steady" or self.told_now == self.options.population:
            self._select()

    def front(self) -> Front:
        """The archive, best in the first objective first."""
        names = [o.name for o in self.objectives]
        signs = [-1.0 if o.direction == "max" else 1.0 for o in self.objectives]
        members = sorted(self.archive, key=lambda m: (m.point, m.number))
        points = (
            FrontPoint(m.arch, m.number, {n: s * x for n, s, x in zip(names, signs, m.point, strict=True)})
            for m in members
        )
        return Front(self.objectives, tuple(points))

    def derive(self) -> Architecture:
        """The best in the first objective of those that keep the limits. E0861 where none does."""
        if self.archive:
            return min(self.archive, key=lambda m: (m.point, m.number)).arch
        if self.failed == self.told:
            raise self.nothing_found()
        headline = f"none of the {self.told - self.failed} rated architectures keeps the limits"
        notes = (f"limits: {', '.join(self.options.limits)}", f"the nearest is {self.nearest:.2g} beyond, as a share")
        raise SpacecError(Diagnostic("E0861", headline, notes=notes))

    def state_dict(self) -> dict[str, Any]:
        groups = {name: list(map(_state, getattr(self, name))) for name in ("parents", "offspring", "archive")}
        counts = {"generation": self.generation, "asked_now": self.asked_now, "told_now": self.told_now}
        return {**super().state_dict(), **groups, **counts, "nearest": self.nearest, "known": sorted(self.known)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.parents, self.offspring, self.archive = (
            [self._read(*row) for row in state[name]] for name in ("parents", "offspring", "archive")
        )
        self.generation, self.asked_now, self.told_now = (
            int(state[name]) for name in ("generation", "asked_now", "told_now")
        )
        self.nearest, self.known, self._standing = float(state["nearest"]), set(state["known"]), None

    def _read(self, text: str, point: Sequence[float], violation: float, number: int) -> Individual:
        return Individual(self.ctx.space.architecture(text), tuple(point), violation, number)

    def _asked(self) -> Trial:
        """An offspring; of the first generation, or where no parent lives, an architecture drawn uniformly."""
        arch, parents = self._child()
        if self.options.distinct:
            for _ in range(REDRAWS):
                if arch.text() not in self.known:
                    break
                arch, parents = self._child()
            self.known.add(arch.text())
        return self.ask(arch, {"generation": self.generation, "parents": parents})

    def _child(self) -> tuple[Architecture, list[int]]:
        filled = len(self.parents) >= self.options.population or (self.parents and self.generation)
        if not filled:
            return self.ctx.sample(), []
        rng, space = self.ctx.rng, self.ctx.space
        a = self._tournament()
        parents, child = [a.number], a.arch
        if rng.random() < self.options.crossover:
            b = self._tournament()
            parents, child = [a.number, b.number], space.crossover(a.arch, b.arch, seed=rng.getrandbits(31))
        rate = self.options.mutation
        rate = 1 / max(1, len(child)) if rate is None else rate
        return space.mutate(child, seed=rng.getrandbits(31), rate=rate), parents

    def _tournament(self) -> Individual:
        """The better of two parents by the crowded comparison (III-B); of equals, the first drawn."""
        if self._standing is None:
            self._standing = _standing(self.parents)
        i, j = (self.ctx.rng.randrange(len(self.parents)) for _ in range(2))
        return self.parents[j if self._standing[j] < self._standing[i] else i]

    def _select(self) -> None:
        """P_{t+1} from P_t and Q_t together (III-C)."""
        both = [*self.parents, *self.offspring]
        self.parents, self.offspring, self._standing = survivors(both, self.options.population), [], None
        if self.told_now >= self.options.population:
            self.generation, self.asked_now, self.told_now = self.generation + 1, 0, 0

    def _individual(self, result: TrialResult) -> Individual | None:
        """``None`` where the trial did not measure an objective, or what is limited: it has failed."""
        values = [o.value(self.ctx, result) for o in self.objectives]
        bounded = [limit.objective.value(self.ctx, result) for limit in self.limits]
        known = [v for v in values if v is not None]
        if len(known) < len(values) or None in bounded:
            names = [o.name for o in (*self.objectives, *(limit.objective for limit in self.limits))]
            missing = names[[*values, *bounded].index(None)]
            self.failed += 1
            self.failure = self.failure or f"the trial did not measure {missing}"
            return None
        violation = sum(m.violation(v) for m, v in zip(self.limits, bounded, strict=True) if v is not None)
        self.nearest = min(self.nearest, violation)
        directions = [o.direction for o in self.objectives]
        return Individual(result.trial.arch, minimised(known, directions), violation, result.number)

    def _archive(self, found: Individual) -> None:
        if found.violation > 0 or any(dominates(m.point, found.point) or m.arch == found.arch for m in self.archive):
            return
        self.archive = [m for m in self.archive if not dominates(found.point, m.point)]
        self.archive.append(found)


def survivors(members: Sequence[Individual], size: int) -> list[Individual]:
    """The ``size`` best: whole fronts, and of the last one those that are least crowded (of equals the first)."""
    kept: list[Individual] = []
    for front in _fronts(members):
        group = [members[k] for k in front]
        if len(kept) + len(group) > size:
            distances = crowding([m.point for m in group])
            order = sorted(range(len(group)), key=lambda k: -distances[k])
            group = [group[k] for k in sorted(order[: size - len(kept)])]
        kept += group
    return kept


def _standing(members: Sequence[Individual]) -> list[tuple[int, float]]:
    found: dict[int, tuple[int, float]] = {}
    for rank, front in enumerate(_fronts(members)):
        distances = crowding([members[k].point for k in front])
        found.update((k, (rank, -d)) for k, d in zip(front, distances, strict=True))
    return [found[k] for k in range(len(members))]


def _fronts(members: Sequence[Individual]) -> list[list[int]]:
    return fronts([m.point for m in members], [m.violation for m in members])


def _state(member: Individual) -> tuple[str, tuple[float, ...], float, int]:
    return member.arch.text(), member.point, member.violation, member.number
