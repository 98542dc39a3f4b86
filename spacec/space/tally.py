"""Counting under limits of which no decision diagram can be made: by how many architectures have each sum.

The sums of a limit may have far too many partial ones for a diagram, and yet lie on a grid that a
generating function covers (:mod:`spacec.space.spread`). This counts exactly; it gives no order of the
architectures. Guarantees bounded work.
"""

from __future__ import annotations

from collections.abc import Sequence

from spacec.space.arrange import arranged
from spacec.space.constraints import Linear, LinearLimit, compare, linear_parts
from spacec.space.decisions import Decision
from spacec.space.diagram import DEAD, LIMIT, Meter
from spacec.space.explore import explore
from spacec.space.impose import impose
from spacec.space.planner import plan
from spacec.space.spread import spread


def tally(decisions: Sequence[Decision], limits: Sequence[LinearLimit], limit: int = LIMIT) -> int | None:
    """How many assignments satisfy the limits; ``None`` where it is not told in bounded work.

    The last limit that is one sum, and is never void, is counted by its sums; the others are imposed. Raises
    :class:`TooManyStates` where these, or the sums before any limit, already take more than ``limit`` steps.
    """
    last = next((each for each in reversed(limits) if isinstance(each, Linear) and not each.mentioned), None)
    if last is None:
        return None
    imposed = [each for each in limits if each is not last]
    parts = [*(part for each in imposed for part in linear_parts(each)), last]
    meter = Meter(limit)
    diagram = explore(plan(arranged(decisions, parts), parts, meter), meter)
    for each in imposed:
        diagram = impose(diagram, each, meter)
    if diagram.root == DEAD:
        return 0
    found = spread(diagram, limit)
    return None if found is None else sum(ways for total, ways in found if compare(total, last.op, 0))
