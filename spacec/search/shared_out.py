"""Standalone trials, shared out between the processes of a search.

A rating depends on the trial and its number only, so each process rates whole trials, and ratings are those of one
process to the bit. They are given back one at a time, in the order in which the trials were asked for, as one process
gives them: what a strategy is told, and when, does not depend on how many there are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from spacec.search.executor import Executor, Here, Rated
from spacec.search.ranks import Ranks


def executor_of(ranks: Ranks, executor: Executor | None) -> Executor:
    """Where trials are rated, where ``executor`` was asked for."""
    return SharedOut(ranks) if ranks.size > 1 else executor or Here()


class SharedOut(Here):
    """All processes, each on its next trial; who has none waits.

    The state that a trial goes on with is that which the first process submits.
    """

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self.ranks = ranks
        self._ready: deque[Rated] = deque()

    def collect(self) -> list[Rated]:
        if not self._ready:
            self._rate_next()
        return [self._ready.popleft()]

    def _rate_next(self) -> None:
        ranks = self.ranks
        taken = [self._waiting.popleft() for _ in range(min(ranks.size, len(self._waiting)))]
        states = [None] * len(taken)
        if any(trial.resume is not None for _, trial, _ in taken):
            states = ranks.first(lambda: [state for _, _, state in taken])
        mine: Rated | None = None
        if ranks.rank < len(taken):
            number, trial, _ = taken[ranks.rank]
            mine = replace(self._rate(number, trial, states[ranks.rank]), worker=f"process {ranks.rank}")
        found = ranks.everyone(mine, patiently=True)
        self._ready.extend(replace(rated, finished=self.now()) for rated in found if rated is not None)
