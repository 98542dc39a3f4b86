"""Impose a limit, a comparison or an *and* / *or* of limits, on a decision diagram.

A comparison is imposed by :mod:`spacec.space.restrict`. All paths but those on which every part
fails are the paths of an *or*, so one operation more is enough: the difference of two diagrams of
which one was made from the other, so that both ask the same steps in the same order. Guarantees that the paths
of the result are those paths of the diagram that the limit allows; beyond the meter's work it gives up.
"""

from __future__ import annotations

from spacec.space.constraints import Linear, LinearLimit, linear_parts
from spacec.space.diagram import DEAD, END, Builder, Diagram, Meter
from spacec.space.restrict import restrict


def impose(diagram: Diagram, limit: LinearLimit, meter: Meter) -> Diagram:
    """The paths on which a limit holds, whose comparisons are the diagram's first.

    The result carries the remaining comparisons. Raises :class:`TooManyStates` beyond the limit of ``meter``.
    """
    if isinstance(limit, Linear):
        return restrict(diagram, limit.op, meter, limit.text)
    if limit.conjunction:
        for part in limit.parts:
            diagram = impose(diagram, part, meter)
        return diagram
    failing = diagram
    for part in limit.parts:
        failing = minus(without(failing, _width(part)), impose(failing, part, meter), meter, limit.text)
    return minus(without(diagram, _width(limit)), failing, meter, limit.text)


def _width(limit: LinearLimit) -> int:
    return sum(1 for _ in linear_parts(limit))


def without(diagram: Diagram, columns: int) -> Diagram:
    """The same paths without what their first ``columns`` comparisons add up to."""
    builder, places = Builder(), [END]
    for step, children, deltas in zip(diagram.steps[1:], diagram.children[1:], diagram.deltas[1:], strict=True):
        assert step is not None
        targets = tuple(DEAD if c == DEAD else places[c] for c in children)
        places.append(builder.add(step, targets, tuple(d[columns:] for d in deltas)))
    root = DEAD if diagram.root == DEAD else places[diagram.root]
    return builder.build(root, diagram.offset[columns:])


def minus(diagram: Diagram, other: Diagram, meter: Meter, text: str = "") -> Diagram:
    """The paths of ``diagram`` that are not among those of ``other``, which are among its own."""
    builder, known = Builder(), {(END, END): DEAD, (END, DEAD): END}
    root = (diagram.root, other.root)
    stack = [root]
    while stack:
        mine, theirs = stack[-1]
        if mine == DEAD or (mine, theirs) in known:
            stack.pop()
            continue
        step = diagram.steps[mine]
        assert step is not None
        targets = diagram.children[mine]
        others = other.children[theirs] if theirs != DEAD else (DEAD,) * len(targets)
        pairs = list(zip(targets, others, strict=True))
        waiting = [p for p in pairs if p[0] != DEAD and p not in known]
        if waiting:
            stack.extend(waiting)
            continue
        stack.pop()
        new = tuple(DEAD if p[0] == DEAD else known[p] for p in pairs)
        known[mine, theirs] = builder.add(step, new, diagram.deltas[mine])
        meter.spend(1 + len(new), text)
    return builder.build(DEAD if diagram.root == DEAD else known[root], diagram.offset)
