"""The trials of a search: what a strategy asks for is rated somewhere, recorded and told back, until it asks no more.

The record is the log from which a search goes on. A trial is written when it is asked for and when its rating is there;
results are told to the strategy in *groups* (a round, or one at a time where asynchronous), and a group is on disk,
under its index, before the strategy hears of it. A search that resumes starts from the last checkpoint, asks and
tells again what was recorded since, and rates anew only what was out: nothing that was recorded is lost, and the
strategy cannot tell the difference.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search import files
from spacec.search.asking import checked
from spacec.search.checkpoint import Log, restore_trials, save_trials
from spacec.search.context import SearchContext
from spacec.search.executor import Executor, Rated, judged, rated
from spacec.search.progress import Clock, Progress, ProgressFn
from spacec.search.record import TrialRow
from spacec.search.seeds import reseed
from spacec.search.states import States
from spacec.search.strategy import Strategy, Trial, TrialResult
from spacec.search.tabular import Tabular
from spacec.space.architecture import Architecture

PAUSE = 1.0
"""Seconds between checkpoints, at least."""
SHARE = 20.0
"""Checkpoints take no more than one part in so many of the time."""


@dataclass
class _Out:
    """Trials that were asked for: those that are out, and those of them whose rating is there but not told."""

    rows: dict[int, TrialRow] = field(default_factory=dict)
    trials: dict[int, Trial] = field(default_factory=dict)
    ready: dict[int, TrialRow] = field(default_factory=dict)


class Trials:
    """``done``: how many were rated, ``failed``: in vain."""

    def __init__(
        self, strategy: Strategy, ctx: SearchContext, out_dir: Path | None, progress: ProgressFn, executor: Executor
    ) -> None:
        self.strategy = strategy
        self.ctx = ctx
        self.out_dir = out_dir
        self.progress = progress
        self.executor = executor
        self.log = Log()
        self.done = 0
        self.failed = 0
        self._best: float | None = None
        self._ratings: dict[str, TrialRow] = {}
        self._out = _Out()
        self._recorded: Mapping[int, TrialRow] = {}
        self._shared: deque[tuple[int, Trial]] = deque()
        self._states = States(out_dir)
        self._started = False
        self._raised = 0
        self._next_checkpoint = 0.0
        self._clock = Clock(ctx.config.trials or 0)
        self._latest = 0.0

    def restore(self) -> None:
        """Go on from the checkpoint in the run directory, if there is one, and from what was recorded after it."""
        if self.out_dir is not None:
            self.log = restore_trials(self.out_dir, self.ctx, self.strategy) or self.log
        self._settle()
        recorded = self.ctx.ranks.first(self.ctx.recorder.trials)
        self._recorded = rows = {row.number: row for row in recorded}
        self._latest = max((row.finished or 0.0 for row in rows.values()), default=0.0)
        groups: dict[int, list[TrialRow]] = {}
        for row in rows.values():
            if row.told is not None:
                groups.setdefault(row.told, []).append(row)
        for told in range(self.log.told):
            for row in groups.get(told, ()):
                self._count(row)
        if lacking := [number for number in self.log.out if number not in rows]:
            headline = f"trial {lacking[0]}, which the checkpoint knows, is not in the record of '{self.out_dir}'"
            raise files.StorageError(Diagnostic("E0813", headline))
        for number in self.log.out:
            self._put_out(rows[number], self._trial(rows[number]))
        while (group := groups.get(self.log.told)) is not None:
            self._ask()
            if not {row.number for row in group} <= set(self._out.rows):
                raise self._diverged(group[0])
            self._tell(group)

    def run(self) -> None:
        """Rate what is asked for until nothing is."""
        try:
            if self._settle():
                self._save(force=True)
            for number in self._out.rows:
                self._submit(number)
            while True:
                for number in self._ask():
                    self._submit(number)
                if not self._out.rows:
                    break
                self._tell(self._group())
                self._save()
            if self.log.asked:
                self._save(force=True)
        finally:
            if self._started:
                self.executor.close()

    def metrics_of(self, arch: Architecture) -> dict[str, float]:
        """What the longest of its trials measured of ``arch``, the best of several; empty where none succeeded."""
        row = self._ratings.get(arch.text())
        return {} if row is None else dict(row.metrics)

    # asking

    def _settle(self) -> bool:
        """How many may be out, where nobody said so: all that can run at once. Whether that is news."""
        if not self.ctx.config.asynchronous or self.log.parallel is not None:
            return False
        self.log.parallel = self.ctx.config.parallel or self._ready_executor().capacity
        return True

    @property
    def _room(self) -> int:
        """How many more trials may be asked for now."""
        config, out = self.ctx.config, len(self._out.rows)
        room = (self.log.parallel or config.parallel or 1) - out if config.asynchronous or not out else 0
        return room if config.trials is None else min(room, config.trials - self.log.asked)

    def _ask(self) -> list[int]:
        """Ask the strategy for as many as there is room for; the numbers of those that are out now."""
        if (room := self._room) <= 0:
            return []
        reseed(self.ctx.seed, "ask", self.log.told)
        asked = []
        proposed = self.strategy.propose(room)
        for trial in checked(self.strategy.name, self.ctx.space.digest, proposed, room, self.log.asked):
            number = self.log.asked
            row = self._recorded.get(number)
            if row is None:
                row = self._row(number, trial)
                self.ctx.recorder.trial(row)
            elif self._trial(row) != trial:
                raise self._diverged(row)
            self._put_out(row, trial)
            self.log.asked += 1
            asked.append(number)
        if asked and not isinstance(self.ctx.task, Tabular):  # a table answers before anyone could look
            self.ctx.recorder.flush()
        return asked

    def _put_out(self, row: TrialRow, trial: Trial) -> None:
        self._out.rows[row.number], self._out.trials[row.number] = row, trial
        if row.status != "running":
            self._out.ready[row.number] = row

    def _row(self, number: int, trial: Trial) -> TrialRow:
        now = self.executor.now() if self._started else self._latest or self.executor.now()
        costs = {"params": float(self.ctx.cost(trial.arch))}
        return TrialRow(number, trial.arch.text(), **_stated(trial), asked=now, costs=costs)

    def _trial(self, row: TrialRow) -> Trial:
        return Trial(self.ctx.space.architecture(row.architecture), **_stated(row))

    def _diverged(self, row: TrialRow) -> SpacecError:
        name = self.strategy.name
        headline = f"strategy '{name}' does not ask again for trial {row.number} as it was recorded"
        help = "a strategy draws from ctx.rng and ctx.generator, and keeps the rest in its state_dict"
        return SpacecError(Diagnostic("E0822", headline, notes=(row.architecture,), help=help))

    # rating

    def _submit(self, number: int) -> None:
        """Have a trial rated, unless its rating is in the record."""
        row, trial = self._out.rows[number], self._out.trials[number]
        if number in self._out.ready:
            return
        if trial.weights == "shared" and self.strategy.uses_supernet:
            self._shared.append((number, trial))
            return
        state = None
        if trial.resume is not None and self.ctx.ranks.leads and not isinstance(self.ctx.task, Tabular):
            state = self._states.load(trial.resume)
        self._ready_executor().submit(number, trial, state, row.asked)

    def _ready_executor(self) -> Executor:
        if not self._started:
            self._started = True
            self.executor.start(self.ctx.rater, self._latest)
        return self.executor

    def _collect(self) -> list[TrialRow]:
        """What is rated next, or nothing where what came was rated before."""
        if self._shared:
            return [self._rated(self._rate_shared(*self._shared.popleft()))]
        collected = self.executor.collect()
        for found in collected:
            if not 0 <= found.number < self.log.asked:
                headline = f"executor '{self.executor.name}' rates a trial that nobody asked for: number {found.number}"
                raise SpacecError(Diagnostic("E0825", headline))
        awaited = {found.number: found for found in reversed(collected) if self._awaits(found.number)}
        return [self._rated(awaited[number]) for number in sorted(awaited)]

    def _awaits(self, number: int) -> bool:
        """A trial that was tried again may be rated twice: the first rating counts."""
        return number in self._out.rows and number not in self._out.ready

    def _rate_shared(self, number: int, trial: Trial) -> Rated:
        """Rate a trial with the supernet's weights, which are in this process."""
        ctx = self.ctx

        def work() -> Rated:
            start = time.monotonic()
            metrics = ctx.evaluate(trial.arch, trial.split, batches=trial.batches)
            return Rated(number, metrics, time.monotonic() - start, finished=time.time())

        found = rated(ctx.seed, number, ctx.task.metrics[0].name, work)
        if found.error:
            ctx.ranks.failed_alike(found.error)
        return ctx.ranks.everyone(found)[0]

    def _rated(self, found: Rated) -> TrialRow:
        """The row of a rating; the state of its training is kept first."""
        row = self._out.rows[found.number]
        found = judged(found, self.ctx.task.metrics[0].name)
        if row.keep and found.state is not None and self.ctx.ranks.leads:
            self._states.keep(found.number, found.state)
        told = {name: getattr(found, name) for name in _RATED}
        return replace(row, status="failed" if found.error else "done", **told)

    # telling

    def _group(self) -> list[TrialRow]:
        """The results that are told next: a round, or what comes first where asynchronous."""
        ready, asynchronous = self._out.ready, self.ctx.config.asynchronous
        while not ready or not (asynchronous or len(ready) == len(self._out.rows)):
            rows = self._collect()
            ready.update({row.number: row for row in rows})
            if not asynchronous and len(ready) < len(self._out.rows):
                for row in rows:
                    self.ctx.recorder.trial(row)
                self.ctx.recorder.flush()
        group = [replace(ready.pop(number), told=self.log.told) for number in sorted(ready)]
        for row in group:
            self.ctx.recorder.trial(row)
        self.ctx.recorder.flush()
        return group

    def _tell(self, group: Sequence[TrialRow]) -> None:
        """Tell the strategy a group that is in the record."""
        results = []
        for row in group:
            self._out.ready.pop(row.number, None)
            del self._out.rows[row.number]
            trial = self._out.trials.pop(row.number)
            results.append(TrialResult(trial, row.metrics, row.seconds, row.error, row.traceback, row.number))
            self._count(row)
            self._show()
        reseed(self.ctx.seed, "tell", self.log.told)
        self.log.told += 1
        self.strategy.observe(results)
        limit = self.ctx.config.max_failures
        if limit is not None and self._raised >= limit:
            headline = f"the last {self._raised} trials raised, so the search stops"
            help = "the record has the traceback of each; mend the cause and resume, or set max_failures"
            raise SpacecError(Diagnostic("E0823", headline, notes=(group[-1].error,), help=help))

    def _count(self, row: TrialRow) -> None:
        metric = self.ctx.task.metrics[0]
        self.done += 1
        self._raised = self._raised + 1 if row.traceback else 0
        if row.status != "done":
            self.failed += 1
            return
        value = row.metrics.get(metric.name)
        if not isinstance(value, float | int):  # of a record that was changed: ratings are judged before they are in it
            headline = f"trial {row.number} of the record is done and has no {metric.name}"
            raise files.StorageError(Diagnostic("E0813", headline))
        if self._best is None or metric.better(value, self._best):
            self._best = value
        known = self._ratings.get(row.architecture)
        longer = 1 if known is None else (row.budget or 0) - (known.budget or 0)
        if (
            known is None
            or longer > 0
            or (longer == 0 and metric.better(row.metrics[metric.name], known.metrics[metric.name]))
        ):
            self._ratings[row.architecture] = row

    def _show(self) -> None:
        eta = self._clock.eta(self.done) if self.ctx.config.trials else None
        steps = self.ctx.config.trials or 0
        out, name = len(self._out.rows), self.ctx.task.metrics[0].name
        best = {} if self._best is None else {name: self._best}
        self.progress(Progress("trials", 0, 0, self.done, steps, eta=eta, best=best, failed=self.failed, running=out))

    def _save(self, force: bool = False) -> None:
        """Write a checkpoint, where it is time for one."""
        if self.out_dir is None or not self.ctx.ranks.leads or not (force or time.monotonic() >= self._next_checkpoint):
            return
        start = time.monotonic()
        self.ctx.recorder.sync()
        save_trials(self.out_dir, self.ctx, self.strategy, replace(self.log, out=tuple(self._out.rows)))
        end = time.monotonic()
        self._next_checkpoint = end + max(PAUSE, SHARE * (end - start))


_STATED = ("weights", "budget", "batches", "split", "keep", "resume", "tag")
"""What a trial and its row have in common."""
_RATED = ("metrics", "seconds", "finished", "worker", "attempts", "error", "traceback")
"""What a rating and a row have in common."""


def _stated(source: Trial | TrialRow) -> dict[str, Any]:
    return {name: getattr(source, name) for name in _STATED}
