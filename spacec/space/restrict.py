"""Impose a constraint on a decision diagram.

The sum that a constraint compares is carried along the paths. Partial sums at a node that leave the
same ways to go on share one new node, so with each new node goes the interval of partial sums for
which it is right. Bounds on what is still to come settle most nodes at once. (The idea is that of
threshold decision diagrams: Behle, Binary Decision Diagrams and Integer Programming, 2007.)
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf, lcm

from spacec.space.diagram import DEAD, END, Builder, Diagram, Meter

_Interval = tuple[float, float]
"""Partial sums, both ends included; finite ends are exact integers."""

_MOVED = 2_000
"""Entries of a list that one step of work moves."""

_EVERYWHERE: _Interval = (-inf, inf)


def restrict(diagram: Diagram, op: str, meter: Meter, text: str = "") -> Diagram:
    """The paths on which the first constraint's sum is ``<=``, ``<``, ``==`` or ``!=`` zero, or is void.

    The result carries the remaining constraints. Raises :class:`TooManyStates` beyond the limit of ``meter``.
    """
    return _Restriction(diagram, op, meter, text).run()


@dataclass(frozen=True)
class _Rest:
    """What is still to come: least and largest sum over the ways that are not void (``low > high``: all are)."""

    low: float
    high: float
    voidable: bool


@dataclass
class _Frame:
    """A node under expansion, with the partial sum ``total``; ``None``: the constraint no longer matters."""

    node: int
    total: int | None
    children: list[int] = field(default_factory=list)
    interval: _Interval = _EVERYWHERE


class _Restriction:
    def __init__(self, diagram: Diagram, op: str, meter: Meter, text: str) -> None:
        self.diagram, self.op, self.meter, self.text = diagram, op, meter, text
        self.offset, self.sums = _whole_numbers(diagram)
        if op == "<":
            self.op = "<="
            self.offset = None if self.offset is None else self.offset + 1
        self.rests = _rests(diagram, self.sums)
        self.builder = Builder()
        self.free = {END: END}
        """New nodes where the constraint no longer matters, by old node."""
        self.starts: dict[int, list[float]] = {}
        self.known: dict[int, list[tuple[float, int]]] = {}
        """Per old node: ends of the intervals that begin at ``starts``, and their new nodes."""

    def run(self) -> Diagram:
        root = self.diagram.root
        while isinstance(found := self.look_up(root, self.offset), _Frame):
            stack = [found]
            while stack:
                deeper = self.expand(stack[-1])
                if deeper is None:
                    self.finish(stack.pop())
                else:
                    stack.append(deeper)
        return self.builder.build(found[0], self.diagram.offset[1:])

    def expand(self, frame: _Frame) -> _Frame | None:
        """Look up the children of a frame in turn, until one must be expanded first or all are known."""
        done = len(frame.children)
        targets, sums = self.diagram.children[frame.node], self.sums[frame.node]
        for target, more in zip(targets[done:], sums[done:], strict=True):
            total = None if frame.total is None or more is None else frame.total + more
            found = self.look_up(target, total)
            if isinstance(found, _Frame):
                return found
            frame.children.append(found[0])
            if more is not None:
                (low, high), (a, b) = frame.interval, found[1]
                frame.interval = (max(low, a - more), min(high, b - more))
        return None

    def finish(self, frame: _Frame) -> None:
        step = self.diagram.steps[frame.node]
        assert step is not None
        deltas = tuple(d[1:] for d in self.diagram.deltas[frame.node])
        node = self.builder.add(step, tuple(frame.children), deltas)
        self.meter.spend(1 + len(frame.children), self.text)
        if frame.total is None:
            self.free[frame.node] = node
            return
        starts = self.starts.setdefault(frame.node, [])
        at = bisect_right(starts, frame.interval[0])
        self.meter.spend(len(starts) // _MOVED, self.text)
        starts.insert(at, frame.interval[0])
        self.known.setdefault(frame.node, []).insert(at, (frame.interval[1], node))

    def look_up(self, node: int, total: int | None) -> tuple[int, _Interval] | _Frame:
        """The new node for a partial sum and the interval that it serves, or the frame that will make it."""
        if node == DEAD:
            return DEAD, _EVERYWHERE
        verdict = (True, _EVERYWHERE) if total is None else self.verdict(self.rests[node], total)
        if verdict is not None:
            satisfied, interval = verdict
            if not satisfied:
                return DEAD, interval
            return (self.free[node], interval) if node in self.free else _Frame(node, None)
        assert total is not None
        starts = self.starts.get(node, [])
        at = bisect_right(starts, total) - 1
        if at >= 0 and self.known[node][at][0] >= total:
            end, found = self.known[node][at]
            return found, (starts[at], end)
        return _Frame(node, total)

    def verdict(self, rest: _Rest, total: int) -> tuple[bool, _Interval] | None:
        """Whether all ways on, or none, satisfy the constraint, and for which partial sums that is so."""
        if rest.low > rest.high:
            return True, _EVERYWHERE
        above, below = (1 - rest.low, inf), (-inf, -1 - rest.high)
        reached = rest.low == rest.high == -total
        match self.op:
            case "<=":
                if total + rest.high <= 0:
                    return True, (-inf, -rest.high)
                return (False, above) if total + rest.low > 0 and not rest.voidable else None
            case "==":
                if reached:
                    return True, (total, total)
                if rest.voidable or (total + rest.low <= 0 <= total + rest.high):
                    return None
                return False, above if total + rest.low > 0 else below
            case _:
                if reached:
                    return None if rest.voidable else (False, (total, total))
                if total + rest.low <= 0 <= total + rest.high:
                    return None
                return True, above if total + rest.low > 0 else below


def _whole_numbers(diagram: Diagram) -> tuple[int | None, list[tuple[int | None, ...]]]:
    """Offset and deltas of the first constraint, multiplied so that all are whole."""
    offset = diagram.offset[0]
    sums = [tuple(d[0] for d in deltas) for deltas in diagram.deltas]
    present = [x for x in (offset, *(x for row in sums for x in row)) if x is not None]
    scale = lcm(*{Fraction(x).denominator for x in present})
    whole = [tuple(None if x is None else int(x * scale) for x in row) for row in sums]
    return None if offset is None else int(offset * scale), whole


def _rests(diagram: Diagram, sums: list[tuple[int | None, ...]]) -> list[_Rest]:
    rests = [_Rest(0, 0, False)]
    for children, row in zip(diagram.children[1:], sums[1:], strict=True):
        low, high, voidable = inf, -inf, False
        for child, more in zip(children, row, strict=True):
            if child == DEAD:
                continue
            if more is None:
                voidable = True
                continue
            rest = rests[child]
            voidable |= rest.voidable
            low, high = min(low, rest.low + more), max(high, rest.high + more)
        rests.append(_Rest(low, high, voidable))
    return rests
