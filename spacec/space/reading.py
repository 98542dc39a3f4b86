"""What the outputs of a body may read under decisions: the sweep that everything about one network begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from spacec.space.bodies import Body, CallCode, ChooseCode, Decide, InputCode, OpCode, OutCode, SwitchCode


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
        heap = [-e for e in set(ends)]
        heapify(heap)
        seen = set(ends)
        order: list[int] = []
        while heap:
            index = -heappop(heap)
            order.append(index)
            for source in self.sources(index):
                if source not in seen:
                    seen.add(source)
                    heappush(heap, -source)
        return order

    def sources(self, index: int) -> tuple[int, ...]:
        code = self.body.nodes[index]
        match code:
            case OpCode() | CallCode():
                return code.inputs
            case ChooseCode() | SwitchCode():
                return self.taken(index, code)
            case OutCode():
                self.outs.setdefault(code.call, set()).add(code.place)
                return (code.call,)
            case InputCode():
                return ()

    def taken(self, index: int, code: ChooseCode | SwitchCode) -> tuple[int, ...]:
        """The node that a choice gives, if any."""
        taken = self.chosen[index] = code.taken(self.decide)
        return () if taken is None else (taken,)
