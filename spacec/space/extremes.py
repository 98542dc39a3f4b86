"""The least and the largest cost over all valid architectures, exactly, where a bounded amount of work finds them.

Assumes a table whose costs mention no free size of an input. Components that share no decision are searched one by
one; only that of the cost is read, the others say whether there is any valid architecture.
"""

from __future__ import annotations

from spacec.ir.dims import Symbol, poly
from spacec.space.arrange import arranged
from spacec.space.components import components
from spacec.space.constraints import COST, linear, linear_limit, linear_parts
from spacec.space.cost import free_sizes
from spacec.space.decisions import Constraint, DecisionTable
from spacec.space.diagram import DEAD, Meter, TooManyStates
from spacec.space.explore import explore
from spacec.space.extent import path_extent
from spacec.space.feasible import QUICK
from spacec.space.impose import impose
from spacec.space.planner import plan
from spacec.space.values import Number

LARGEST = 5_000
"""Decisions and amounts of a cost for which a plan is made: planning takes work before any is counted."""


def extremes(table: DecisionTable, cost: str, where: bool = True, limit: int = QUICK) -> tuple[Number, Number] | None:
    """Least and largest ``cost`` (a name of the table's costs) of a valid architecture.

    ``None`` where it depends on the size of an input, where there is no valid architecture, or where
    it is clear that more than ``limit`` steps of work are needed.
    """
    if free_sizes(table, cost) or len(table.decisions) + len(table.costs[cost]) > LARGEST:
        return None
    goal = linear(table, Constraint(poly(Symbol(cost, None, COST)), "<=", 0))
    limits = [linear_limit(table, c) for c in table.constraints] if where else []
    low: Number = 0
    high: Number = 0
    meter = Meter(limit)
    try:
        for decisions, own in components(table.decisions, [*limits, goal]):
            imposed = [each for each in own if each is not goal]
            parts = [part for each in imposed for part in linear_parts(each)]
            sought = [goal] if len(imposed) < len(own) else []
            diagram = explore(plan(arranged(decisions, parts), [*parts, *sought]), meter)
            for each in imposed:
                diagram = impose(diagram, each, meter)
            if diagram.root == DEAD:
                return None
            if sought:
                low, high = path_extent(diagram)
    except TooManyStates:
        return None
    return low, high
