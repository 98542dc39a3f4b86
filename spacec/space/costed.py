"""The decision diagram of a cost: the architectures that constraints leave, with what each adds up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from spacec.space.arrange import arranged
from spacec.space.components import components
from spacec.space.constraints import Linear, linear_limit, linear_parts, needed
from spacec.space.decisions import CostTerm, DecisionTable
from spacec.space.diagram import DEAD, Diagram, Meter
from spacec.space.explore import explore
from spacec.space.impose import impose
from spacec.space.planner import plan


@dataclass(frozen=True)
class Costed:
    """``diagram`` decides all that the cost depends on, with the cost as its one sum; the rest is decided in ``rest``
    ways.
    """

    diagram: Diagram
    rest: int


def costed(table: DecisionTable, terms: Sequence[CostTerm], where: bool, limit: int) -> Costed | None:
    """The diagram of a cost; ``None`` where no architecture is left.

    Raises :class:`TooManyStates` beyond ``limit`` steps of work, and as :func:`linear_limit` does.
    """
    goal = Linear("<=", tuple(terms), frozenset())
    limits = [*map(needed, table.needs), *((linear_limit(table, c) for c in table.constraints) if where else ())]
    meter = Meter(limit)
    found: Diagram | None = None
    rest: list[int] = []
    for decisions, own in components(table.decisions, [*limits, goal]):
        imposed = [each for each in own if each is not goal]
        sought = [goal] if len(imposed) < len(own) else []
        parts = [part for each in imposed for part in linear_parts(each)]
        diagram = explore(plan(arranged(decisions, [*parts, *sought]), [*parts, *sought], meter), meter)
        for each in imposed:
            diagram = impose(diagram, each, meter)
        if diagram.root == DEAD:
            return None
        if sought:
            found = diagram
        else:
            rest.append(diagram.counts()[diagram.root])
    assert found is not None, "the cost is among the limits of some component"
    return Costed(found, prod(rest))
