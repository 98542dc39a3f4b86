"""Training an architecture alone: into a run directory (:func:`train`), or as a rating in a search (:func:`fit`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.types import TensorType
from spacec.search import files
from spacec.search.device import resolve_device
from spacec.search.environment import environment, versions
from spacec.search.lock import locked
from spacec.search.progress import Clock, Progress, ProgressFn, silent
from spacec.search.ranks import ONE, Ranks
from spacec.search.record import NullRecorder, Recorder, RunInfo, RunStore
from spacec.search.seeds import own_randomness, stable_seed
from spacec.search.space_like import SpaceLike
from spacec.search.store.place import assign, holds_run
from spacec.search.task import Splits, Task
from spacec.search.trainer import TrainConfig, Trainer
from spacec.search.wiring import Wiring, free_sizes, input_types, output_types
from spacec.space.architecture import Architecture

__all__ = ["FitResult", "TrainConfig", "TrainResult", "fit", "train"]


@dataclass(frozen=True)
class FitResult:
    """``metrics`` on the rating split; ``token`` lets a later fit go on."""

    metrics: Mapping[str, float]
    token: Any = field(repr=False, default=None)


@dataclass(frozen=True)
class TrainResult:
    """A trained network. ``valid`` and ``test`` are its metrics with the weights of ``epoch`` (zero-based)."""

    model: nn.Module = field(repr=False)
    architecture: Architecture
    epoch: int
    valid: Mapping[str, float]
    test: Mapping[str, float]
    out_dir: Path | None


def fit(
    space: SpaceLike,
    arch: Architecture,
    task: Task,
    splits: Splits,
    config: TrainConfig,
    device: torch.device,
    epochs: int | None = None,
    resume: Any = None,
    split: str = "arch",
) -> FitResult:
    """Train ``arch`` on the ``weights`` split for ``epochs`` in all; see :meth:`SearchContext.fit`.

    The weights start from the architecture's own stream of the seed: a rating depends on nothing rated before.
    """
    seed = stable_seed(config.seed, "weights", arch.text())
    wiring = Wiring.of(task, space.flat)
    trainer = Trainer(
        space.network(arch, seed=seed), task, wiring, config, splits.weights, splits[split], device, epochs
    )
    if resume is not None:
        trainer.load_state_dict(resume)
    with own_randomness(device):
        while not trainer.done:
            trainer.run_epoch(lambda step, loss: None)
    token = trainer.state_dict()
    trainer.load_selected()
    return FitResult(trainer.measure(splits[split], config.eval_batches), token)


def train(
    space: SpaceLike,
    arch: Architecture,
    task: Task,
    config: TrainConfig | None = None,
    out_dir: Path | None = None,
    *,
    resume: bool = False,
    name: str = "",
    store: RunStore | str | None = None,
    progress: ProgressFn = silent,
    ranks: Ranks = ONE,
) -> TrainResult:
    """Train ``arch`` on the ``train`` split, keep the best or last epoch by ``valid``, report on ``test``.

    ``out_dir`` receives the weights, a checkpoint per epoch, and the record, unless ``store`` is one that is open or
    the URL of a database. ``resume`` goes on from its checkpoint to the identical result (bit for bit on the CPU).
    ``name`` tells several trainings in one record apart. Interrupts and failures close the record and are raised on.
    No other process writes in ``out_dir`` meanwhile (E0830); where ``store`` is open, that is its opener's care.
    ``ranks``: the processes that train together (:func:`spacec.search.ranks.joined`); each calls this function alike,
    and has the result.
    """
    config = config or TrainConfig()
    device = ranks.device(resolve_device(config.device))
    task = task.adapt(input_types(space.flat), output_types(space.flat))
    space.validate(arch)
    url = store if isinstance(store, str) else ""
    own_dir = out_dir if ranks.leads else None
    if not ranks.leads:
        store, progress = None, silent
    with locked(None if isinstance(store, RunStore) else own_dir):
        if out_dir is not None:
            ranks.first(partial(_prepare, out_dir, arch, config, resume, url))
        with own_randomness(device), open_store(store, own_dir) as record:
            recorder = _recorder(record, space, task, config, device, name, resume)
            with recording(recorder):
                return _train(space, arch, task, config, out_dir, device, recorder, progress, resume, ranks)


def _train(
    space: SpaceLike,
    arch: Architecture,
    task: Task,
    config: TrainConfig,
    out_dir: Path | None,
    device: torch.device,
    recorder: Recorder,
    progress: ProgressFn,
    resume: bool,
    ranks: Ranks,
) -> TrainResult:
    splits = task.splits(config.seed)
    model = space.network(arch, seed=stable_seed(config.seed, "weights", arch.text()))
    trainer = Trainer(model, task, Wiring.of(task, space.flat), config, splits.train, splits.valid, device, ranks=ranks)
    checkpoint = None if out_dir is None else out_dir / files.TRAINING
    if resume and checkpoint is not None:
        state = ranks.first(lambda: files.read_tensors(checkpoint) if checkpoint.exists() else None)
        if state is not None:
            with files.of_this_search(checkpoint):
                trainer.load_state_dict(state["trainer"])
    recorder.architecture("trained", -1, arch.text(), _costs(space, arch, trainer.wiring, splits))
    _epochs(trainer, arch, config, checkpoint, recorder, progress)
    epoch = trainer.load_selected()
    if config.recalibrate:
        batches = (trainer.wiring.batch_arguments(b.to(device)) for b in trainer.stream.epoch(trainer.epochs))
        space.recalibrate_norm(trainer.model, islice(batches, config.recalibrate))
    progress(Progress("test", message="measuring on the test split"))
    valid, test = trainer.measure(splits.valid), trainer.measure(splits.test, final=True)
    recorder.result("trained", "valid", valid)
    recorder.result("trained", "test", test)
    if out_dir is not None and ranks.leads:
        weights = {key: t.detach().cpu() for key, t in trainer.model.state_dict().items()}
        files.write_tensors(out_dir / files.WEIGHTS, weights)
    trainer.model.eval()
    return TrainResult(trainer.model, arch, epoch, valid, test, out_dir)


def _costs(space: SpaceLike, arch: Architecture, wiring: Wiring, splits: Splits) -> dict[str, int | float]:
    """Weights, and multiplies at the size of the first test sample where that settles every free size."""
    sample = splits.test.fetch([0], torch.Generator(), train=False)
    sizes = free_sizes(space.flat, wiring, sample)
    free = {s.name for t in input_types(space.flat).values() if isinstance(t, TensorType) for s in t.symbols}
    macs = {"macs": space.cost(arch, "macs", **sizes)} if free <= set(sizes) else {}
    return {"params": space.cost(arch, "params"), **macs}


def _epochs(
    trainer: Trainer,
    arch: Architecture,
    config: TrainConfig,
    checkpoint: Path | None,
    recorder: Recorder,
    progress: ProgressFn,
) -> None:
    steps, epochs = trainer.steps, trainer.epochs
    clock = Clock(epochs * steps, trainer.epoch * steps)
    latest: dict[str, float] = {}
    while not trainer.done:
        epoch = trainer.epoch

        def told(step: int, loss: float, epoch: int = epoch) -> None:
            recorder.metric("train", epoch, step, {"loss": loss})
            eta = clock.eta(epoch * steps + step + 1)
            progress(Progress("train", epoch, epochs, step, steps, loss, dict(latest), eta))

        found = trainer.run_epoch(told)
        latest.update(found)
        recorder.metric("valid", epoch, -1, found)
        recorder.sync()
        trainer.check_in_step()
        if checkpoint is not None and trainer.ranks.leads:
            state = {"architecture": arch.text(), "config": asdict(config), "trainer": trainer.state_dict()}
            files.write_tensors(checkpoint, state)


def _prepare(out_dir: Path, arch: Architecture, config: TrainConfig, resume: bool, url: str) -> None:
    checkpoint = out_dir / files.TRAINING
    with files.storage_errors(out_dir, "create"):
        out_dir.mkdir(parents=True, exist_ok=True)
    if url and not holds_run(out_dir):
        assign(out_dir, url)
    if checkpoint.exists() and not resume:
        raise files.StorageError(
            Diagnostic("E0815", f"'{out_dir}' already holds a training", help="choose another --out, or resume it")
        )
    if checkpoint.exists():
        with files.of_this_search(checkpoint):
            stored = files.read_tensors(checkpoint)
            check_same(out_dir, stored, {"architecture": arch.text(), "config": asdict(config)})
    update_config(out_dir, "train", asdict(config))


def check_same(out_dir: Path, stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise E0812 where a run that is to resume was started with other settings."""
    for key, value in given.items():
        if stored[key] == value:
            continue
        if isinstance(value, dict):
            names = sorted(n for n in value if stored[key].get(n) != value[n])
            notes = tuple(f"{n}: {stored[key].get(n)} then, {value[n]} now" for n in names)
        else:
            notes = (f"{key}: {stored[key]} then, {value} now",)
        raise files.StorageError(Diagnostic("E0812", f"'{out_dir}' was started with other settings", notes=notes))


def update_config(out_dir: Path, part: str, value: Mapping[str, Any]) -> None:
    """Set one part (``search``, ``train``) of ``config.json``."""
    path = out_dir / files.CONFIG
    whole = files.read_json(path) if path.exists() else {}
    files.write_json(path, {**whole, part: dict(value)})


@contextmanager
def open_store(store: RunStore | str | None, out_dir: Path | None) -> Iterator[RunStore | None]:
    """``store`` itself where it is open, or that of ``out_dir`` (at the URL ``store``) for the body, or none."""
    if isinstance(store, RunStore) or out_dir is None:
        yield store if isinstance(store, RunStore) else None
        return
    with RunStore.of(out_dir, store or "") as opened:
        yield opened


def check_record(store: RunStore | None, out_dir: Path | None) -> None:
    """Raise E0833 where a run that resumes has checkpoints, and its record is not in the store."""
    if store is None or out_dir is None or store.runs():
        return
    left = [name for name in (files.CHECKPOINT, files.TRIALS) if (out_dir / name).exists()]
    if left:
        headline = f"'{store.place}' does not hold the record of '{out_dir}'"
        notes = (f"the run is not new: there is {left[0]}",)
        raise files.StorageError(Diagnostic("E0833", headline, notes=notes, help="name the store of then by --store"))


def discard(out_dir: Path, url: str = "") -> None:
    """Take back a run that was refused before its first step, its record in a database, too."""
    if url:
        with suppress(files.StorageError), RunStore.of(out_dir, url) as store:
            store.discard()
    files.discard_run(out_dir)


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Close the record whatever happens in the body: ``done``, ``interrupted``, or ``failed`` with the reason.

    A disk too full for the last row leaves the run ``running`` in the record, which readers take as cut off.
    """
    try:
        yield
    except BaseException as error:
        status: Literal["interrupted", "failed"] = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with suppress(files.StorageError):
            recorder.close(status, reason(error))
        raise
    recorder.close("done")


def reason(error: BaseException) -> str:
    """One line for the record."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped by the user"
    if isinstance(error, SpacecError):
        return f"{error.diagnostics[0].code}: {error.diagnostics[0].headline}"
    return f"{type(error).__name__}: {error}"


def run_info(
    kind: Literal["search", "train"], space: SpaceLike, task: Task, config: Mapping[str, Any], device: torch.device,
    name: str = "", strategy: Mapping[str, Any] | None = None, objects: tuple[object, ...] = (),
) -> RunInfo:  # fmt: skip
    """What the record keeps of a run that starts."""
    return RunInfo(
        kind=kind,
        seed=int(config["seed"]),
        space=space.name,
        digest=space.digest,
        grammar=space.text,
        grammar_sha256=sha256(space.text.encode()).hexdigest(),
        name=name,
        header=dict(space.header),
        task=task.describe(),
        strategy=dict(strategy or {}),
        config=config,
        versions=versions(task, *objects),
        environment=environment(device),
    )


def _recorder(
    store: RunStore | None,
    space: SpaceLike,
    task: Task,
    config: TrainConfig,
    device: torch.device,
    name: str,
    resume: bool,
) -> Recorder:
    if store is None:
        return NullRecorder()
    found = store.reopen("train", name) if resume else None
    return found or store.start(run_info("train", space, task, asdict(config), device, name))
