"""From a search to a network one can keep: search, retrain, compare, export, report.

Joins the search and the back end, which know nothing of each other. Every stage writes into one run
directory and one record; whatever stops a stage leaves all earlier ones readable, and a report can
be made of what there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from spacec.diagnostics.model import SpacecError
from spacec.facade import Space

if TYPE_CHECKING:
    from torch import Tensor

    from spacec.lower.package import Check
    from spacec.search.config import SearchConfig
    from spacec.search.executor import Executor
    from spacec.search.probe import Probe
    from spacec.search.progress import ProgressFn
    from spacec.search.ranks import Ranks
    from spacec.search.record import RunStore
    from spacec.search.strategy import Strategy
    from spacec.search.task import Forward, OutLike, Splits, Task
    from spacec.search.trainer import TrainConfig
    from spacec.search.training import TrainResult
    from spacec.search.wiring import Wiring
    from spacec.space.architecture import Architecture

SEARCHED = "searched"
RANDOM = "random"
NOT_OURS = ("E0812", "E0815", "E0830")
"""The directory belongs to another run, or to another process: it is left as it is."""


@dataclass(frozen=True)
class Job:
    """What is searched, how, and where everything goes."""

    space: Space
    strategy: Strategy
    task: Task
    search: SearchConfig
    train: TrainConfig
    out: Path
    command: str = ""
    """The command line that started it, for the report."""
    compare: bool = True
    """Retrain a random architecture of the space with the same budget, too."""
    probes: Sequence[Probe] = ()
    """What measures the search, read-only."""
    executor: Executor | None = None
    """Where trials are rated; in this process where none is given."""
    store: str = ""
    """The URL of the database that keeps the record; in ``out`` where none is given."""
    ranks: Ranks | None = None
    """The processes that run it together; none for this one alone."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended: metrics on held-out data by subject, in the order of the report.

    Of several processes, the first one alone judges: ``results`` are empty on the others.
    """

    architecture: Architecture
    report: Path
    results: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)


def run_job(job: Job, progress: ProgressFn, resume: bool = False) -> Outcome:
    """Run all stages. With ``resume``, each goes on from where its checkpoint is.

    Raises what the stages raise, after closing their records; what is there by then has its report.
    """
    from spacec.search.lock import locked

    leads = job.ranks is None or job.ranks.leads
    try:
        with locked(job.out if leads else None):
            return _stages(job, progress, resume)
    except (KeyboardInterrupt, SpacecError) as error:
        if leads and not (isinstance(error, SpacecError) and error.diagnostics[0].code in NOT_OURS):
            _report_what_there_is(job)
        raise


def _report_what_there_is(job: Job) -> None:
    """A report of a run that was cut off, where the record and the disk allow one."""
    from spacec.search.files import StorageError
    from spacec.search.report.write import write_report

    with suppress(StorageError):
        write_report(job.out, url=job.store)


def _stages(job: Job, progress: ProgressFn, resume: bool) -> Outcome:
    from spacec.search.files import REPORT
    from spacec.search.progress import silent
    from spacec.search.ranks import ONE
    from spacec.search.record import RunStore
    from spacec.search.runner import search

    ranks = job.ranks or ONE
    progress = progress if ranks.leads else silent
    found = search(
        job.space,
        job.strategy,
        job.task,
        job.search,
        job.out,
        train_config=job.train,
        resume=resume,
        progress=progress,
        probes=job.probes,
        executor=job.executor,
        store=job.store or None,
        ranks=ranks,
    )
    arch = found.architecture
    with RunStore.of(job.out, job.store) if ranks.leads else nullcontext() as store:
        trained = {SEARCHED: _retrain(job, arch, SEARCHED, job.out, store, progress, resume)}
        if job.compare:
            other = random_other(job.space, arch, job.search.seed)
            trained[RANDOM] = _retrain(job, other, RANDOM, job.out / RANDOM, store, progress, resume)
        if store is None:
            return Outcome(arch, job.out / REPORT)
        return _conclude(job, arch, trained, store, progress)


def last_probabilities(store: RunStore) -> dict[str, list[float]]:
    """Slot probabilities at the end of the search; empty for strategies that have none."""
    searches = [run["id"] for run in store.runs() if run["kind"] == "search"]
    rows = store.probabilities(searches[-1]) if searches else []
    last = max((row["epoch"] for row in rows), default=-1)
    return {row["slot"]: row["values"] for row in rows if row["epoch"] == last}


def random_other(space: Space, arch: Architecture, seed: int) -> Architecture:
    """A uniformly drawn architecture that is not ``arch`` (``arch`` itself where the space has no other)."""
    drawn = space.sample(8, seed=seed)
    return next((a for a in drawn if a != arch), arch)


def _retrain(
    job: Job, arch: Architecture, name: str, out: Path, store: RunStore | None, progress: ProgressFn, resume: bool
) -> TrainResult:
    from spacec.search.ranks import ONE
    from spacec.search.training import train

    how: dict[str, Any] = {"resume": resume, "name": name, "store": store, "progress": progress}
    return train(job.space, arch, job.task, job.train, out, ranks=job.ranks or ONE, **how)


def _conclude(
    job: Job, arch: Architecture, trained: Mapping[str, TrainResult], store: RunStore, progress: ProgressFn
) -> Outcome:
    """Baselines, per-sample values, the exported network, pictures, the report."""
    from spacec.lower.network import Network
    from spacec.lower.package import save_package
    from spacec.search.progress import Progress
    from spacec.search.report import gather, write
    from spacec.search.training import recording
    from spacec.search.wiring import Wiring, input_types, output_types

    task = job.task.adapt(input_types(job.space.flat), output_types(job.space.flat))
    wiring = Wiring.of(task, job.space.flat)
    splits = task.splits(job.train.seed)
    progress(Progress("judge", message="comparing with the baselines on held-out data"))
    recorder = store.reopen("train", SEARCHED)
    if recorder is None:
        raise AssertionError("the retraining has its record")
    with recording(recorder):
        metric = task.metrics[0].name
        gather.record_baselines(recorder, metric, task.baselines())
        if job.command:
            gather.record_command(recorder, job.command)
        for name, result in trained.items():
            forward = _forward(wiring, result)
            samples = task.per_sample(forward, splits)
            gather.record_samples(recorder, "trained" if name == SEARCHED else name, metric, samples)
        forward = _forward(wiring, trained[SEARCHED])
        write.write_pictures(job.out, task.pictures(forward, splits))
        write.write_architecture(job.out, job.space, arch, last_probabilities(store), job.space.name)
    model = trained[SEARCHED].model
    if isinstance(model, Network):
        test = trained[SEARCHED].test
        facts = (
            f"Found by {job.strategy.name} for the task {task.name} (seed {job.search.seed}).",
            f"Held-out {metric}: {task.metrics[0].text(test[metric])}.",
        )
        save_package(job.out, model, _check(task, wiring, job.space.flat.inputs, splits), facts)
    report = write.write_report(job.out, url=job.store)
    data = gather.gather(job.out, job.store)
    results = {s.name: dict(s.values) for s in data.subjects}
    return Outcome(arch, report, results, {s.name: s.title for s in data.subjects})


def _forward(wiring: Wiring, result: TrainResult) -> Forward:
    """The trained network as the task asks it: inputs by name, on the network's own device, in eval mode."""
    device = next(result.model.parameters()).device

    def forward(inputs: Mapping[str, Tensor]) -> OutLike:
        return wiring.wrap(result.model(*(t.to(device) for t in wiring.arguments(inputs))))

    return forward


def _check(task: Task, wiring: Wiring, names: tuple[str, ...], splits: Splits) -> Check | None:
    """The held-out data with what it should give, where the exported file knows the metric.

    ``names``: the inputs as the space, thus the exported network, calls them.
    """
    from spacec.lower.package import Check, KnownMetric
    from spacec.search.loader import ordered

    metric = next((known for known in get_args(KnownMetric) if known == task.metrics[0].name), None)
    if metric is None:
        return None
    batches = list(ordered(splits.test, task.batch_size))
    inputs = tuple(
        arguments[0] if len(arguments) == 1 else dict(zip(names, arguments, strict=True))
        for arguments in map(wiring.batch_arguments, batches)
    )
    return Check(metric, inputs, tuple(b.target for b in batches))
