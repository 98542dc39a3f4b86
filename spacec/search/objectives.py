"""Several objectives of one search: metrics that trials measure, and costs that the space knows of an architecture.

An objective is written ``NAME``, ``NAME:min`` or ``NAME:max``: a metric of the task or the benchmark (its direction is
the default), or else a cost of the space (less is better). A limit is written ``NAME<=NUMBER`` or ``NAME>=NUMBER``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.search.context import SearchContext
from spacec.search.pareto import direction_of, minimised
from spacec.search.strategy import TrialResult
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Direction

_LIMIT = re.compile(r"\s*(?P<name>[^<>=\s]+)\s*(?P<sign><=|>=)\s*(?P<bound>[-+.\deE_]+)\s*")


@dataclass(frozen=True)
class Objective:
    """What is made smaller or larger. ``cost``: of the space, not measured by a trial."""

    name: str
    direction: Direction
    cost: bool = False

    def value(self, ctx: SearchContext, result: TrialResult) -> float | None:
        """Its value for the architecture of ``result``; ``None`` where the trial did not measure it, or no number."""
        found = ctx.cost(result.trial.arch, self.name) if self.cost else result.metrics.get(self.name)
        return float(found) if found is not None and isfinite(found) else None


@dataclass(frozen=True)
class Limit:
    """``objective`` must be at most (direction ``min``) or at least ``bound``."""

    objective: Objective
    bound: float

    def violation(self, value: float) -> float:
        """By how much ``value`` is beyond the bound, as a share of it where it is not 0; 0 within."""
        beyond = value - self.bound if self.objective.direction == "min" else self.bound - value
        return max(0.0, beyond) / (abs(self.bound) or 1.0)


@dataclass(frozen=True)
class FrontPoint:
    """An architecture of a front, the number of its trial and its objectives by name."""

    arch: Architecture
    number: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Front:
    """Architectures none of which is better than another in every objective, best in the first objective first."""

    objectives: tuple[Objective, ...]
    points: tuple[FrontPoint, ...] = field(default=())

    def minimised(self) -> list[tuple[float, ...]]:
        """The points as numbers of which less is better, as :mod:`spacec.search.pareto` has them."""
        names, directions = [o.name for o in self.objectives], [o.direction for o in self.objectives]
        return [minimised([p.values[name] for name in names], directions) for p in self.points]


def parse_objectives(ctx: SearchContext, texts: Sequence[str]) -> tuple[Objective, ...]:
    """Objectives as written. Raises :class:`SpacecError` (E0860) for one that is neither metric nor cost, or twice."""
    found = tuple(_objective(ctx, text) for text in texts)
    names = [o.name for o in found]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise SpacecError(Diagnostic("E0860", f"objective '{twice}' is given twice"))
    return found


def parse_limits(ctx: SearchContext, texts: Sequence[str]) -> tuple[Limit, ...]:
    """Limits as written. Raises :class:`SpacecError` (E0860)."""
    return tuple(_limit(ctx, text) for text in texts)


def _limit(ctx: SearchContext, text: str) -> Limit:
    match = _LIMIT.fullmatch(text)
    try:
        bound = float(match["bound"]) if match else float("nan")
    except ValueError:
        bound = float("nan")
    if match is None or not isfinite(bound):
        headline = f"'{text}' is no limit"
        raise SpacecError(Diagnostic("E0860", headline, notes=("a limit is written NAME<=NUMBER or NAME>=NUMBER",)))
    direction = "min" if match["sign"] == "<=" else "max"
    return Limit(_objective(ctx, f"{match['name']}:{direction}"), bound)


def _objective(ctx: SearchContext, text: str) -> Objective:
    name, _, direction = text.partition(":")
    if direction not in ("", "min", "max"):
        notes = ("an objective's direction is max or min",)
        raise SpacecError(Diagnostic("E0860", f"objective '{name}' cannot be better by '{direction}'", notes=notes))
    metric = next((m for m in ctx.task.metrics if m.name == name), None)
    if metric is None:
        _require_cost(ctx, name)
    default = "min" if metric is None else metric.direction
    return Objective(name, direction_of(direction or default), metric is None)


def _require_cost(ctx: SearchContext, name: str) -> None:
    try:
        ctx.require_cost(name)
    except SpacecError as error:
        if error.diagnostics[0].code != "E0512":
            raise
        metrics, costs = [m.name for m in ctx.task.metrics], list(ctx.space.table.costs)
        near = nearest(name, metrics + costs)
        notes = (f"metrics: {', '.join(metrics)}", f"costs: {', '.join(costs)}", error.diagnostics[0].headline)
        help = f"did you mean '{near}'?" if near else ""
        headline = f"'{name}' is neither a metric of '{ctx.task.name}' nor a cost of '{ctx.space.name}'"
        raise SpacecError(Diagnostic("E0860", headline, notes=notes, help=help)) from error
