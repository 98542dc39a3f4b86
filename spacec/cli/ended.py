"""Doing what ``search``, ``train`` and ``resume`` are asked for, and telling what came of it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacec.cli.follow import following
from spacec.cli.front import tell_front
from spacec.cli.output import table, tell
from spacec.cli.progress import watching
from spacec.cli.together import processes, several
from spacec.job.perform import perform

if TYPE_CHECKING:
    from spacec.facade import Space
    from spacec.job.parts import Parts
    from spacec.job.recipe import Recipe
    from spacec.pipeline import Outcome
    from spacec.search.repeat import Curve
    from spacec.search.runner import SearchResult
    from spacec.search.task import Metric
    from spacec.search.training import TrainResult


def command_line() -> str:
    """The command line as a person would type it again, without passwords."""
    from spacec.search.store.url import without_passwords

    start = ["spacec"]
    if several():
        start = ["torchrun", "--nproc-per-node", os.environ.get("LOCAL_WORLD_SIZE", "1"), "-m", "spacec"]
    return shlex.join([*start, *without_passwords(sys.argv[1:])])


def run_and_tell(job: Recipe, parts: Parts, out: Path, resume: bool, store_url: str = "") -> None:
    """Do ``job`` in ``out``, with progress, and print what it found."""
    from spacec.reporting import write_run_report

    ranks = processes()
    parts = replace(parts, ranks=ranks)
    if not ranks.leads:
        with watching() as progress:
            perform(job, parts, out, progress, resume, store_url)
        return
    with watching() as bars, following(out, bars, store_url) as progress:
        ended = perform(job, parts, out, progress, resume, store_url)
        report = write_run_report(out, store_url)
    if ended.found is not None:
        _tell_found(ended.found, parts.space, out)
        tell_front(out)
    if ended.outcome is not None:
        _tell_outcome(ended.outcome, parts.space, parts.task.metrics[0], out)
        tell_front(out)
    if ended.curves:
        _tell_curves(ended.curves, parts.task.metrics[0])
        tell_front(out)
    if ended.trained is not None:
        _tell_trained(ended.trained, parts.space, out)
    if ended.outcome is None:
        tell(f"report        {report}")


def metrics_text(metrics: Mapping[str, float]) -> str:
    """``psnr 27.31  loss 0.012``."""
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def _tell_found(found: SearchResult, space: Space, out: Path) -> None:
    tell(f"architecture  {found.architecture.text()}")
    tell(f"weights       {space.params(found.architecture):,}")
    if found.metrics:
        weights = "with the search's weights" if found.context.supernets else "trained alone, as its trial"
        tell(f"rated         {metrics_text(found.metrics)} ({weights}, on the arch split)")
    tell(f"run           {out}")


def _tell_outcome(ended: Outcome, space: Space, metric: Metric, out: Path) -> None:
    from spacec.pipeline import RANDOM, SEARCHED

    tell(f"\nheld-out {metric.name} ({'higher' if metric.direction == 'max' else 'lower'} is better)")
    rows = [(ended.titles[name], metric.text(values[metric.name])) for name, values in ended.results.items()]
    tell(table(rows))
    tell(f"architecture  {ended.architecture.text()}")
    tell(f"weights       {space.params(ended.architecture):,}")
    tell(f"report        {ended.report}")
    network = out / "network.py"
    checked = f"; try: python {network} --check" if (out / "check.pt").exists() else ""
    tell(f"network       {network} (stand-alone{checked})")
    if RANDOM in ended.results and SEARCHED in ended.results:
        mine, other = ended.results[SEARCHED][metric.name], ended.results[RANDOM][metric.name]
        verdict = "better than" if metric.better(mine, other) else "not better than"
        tell(f"The searched network is {verdict} a random architecture of the space trained with the same budget.")


def _tell_curves(curves: Sequence[Curve], metric: Metric) -> None:
    """The best of all runs over a benchmark, and what half of the runs reached."""
    from spacec.search.incumbents import quartiles

    best = curves[0]
    for curve in curves[1:]:
        best = curve if metric.better(curve.best[-1], best.best[-1]) else best
    tell(f"architecture  {best.architecture}")
    tell(f"{metric.name:<12}  {metric.text(best.best[-1])} (seed {best.seed})")
    facts: dict[str, Any] = {"queries": len(best.best)}
    if len(curves) > 1:
        found = asdict(quartiles([c.best[-1] for c in curves]))
        shown = {name: metric.text(value) for name, value in found.items()}
        facts["runs"] = f"{len(curves)}: median {shown['median']}, quartiles {shown['low']} and {shown['high']}"
    if seconds := quartiles([c.seconds[-1] for c in curves]).median:
        facts["would cost"] = f"{seconds / 3600:,.1f} hours of training" + (" (median)" if len(curves) > 1 else "")
    for name, value in facts.items():
        tell(f"{name:<12}  {value}")


def _tell_trained(found: TrainResult, space: Space, out: Path) -> None:
    tell(f"architecture  {found.architecture.text()}")
    tell(f"weights       {space.params(found.architecture):,}, of epoch {found.epoch + 1}")
    tell(f"valid         {metrics_text(found.valid)}")
    tell(f"test          {metrics_text(found.test)}")
    tell(f"run           {out}")
