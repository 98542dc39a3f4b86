"""What the outputs of a body may read under decisions: the sweep that everything about one network begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spacec.space.bodies import (
    Body,
    CallCode,
    ChooseCode,
    Code,
    Decide,
    InputCode,
    NotOpen,
    OpCode,
    Open,
    OutCode,
    SwitchCode,
    mentioned,
)


@dataclass(eq=False)
class Reading:
    """One body under one set of decisions."""

    body: Body
    decide: Decide
    chosen: dict[int, int | None] = field(default_factory=dict)
    """What each choice that is read takes."""
    outs: dict[int, set[int]] = field(default_factory=dict)
    """Outputs of calls that are read."""

    def read(self, ends: Sequence[int]) -> list[int]:
        """The nodes that the ends may read, last ones first."""
        nodes, order = self.body.nodes, list[int]()
        wanted = bytearray(len(nodes))
        for end in ends:
            wanted[end] = 1
        index = wanted.rfind(1)
        while index >= 0:
            order.append(index)
            code = nodes[index]
            for source in code.inputs if type(code) is OpCode else self.sources(index, code):
                wanted[source] = 1
            index = wanted.rfind(1, 0, index)
        return order

    def sources(self, index: int, code: Code) -> tuple[int, ...]:
        """The nodes that a node reads."""
        match code:
            case ChooseCode() | SwitchCode():
                return self.taken(index, code)
            case OpCode() | CallCode():
                return code.inputs
            case OutCode():
                self.outs.setdefault(code.call, set()).add(code.place)
                return (code.call,)
            case InputCode():
                return ()

    def taken(self, index: int, code: ChooseCode | SwitchCode) -> tuple[int, ...]:
        """The node that a choice gives, if any."""
        taken = code.taken(self.decide)
        if isinstance(taken, Open):
            return self.open(index, code)
        self.chosen[index] = taken
        return () if taken is None else self.source(taken, code)

    def source(self, taken: int, code: ChooseCode | SwitchCode) -> tuple[int, ...]:
        """The node to read for an alternative."""
        return (taken,)

    def open(self, index: int, code: ChooseCode | SwitchCode) -> tuple[int, ...]:
        """The node that a choice reads whose candidate is left open. Raises :class:`NotOpen`."""
        raise NotOpen(str(next(iter(mentioned(code)))))
