"""What a running search or training tells whoever watches: plain values, no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """A moment of a run: step ``step`` of ``steps`` in epoch ``epoch`` of ``epochs``, all counted from zero.

    ``loss`` is the latest one, ``metrics`` the latest measured values, ``eta`` the seconds left in this phase
    (``None`` while unknown), ``message`` a line for people, if any, and ``note`` whether it must be seen by those who
    do not watch, too. Of trials, ``step`` counts those that ended, ``best`` has the main metric's best value so far.
    """

    phase: str
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    eta: float | None = None
    message: str = ""
    best: Mapping[str, float] = field(default_factory=dict)
    failed: int = 0
    running: int = 0
    note: bool = False


ProgressFn = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Watches nothing."""


class Clock:
    """Estimates the time left from the work done since it was made (work resumed from a checkpoint is not counted)."""

    def __init__(self, total: int, done: int = 0) -> None:
        self.total = total
        self._first = done
        self._start = time.monotonic()

    def eta(self, done: int) -> float | None:
        """Seconds until ``total``; ``None`` before the first unit is done."""
        if done <= self._first:
            return None
        per_unit = (time.monotonic() - self._start) / (done - self._first)
        return per_unit * (self.total - done)
