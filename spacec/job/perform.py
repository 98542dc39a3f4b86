"""Doing what a recipe says, in a run directory: from the start, or from where it was left."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.job.parts import Parts
from spacec.job.recipe import Recipe, read_job, write_job
from spacec.search import files
from spacec.search.lock import locked
from spacec.search.store.place import holds_run

if TYPE_CHECKING:
    from spacec.pipeline import Outcome
    from spacec.search.progress import ProgressFn
    from spacec.search.repeat import Curve
    from spacec.search.runner import SearchResult
    from spacec.search.training import TrainResult

GROWS = ("trials", "runs")
"""What may be more when a run goes on: its trials, and its runs over a benchmark."""


@dataclass(frozen=True)
class Ended:
    """What a run came to: one of these, by what it did."""

    found: SearchResult | None = None
    outcome: Outcome | None = None
    curves: tuple[Curve, ...] = ()
    trained: TrainResult | None = None


def perform(
    job: Recipe, parts: Parts, out: Path, progress: ProgressFn, resume: bool = False, store_url: str = ""
) -> Ended:
    """Do ``job`` in ``out``, where ``job.json`` is kept from before the first step on.

    With ``resume`` the run that is there goes on; it may be given more trials or more runs, and other settings are
    refused (E0812). Without, a directory that holds a run is (E0815). ``store_url``: of the database that keeps the
    record, which is in ``out`` otherwise. Raises E0830 while another process writes in ``out``, and what the work
    raises; what is refused before its first step leaves no run behind.
    """
    from spacec.search.ranks import ONE

    ranks = parts.ranks or ONE
    if resume and ranks.leads and not out.is_dir():
        raise _no_run(out)
    with locked(out if ranks.leads else None):
        if resume:
            resume = ranks.first(lambda: go_on(job, out))
        else:
            ranks.first(lambda: begin(job, out))
        try:
            return _DOES[job.does](job, parts, out, progress, resume, store_url)
        except SpacecError:
            if ranks.leads and not resume and not holds_run(out):
                files.discard_job(out)
            raise


def begin(job: Recipe, out: Path) -> None:
    """Make the directory of a run and keep its recipe; what a killed start left is replaced, and nobody else's file."""
    files.make_run_directory(out)
    read_job(out)
    write_job(out, job)


def go_on(job: Recipe, out: Path) -> bool:
    """Check that ``job`` is what was started in ``out``; whether its first step was reached."""
    there = holds_run(out)
    kept = read_job(out)
    if kept is None:
        if not there:
            raise _no_run(out)
        return True
    _check_same(kept, job, out)
    if kept != job:
        write_job(out, job)
    return there


def _no_run(out: Path) -> SpacecError:
    return SpacecError(Diagnostic("E0840", f"'{out}' holds no run", help="leave out --resume to start one"))


def _check_same(kept: Recipe, given: Recipe, out: Path) -> None:
    """Raise E0812 where the two do not do the same, but for more trials and runs; E0846 for fewer."""
    from spacec.search.training import check_same

    before, now = _told(kept), _told(given)
    for name in GROWS:
        old, new = before["grows"].pop(name), now["grows"].pop(name)
        if new is not None and (old is None or new < old):
            limit = f"no limit of {name}" if old is None else f"{old} {name}"
            headline = f"'{out}' was started with {limit}, and a run cannot have fewer than it had"
            raise SpacecError(Diagnostic("E0846", headline))
    check_same(out, before, now)


def _told(job: Recipe) -> dict[str, Any]:
    """What two recipes of one run share, as JSON has it; how it was called and where it is rated are no part of it."""
    asked = None if job.benchmark is None else replace(job.benchmark, path=None, runs=1)
    search, train = (
        None if part is None else {k: v for k, v in part.items() if k not in ("trials", "device")}
        for part in (job.search, job.train)
    )
    grows = {"trials": (job.search or {}).get("trials"), "runs": job.benchmark.runs if job.benchmark else 1}
    told: dict[str, Any] = {
        "what is done": job.does,
        "space": job.grammar.digest,
        "header": dict(job.grammar.header),
        "task": None if job.task is None or job.task.data else {"name": job.task.name, **job.task.options},
        "benchmark": None if asked is None else asdict(asked),
        "strategy": None if job.strategy is None else {"name": job.strategy.name, **job.strategy.options},
        "search": search,
        "train": train,
        "architecture": job.architecture,
    }
    return {**files.as_json(told), "grows": grows}


def _search(job: Recipe, parts: Parts, out: Path, progress: ProgressFn, resume: bool, url: str) -> Ended:
    from spacec.search.ranks import ONE
    from spacec.search.runner import search

    assert parts.make_strategy is not None, "a search has a strategy"
    ranks = parts.ranks or ONE
    found = search(
        parts.space,
        parts.make_strategy(),
        parts.task,
        parts.search,
        out,
        train_config=parts.train,
        resume=resume,
        progress=progress,
        probes=parts.probes,
        executor=parts.executor,
        store=url or None,
        ranks=ranks,
    )
    if ranks.leads:
        _keep_command(job, "search", out, url)
    return Ended(found=found)


def _search_and_train(job: Recipe, parts: Parts, out: Path, progress: ProgressFn, resume: bool, url: str) -> Ended:
    from spacec.pipeline import Job, run_job

    assert parts.make_strategy is not None, "a search has a strategy"
    assert parts.search is not None, "and its settings"
    assert parts.train is not None, "and a retraining has its own"
    whole = Job(
        parts.space,
        parts.make_strategy(),
        parts.task,
        parts.search,
        parts.train,
        out,
        job.command,
        job.compare,
        parts.probes,
        parts.executor,
        url,
        parts.ranks,
    )
    return Ended(outcome=run_job(whole, progress, resume))


def _queries(job: Recipe, parts: Parts, out: Path, progress: ProgressFn, resume: bool, url: str) -> Ended:
    from spacec.search.repeat import repeat
    from spacec.search.tabular import Tabular

    if parts.ranks is not None and parts.ranks.size > 1:
        headline = f"a search over a benchmark is for one process, {parts.ranks.size} were started"
        raise SpacecError(Diagnostic("E0856", headline, help="start it without torchrun"))
    assert parts.make_strategy is not None, "a search has a strategy"
    assert parts.search is not None, "and its settings"
    assert isinstance(parts.task, Tabular), "queries ask a benchmark"
    assert job.benchmark is not None, "of the recipe"
    make, task, runs = parts.make_strategy, parts.task, job.benchmark.runs
    curves = repeat(
        parts.space,
        make,
        task,
        parts.search,
        runs,
        out,
        resume=resume,
        progress=progress,
        executor=parts.executor,
        store_url=url,
    )
    _keep_command(job, "search", out, url)
    return Ended(curves=tuple(curves))


def _train(job: Recipe, parts: Parts, out: Path, progress: ProgressFn, resume: bool, url: str) -> Ended:
    from spacec.lower.network import Network
    from spacec.lower.package import save_package
    from spacec.search.ranks import ONE
    from spacec.search.training import train

    assert parts.architecture is not None, "a training has an architecture"
    ranks = parts.ranks or ONE
    found = train(
        parts.space,
        parts.architecture,
        parts.task,
        parts.train,
        out,
        resume=resume,
        store=url or None,
        progress=progress,
        ranks=ranks,
    )
    if not ranks.leads:
        return Ended(trained=found)
    _keep_command(job, "train", out, url)
    assert isinstance(found.model, Network), "the space builds its networks itself"
    test = "  ".join(f"{name} {value:.4g}" for name, value in found.test.items())
    facts = (f"{parts.space.params(parts.architecture):,} weights. On held-out data: {test}.",)
    save_package(out, found.model, None, facts)
    return Ended(trained=found)


def _keep_command(job: Recipe, kind: str, out: Path, url: str) -> None:
    """Write the command lines into the record of the last part of ``kind``, once: a run that ended may end again."""
    from spacec.search.record import RunStore
    from spacec.search.report.gather import record_command
    from spacec.search.training import recording

    with RunStore.of(out, url) as store:
        part = [run for run in store.runs() if run["kind"] == kind][-1]
        told = [event["message"] for event in store.events(part["id"]) if event["kind"] == "command"]
        new = [line for line in job.command.splitlines() if line not in told]
        recorder = store.reopen(kind, part["name"]) if new else None
        if recorder is not None:
            with recording(recorder):
                record_command(recorder, "\n".join(new))


_DOES = {"search": _search, "search and train": _search_and_train, "queries": _queries, "train": _train}
