"""Run a schedule: all reachable states, layer by layer, merged from the end into a smallest diagram."""

from __future__ import annotations

from collections.abc import Iterator

from spacec.space.diagram import DEAD, END, Builder, Delta, Diagram, Meter
from spacec.space.schedule import IN, OUT, Action, Bounds, Schedule, State
from spacec.space.values import Number

_Way = tuple[int, Delta]
"""A state of the next layer, by place, and what is added on the way to it."""

_Ways = _Way | list[_Way | None]
"""Per class of outcomes; a single way where the decision is inactive."""


def explore(schedule: Schedule, meter: Meter) -> Diagram:
    """The diagram of a schedule, before any constraint is imposed.

    Raises :class:`TooManyStates` where the ways from state to state pass the limit of ``meter``.
    """
    layer: dict[State, int] = {(0, *(None,) * (schedule.width - 1)): 0}
    layers: list[list[_Ways]] = []
    for action in schedule.actions:
        runner = _Runner(action, len(schedule.constraints), schedule.width)
        layers.append([])
        for state in layer:
            ways = runner.ways(state)
            layers[-1].append(ways)
            meter.spend(len(ways) * runner.price)
        layer = runner.after
    return _merged(schedule, layers)


class _Runner:
    """One layer: the ways out of its states, and the states they lead to."""

    def __init__(self, action: Action, constraints: int, width: int) -> None:
        self.action = action
        self.constraints = constraints
        self.after: dict[State, int] = {}
        terms = sum(1 if isinstance(a.amount, int) else 2 * len(a.amount.terms) for a in action.additions)
        self.price = 1 + (width + constraints + len(action.pushes) + terms) // 8
        """How many plain ways one way costs."""

    def ways(self, state: State) -> _Ways:
        action = self.action
        active = action.active(_bits(state)) if action.first else state[action.register] is not None
        if not active:
            return self.way(state, action.mask_inactive, None)
        if action.bounds is None:
            return [self.way(state, m, n) for m, n in zip(action.masks, action.numbers, strict=True)]
        picked = 0 if action.first else state[action.register] or 0
        counts = _counts(action.bounds, picked)
        return [None if n is None else self.way(state, m, n) for m, n in zip(action.masks, counts, strict=True)]

    def way(self, state: State, mask: int, number: Number | None) -> _Way:
        """The way on; ``number`` is ``None`` where the decision is inactive."""
        action, after = self.action, list(state)
        bits = _bits(state) | mask
        if action.register:
            after[action.register] = number
        for push in action.pushes:
            bits |= push.if_true if push.read(bits) else push.if_false
        delta = self.delta(after, bits, number is None) if self.constraints else ()
        after[0] = bits & ~action.clear
        for register in action.release:
            after[register] = None
        return self.after.setdefault(tuple(after), len(self.after)), delta

    def delta(self, after: list[Number | None], bits: int, inactive: bool) -> Delta:
        total: list[Number | None] = [0] * self.constraints
        for addition in self.action.additions:
            if addition.read(bits):
                total[addition.constraint] = (total[addition.constraint] or 0) + addition.value(after, bits)
        if inactive and self.action.first:
            for j in self.action.voids:
                total[j] = None
        return tuple(total)


def _counts(bounds: Bounds, picked: Number) -> Iterator[Number | None]:
    """How many are picked after each outcome; ``None`` where the bounds cannot be met any more."""
    for outcome in (IN, OUT):
        count = picked + (outcome == IN)
        if count > bounds.high or count + bounds.left < bounds.low:
            yield None
        elif not bounds.exact and count >= bounds.low and count + bounds.left <= bounds.high:
            yield bounds.low  # whatever is picked from here on will do, so these states are one
        else:
            yield count


def _bits(state: State) -> int:
    bits = state[0]
    assert isinstance(bits, int)
    return bits


def _merged(schedule: Schedule, layers: list[list[_Ways]]) -> Diagram:
    """Number the nodes from the end; a state that asks nothing is the state it leads to."""
    builder = Builder()
    zero: Delta = (0,) * len(schedule.constraints)
    after: list[_Way] = [(END, zero)]
    for action, layer in zip(reversed(schedule.actions), reversed(layers), strict=True):
        here: list[_Way] = []
        for ways in layer:
            if isinstance(ways, tuple):
                here.append(_onward(ways, after))
                continue
            targets = [(DEAD, zero) if way is None else _onward(way, after) for way in ways]
            node = builder.add(action.step, tuple(t for t, _ in targets), tuple(d for _, d in targets))
            here.append((node, zero))
        after = here
    root, offset = _onward((0, tuple(schedule.constants)), after)
    return builder.build(root, offset)


def _onward(way: _Way, after: list[_Way]) -> _Way:
    place, delta = way
    target, more = after[place]
    return target, added(delta, more) if delta else delta


def added(a: Delta, b: Delta) -> Delta:
    """Sums per constraint; a void one stays void."""
    return tuple(None if x is None or y is None else x + y for x, y in zip(a, b, strict=True))
