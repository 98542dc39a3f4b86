"""The trials of a search: what a strategy proposes is rated, recorded and handed back, until it proposes no more."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from spacec.search import files
from spacec.search.checkpoint import restore_trials, save_trials
from spacec.search.context import SearchContext
from spacec.search.progress import Progress, ProgressFn
from spacec.search.seeds import reseed
from spacec.search.strategy import Strategy, Trial, TrialResult
from spacec.search.tabular import Tabular


class Trials:
    """``done``: how many were rated. ``best``: the first metric of the best one, and all of its metrics."""

    def __init__(self, strategy: Strategy, ctx: SearchContext, out_dir: Path | None, progress: ProgressFn) -> None:
        self.strategy = strategy
        self.ctx = ctx
        self.out_dir = out_dir
        self.progress = progress
        self.done = 0
        self.best: tuple[float, dict[str, float]] = (ctx.task.metrics[0].worst, {})

    def restore(self) -> None:
        """Go on from the checkpoint in the run directory, if there is one."""
        if self.out_dir is not None:
            self.done, self.best = restore_trials(self.out_dir, self.ctx, self.strategy)

    def run(self) -> None:
        """Rate proposals until there are none; a checkpoint follows each round."""
        while trials := self._proposed():
            results = [self._rate(trial) for trial in trials]
            self.strategy.observe(results)
            if self.out_dir is not None:
                self.ctx.recorder.flush()
                save_trials(self.out_dir, self.ctx, self.strategy, self.done, self.best)

    def _proposed(self) -> Sequence[Trial]:
        config = self.ctx.config
        left = config.parallel if config.trials is None else min(config.parallel, config.trials - self.done)
        return self.strategy.propose(left) if left > 0 else ()

    def _rate(self, trial: Trial) -> TrialResult:
        """Rate one trial; whatever goes wrong in it (out of memory, a NaN) is its result, not the search's end."""
        ctx, start = self.ctx, time.monotonic()
        reseed(ctx.seed, "trial", self.done)
        try:
            result = self._rated(trial, start)
        except files.StorageError:
            raise
        except Exception as error:  # a trial may run any module a user wrote; its traceback is kept in the record
            text = f"{type(error).__name__}: {error}"
            ctx.recorder.event("trial failed", text, {"trial": self.done, "traceback": traceback.format_exc()})
            result = TrialResult(trial, {}, time.monotonic() - start, error=text)
        self._record(result)
        self.done += 1
        return result

    def _record(self, result: TrialResult) -> None:
        ctx, trial, metrics = self.ctx, result.trial, result.metrics
        metric = ctx.task.metrics[0]
        if metric.name in metrics and metric.better(metrics[metric.name], self.best[0]):
            self.best = (metrics[metric.name], dict(metrics))
        text = trial.arch.text()
        ctx.recorder.trial(self.done, text, trial.weights, trial.budget, metrics, result.seconds, result.error)
        self.progress(Progress("trials", step=self.done, metrics=dict(metrics), message=text))

    def _rated(self, trial: Trial, start: float) -> TrialResult:
        if isinstance(self.ctx.task, Tabular):
            return self.ctx.task.rate(trial)
        if trial.weights == "shared":
            metrics: Mapping[str, float] = self.ctx.evaluate(trial.arch, trial.split, batches=trial.batches)
            return TrialResult(trial, metrics, time.monotonic() - start)
        fitted = self.ctx.fit(trial.arch, trial.budget, trial.resume, trial.split)
        return TrialResult(trial, fitted.metrics, time.monotonic() - start, fitted.token)
