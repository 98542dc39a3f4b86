"""How a supernet runs: which passes rewrite its graph, in which memory layout, with which kernels.

A schedule is data: chosen by hand, by name or by measurement, stored with a run and given back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from spacec.passes.base import Pass, parse

Goal = Literal["fast", "launches"]
Layout = Literal["contiguous", "channels_last"]


@dataclass(frozen=True)
class Schedule:
    """``passes`` are written as for ``spacec opt --pass``; ``kernels`` names the implementation of each op site."""

    passes: tuple[str, ...] = ()
    layout: Layout = "contiguous"
    kernels: Mapping[str, str] = field(default_factory=dict)
    regions: Literal["eager", "compiled"] = "eager"

    def pipeline(self) -> tuple[Pass, ...]:
        """The passes themselves."""
        return tuple(map(parse, self.passes))


FAST = Schedule(("drop_zeros", "canonicalise", "mixes", "share", "hoist", "order"), "channels_last")
"""Without measuring: what is never slower on the machines that were tried."""
LAUNCHES = Schedule(("drop_zeros", "canonicalise", "mixes", "share", "hoist"))
"""Few large calls, for devices on which starting a call is what takes the time."""
NAMED: Mapping[str, Schedule] = {"fast": FAST, "launches": LAUNCHES}


def named(name: str) -> Schedule:
    """The schedule of a name. Raises :class:`ValueError` for an unknown one."""
    if name not in NAMED:
        raise ValueError(f"no schedule is called '{name}'; there are {', '.join(NAMED)}")
    return NAMED[name]
