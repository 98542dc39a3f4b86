"""The static plan of a decision diagram: what is settled step by step, and what is remembered in between.

A step settles one decision, or for a subset decision whether one element is picked. The state
between two steps is one tuple:

- entry 0 holds bits: per condition still wanted, what is known of it (*all*: that a part failed;
  *any*: that a part held; an atom: that it holds). A settled part is pushed into the conditions it
  belongs to and then forgotten, so assignments that differ only in spent detail share a state;
- the other entries are registers: how many elements of an unfinished subset are picked, and
  numbers that amounts of constrained costs still need.

:mod:`spacec.space.planner` makes schedules; :mod:`spacec.space.explore` runs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spacec.ir.dims import Dim
from spacec.ir.sizes import evaluate
from spacec.space.constraints import Linear
from spacec.space.values import Number, Value

IN, OUT = 0, 1
"""Outcomes of a step that settles an element."""

State = tuple[Number | None, ...]


@dataclass(frozen=True)
class Step:
    """What is settled: a decision (``domain`` lists its values), or ``element`` of a subset decision.

    Outcomes that nothing later tells apart are of one class; ``classes[outcome]`` is its number.
    """

    decision: str
    element: int | None
    domain: tuple[Value, ...]
    classes: tuple[int, ...]


@dataclass(frozen=True)
class Read:
    """A condition in the state: whether ``bit`` is set, or clear where ``inverted``; ``bit`` 0 gives a constant."""

    bit: int
    inverted: bool

    def __call__(self, bits: int) -> bool:
        return bool(bits & self.bit) != self.inverted


@dataclass(frozen=True)
class Push:
    """A condition that is settled now, and the bits that it sets in those it belongs to."""

    read: Read
    if_true: int
    if_false: int


@dataclass(frozen=True)
class Addition:
    """``amount`` is added to constraint ``constraint`` where ``read`` holds; ``registers`` places its symbols."""

    constraint: int
    read: Read
    amount: Dim
    registers: Mapping[str, int]
    parts: Mapping[str, Read] = field(default_factory=dict)
    """Presence in the amount, by its key."""
    _known: dict[tuple[Number | None, ...], Number] = field(default_factory=dict)

    def value(self, state: list[Number | None], bits: int) -> Number:
        """The amount in a state; nothing where it mentions the number of an inactive decision."""
        if isinstance(self.amount, int):
            return self.amount
        numbers: dict[str, Number | None] = {name: state[r] for name, r in self.registers.items()}
        numbers.update((key, int(read(bits))) for key, read in self.parts.items())
        key = tuple(numbers.values())
        if key not in self._known:
            given = {name: n for name, n in numbers.items() if n is not None}
            complete = len(given) == len(numbers)
            self._known[key] = evaluate(self.amount, lambda s: given[s.key]) if complete else 0
        return self._known[key]


@dataclass(frozen=True)
class Bounds:
    """How many elements of a subset may be picked, and how many are settled after this one."""

    low: int
    high: int
    left: int
    exact: bool
    """The exact number picked is wanted later, not only whether the bounds hold."""


@dataclass(frozen=True)
class Action:
    """What one step does to the state; the fields are in the order in which they apply."""

    step: Step
    active: Read
    """Whether the decision is active; for later elements of a subset its register tells."""
    bounds: Bounds | None
    first: bool
    voids: tuple[int, ...]
    """Constraints that hold vacuously if the decision is inactive."""
    register: int
    """Place in the state of the picked count or the number; 0 for none."""
    numbers: tuple[Number, ...]
    """Per class, what goes there (but for elements)."""
    masks: tuple[int, ...]
    """Per class, the bits to set."""
    mask_inactive: int
    pushes: tuple[Push, ...]
    additions: tuple[Addition, ...]
    clear: int
    """Bits that are spent."""
    release: tuple[int, ...]
    """Registers that are spent."""


@dataclass(frozen=True)
class Schedule:
    """Actions in order, the width of the state, the constraints and what they amount to before the first step."""

    actions: tuple[Action, ...]
    width: int
    constraints: tuple[Linear, ...]
    constants: tuple[Number, ...]
