"""Which of several timed alternatives is chosen, and how they are timed.

Alternatives take turns, round by round, so that what the machine does besides slows all of them alike. Of ops the least
time of each counts. Of whole networks, which run long enough to meet other processes, it is what each takes of the time
of the first in the same round. Whoever is far behind after a round is not run again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from spacec.lower.schedule import Trial

MARGIN = 0.03
"""An alternative must take less than this share of the time off to be taken: below is noise."""
NOISE = 0.05
"""What is slower than the plain form by more than this is never chosen."""
BEHIND = 2.0
"""Times the best: such an alternative is not run again. Other processes can make one timing of a whole pass no more
than that longer."""

Run = Callable[[], object]
Clock = Callable[[Run], float]
"""Seconds of one run."""


@dataclass(frozen=True)
class Choice:
    """The name of an alternative, and why."""

    name: str
    reason: str


@dataclass
class Budget:
    """Seconds that measuring may take; ``now`` is a clock."""

    seconds: float
    now: Callable[[], float]
    started: float = 0.0

    def __post_init__(self) -> None:
        self.started = self.now()

    def spent(self, share: float = 1.0) -> bool:
        """Whether a share of it is used up."""
        return self.now() - self.started >= share * self.seconds


def in_turns(
    runs: Mapping[str, Run], clock: Clock, rounds: int, enough: Callable[[], bool], behind: float = BEHIND
) -> tuple[Trial, ...]:
    """The least time of each alternative over ``rounds``, or fewer where it is ``enough``; each runs once before."""
    least: dict[str, float] = {}
    for name, run in runs.items():
        run()
        least[name] = clock(run)
    for _ in range(rounds - 1):
        if enough():
            break
        best = min(least.values())
        for name, run in runs.items():
            if least[name] <= behind * best:
                least[name] = min(least[name], clock(run))
    return tuple(Trial(name, found) for name, found in least.items())


def in_pairs(
    runs: Mapping[str, Run], clock: Clock, rounds: int, enough: Callable[[], bool], lasting: float = 0.0
) -> tuple[Trial, ...]:
    """The least time of the first, and of the others that times the median, over rounds, of what they take of its time.

    A slow spell of the machine then counts for neither of two, and no lucky moment decides. There are ``rounds``, more
    where the fastest would not run for ``lasting`` seconds in them, and fewer where it is ``enough``; each runs once
    before.
    """
    first = next(iter(runs))
    for run in runs.values():
        run()
    times = {name: [clock(run)] for name, run in runs.items()}
    shortest = min(found[0] for found in times.values())

    def share(name: str) -> float:
        return median(own / base for own, base in zip(times[name], times[first], strict=False))

    still = list(runs)
    for _ in range(max(rounds, math.ceil(lasting / shortest)) - 1):
        if enough():
            break
        best = min(map(share, still))
        still = [name for name in still if name == first or share(name) <= BEHIND * best]
        for name in still:
            times[name].append(clock(runs[name]))
    return tuple(Trial(name, min(times[first]) * share(name)) for name in runs)


def choose(trials: tuple[Trial, ...], reference: str, margin: float = MARGIN) -> Choice:
    """The fastest of ``trials``, but ``reference`` where nothing is faster than it by ``margin``."""
    times = {t.name: t.seconds for t in trials}
    best = min(trials, key=lambda t: t.seconds)
    if reference not in times:
        return Choice(best.name, "the fastest that is exact enough")
    share = best.seconds / times[reference]
    if best.name == reference:
        return Choice(reference, "nothing is faster")
    if share > 1 - margin:
        return Choice(reference, f"{best.name} takes {share:.2f} of its time, which is noise")
    return Choice(best.name, f"{share:.2f} of the time of {reference}")


def guarded(trials: tuple[Trial, ...], chosen: str, plain: str, noise: float = NOISE) -> Choice:
    """``chosen``, or ``plain`` where that is faster by more than noise."""
    times = {t.name: t.seconds for t in trials}
    ratio = times[chosen] / times[plain]
    if ratio > 1 + noise:
        return Choice(plain, f"{chosen} took {ratio:.2f} of the time of {plain}")
    return Choice(chosen, f"{ratio:.2f} of the time of {plain}")
