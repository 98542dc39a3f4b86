"""Running a search: supernet epochs and architecture steps, then trials, and a run directory that survives.

Every epoch ends with a checkpoint, the derived architecture and the record on disk, each written whole; a run that
is stopped, fails or meets a full disk leaves these, and its record says what happened. Everything random in epoch
``e`` comes from (seed, e) or from streams whose state is in the checkpoint, so a resumed run reaches the same result,
bit for bit on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search import files
from spacec.search.augment import set_drop_path
from spacec.search.checkpoint import begin, save_context
from spacec.search.config import SearchConfig, settings_for, strategy_config
from spacec.search.context import SearchContext
from spacec.search.device import resolve_device
from spacec.search.executor import Executor
from spacec.search.figure import owner
from spacec.search.fronts import save_front
from spacec.search.in_step import check_in_step, check_shared
from spacec.search.loader import Stream
from spacec.search.lock import locked
from spacec.search.objectives import Front
from spacec.search.optim import clip_gradients, learning_rate, set_rate
from spacec.search.probe import Probe
from spacec.search.probing import Probing, check_probes
from spacec.search.progress import Clock, Progress, ProgressFn, silent
from spacec.search.ranks import ONE, Ranks
from spacec.search.record import NullRecorder, Recorder, RunStore
from spacec.search.report.gather import record_figures, record_labels
from spacec.search.schedules import Schedules
from spacec.search.seeds import own_randomness, reseed
from spacec.search.settings import prepare, settings_of
from spacec.search.shared_out import executor_of
from spacec.search.space_like import SpaceLike
from spacec.search.steps import run_paths
from spacec.search.strategy import Strategy
from spacec.search.tabular import Tabular
from spacec.search.task import Batch, Task
from spacec.search.trainer import TrainConfig, check_smoothing
from spacec.search.training import check_record, discard, open_store, recording, run_info
from spacec.search.trials import Trials
from spacec.search.wiring import input_types, output_types
from spacec.space.architecture import Architecture


@dataclass(frozen=True)
class SearchResult:
    """What a search found. ``metrics``: of the architecture on the ``arch`` split with shared weights; without a
    supernet, those of its trial. ``trials`` is how many were observed; ``front`` is there with several objectives."""

    architecture: Architecture
    metrics: Mapping[str, float]
    out_dir: Path | None
    trials: int = 0
    front: Front | None = None
    context: SearchContext = field(repr=False, kw_only=True)


def search(
    space: SpaceLike,
    strategy: Strategy,
    task: Task,
    config: SearchConfig | None = None,
    out_dir: Path | None = None,
    *,
    train_config: TrainConfig | None = None,
    resume: bool = False,
    name: str = "",
    store: RunStore | str | None = None,
    progress: ProgressFn = silent,
    probes: Sequence[Probe] = (),
    executor: Executor | None = None,
    home: Path | None = None,
    ranks: Ranks = ONE,
) -> SearchResult:
    """Search ``space`` for ``task`` by ``strategy``.

    ``config`` defaults to the strategy's settings of the runner; ``train_config`` is how a trial is trained alone.
    ``out_dir`` receives the run directory (E0815 if it holds a run, unless ``resume``; E0830 while another process
    writes it); ``name`` tells several searches in one ``store`` apart, which is open, or the URL of the database that
    keeps ``out_dir``'s record. What is refused before its first step leaves no run behind; later interrupts
    and failures close the record and are raised on. ``probes`` measure before the first step and after epochs,
    and change nothing (E0709 for one that cannot measure this search). ``executor``: where standalone trials are
    rated, by default here. ``home`` is where the strategy may keep files of its own where that is not ``out_dir``.
    ``ranks``: the processes that search together (:func:`spacec.search.ranks.joined`); each of them calls this function
    alike, and has the result.
    """
    config = config or strategy_config(settings_for(strategy.config, task))
    train_config = train_config or TrainConfig(seed=config.seed, device=config.device)
    check_shared(ranks, config, executor)
    device = ranks.device(resolve_device(config.device))
    if isinstance(task, Tabular):
        task.refuse_training(strategy)
    else:
        task = task.adapt(input_types(space.flat), output_types(space.flat))
        check_smoothing(task, config.label_smoothing)
    if why := strategy.unsupported(space):
        raise SpacecError(Diagnostic("E0706", f"strategy '{strategy.name}' cannot search '{space.name}': {why}"))
    check_probes(probes, space, strategy)
    settings = settings_of(space, strategy, task, config, train_config)
    url = store if isinstance(store, str) else ""
    own_dir = out_dir if ranks.leads else None
    if not ranks.leads:
        store, progress = None, silent
    run: _Run | None = None
    with locked(None if isinstance(store, RunStore) else own_dir):
        if out_dir is not None:
            ranks.first(partial(prepare, out_dir, space, settings, resume, url))
        try:
            with own_randomness(device), open_store(store, own_dir) as record:
                if resume and ranks.leads:
                    check_record(record, out_dir)
                recorder = _recorder(record, space, strategy, task, settings, device, resume, name)
                with recording(recorder):
                    schedules = Schedules(config.optimise, recorder, own_dir, lambda text: progress(_timing(text)))
                    own = (schedules, (out_dir or home) if ranks.leads else None, name, ranks)
                    context = SearchContext(space, task, config, train_config, device, recorder, *own)
                    begin(context, strategy, out_dir if resume else None)
                    run = _Run(strategy, context, out_dir, progress, probes, executor_of(ranks, executor))
                    return run.run(resume)
        except SpacecError:
            if run is None and own_dir is not None and not resume:
                discard(own_dir, url)
            raise


def _timing(text: str) -> Progress:
    return Progress("search", message=f"choosing how the supernet runs: {text}")


class _Run:
    def __init__(
        self,
        strategy: Strategy,
        context: SearchContext,
        out_dir: Path | None,
        progress: ProgressFn,
        probes: Sequence[Probe],
        executor: Executor,
    ) -> None:
        self.strategy = strategy
        self.ctx = context
        self.probing = Probing(probes, context, strategy)
        self.out_dir = out_dir if context.ranks.leads else None
        self.progress = progress
        self.trials = Trials(strategy, context, out_dir, progress, executor)
        self.latest: dict[str, float] = {}

    def run(self, resume: bool) -> SearchResult:
        ctx, strategy = self.ctx, self.strategy
        if strategy.uses_supernet:
            self._train_supernet()
        if resume:
            self.trials.restore()
        self.trials.run()
        found = strategy.derive()
        ctx.space.validate(found)
        self.progress(Progress("derive", message=f"derived {found.text()}"))
        metrics = ctx.evaluate(found) if strategy.uses_supernet else self.trials.metrics_of(found)
        ctx.recorder.result("derived", "arch", metrics)
        self._save_architecture(found, "best", -1)
        if (front := strategy.front()) is not None:
            save_front(front, ctx.recorder, self.out_dir)
        return SearchResult(found, metrics, self.out_dir, self.trials.done, front, context=ctx)

    def _train_supernet(self) -> None:
        ctx, config = self.ctx, self.ctx.config
        train = Stream(ctx.splits.weights, "weights", ctx.seed, ctx.batch_size, ctx.steps, config.workers)
        size = config.arch_batch_size or ctx.batch_size
        arch = Stream(ctx.splits.arch, "arch", ctx.seed, size, ctx.steps, config.workers)
        clock = Clock(ctx.epochs * ctx.steps, ctx.epoch * ctx.steps)
        record_labels(ctx.recorder, {slot.id: slot.labels for slot in ctx.slots})
        record_figures(ctx.recorder, self.strategy)
        self._tell_of_no_architecture_steps()
        self.probing.start()
        while ctx.epoch < ctx.epochs and not ctx.stopped:
            self._epoch(train, arch, clock)
            if ctx.stopped:
                why = f"stopped after epoch {ctx.epoch + 1}: {ctx.stopped}"
                self.progress(Progress("search", message=why, note=True))
            ctx.epoch += 1
            check_in_step(ctx, self.strategy)
            if self.out_dir is not None:
                ctx.recorder.sync()
                save_context(self.out_dir, ctx, self.strategy)

    def _epoch(self, train: Stream, arch: Stream, clock: Clock) -> None:
        ctx, config, epoch = self.ctx, self.ctx.config, self.ctx.epoch
        reseed(ctx.seed, "noise", epoch)
        for net in ctx.supernets.values():
            net.train()
            set_drop_path(net, config.drop_path * epoch / max(1, ctx.epochs))
        self.strategy.on_epoch(epoch)
        arch_batches = iter(arch.epoch(epoch)) if self._has_arch_steps and epoch >= config.arch_from else iter(())
        total = 0.0
        for step, cpu_batch in enumerate(train.epoch(epoch)):
            batch = cpu_batch.to(ctx.device)
            self._set_rate(step)
            values: dict[str, float] = {}
            if step % config.arch_every == 0 and (val_batch := next(arch_batches, None)) is not None:
                values |= self._arch_step(batch, val_batch.to(ctx.device))
            loss, learnt = self._weight_step(batch, step)
            values |= learnt
            total += loss
            ctx.recorder.metric("search", epoch, step, {"loss": loss, **values})
            eta = clock.eta(ctx.step + 1)
            self.progress(Progress("search", epoch, ctx.epochs, step, ctx.steps, loss, dict(self.latest), eta))
            ctx.step += 1
        self._end_epoch(total / ctx.steps)

    def _tell_of_no_architecture_steps(self) -> None:
        config = self.ctx.config
        if self._has_arch_steps and config.arch_from >= config.epochs > 0:
            text = f"architecture steps begin with epoch {config.arch_from + 1}, the search has {config.epochs}"
            self.ctx.recorder.event("no architecture steps", text)
            message = f"note: {text}; nothing is learnt but weights (-o arch_from=0)"
            self.progress(Progress("search", message=message, note=True))

    @property
    def _has_arch_steps(self) -> bool:
        return type(self.strategy).arch_step is not Strategy.arch_step

    def _arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float]:
        """The strategy's step; running statistics are as before, so that they tell of weight steps only."""
        with ExitStack() as kept:
            for name in self.ctx.supernets:
                kept.enter_context(self.ctx.statistics_kept(name))
            return self.strategy.arch_step(train_batch, val_batch) or {}

    def _set_rate(self, step: int) -> None:
        rate = self.strategy.weight_rate(step)
        if rate is None:
            rate = learning_rate(self.ctx.config, self.ctx.epoch, step, self.ctx.steps, self.ctx.epochs)
        for optimizer in self.ctx.optimizers.values():
            set_rate(optimizer, rate)

    def _weight_step(self, batch: Batch, step: int) -> tuple[float, Mapping[str, float]]:
        """One optimiser step over the summed gradients of the strategy's paths; the sum of their losses.

        With it the values that the strategy records of it.
        """
        ctx = self.ctx
        paths = tuple(self.strategy.masks(ctx.step))
        if not paths:
            return 0.0, {}
        for optimizer in ctx.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        ctx.last = run_paths(ctx, paths, batch, step, lambda out: self.strategy.extra_loss(out, "weights"))
        learnt = self.strategy.after_backward(ctx.last) or {}
        for name in dict.fromkeys(path.supernet for path in paths):
            clip_gradients(ctx.supernets[name], ctx.config)
            ctx.optimizers[name].step()
        return sum(ctx.last.losses), learnt

    def _end_epoch(self, loss: float) -> None:
        ctx, config, epoch = self.ctx, self.ctx.config, self.ctx.epoch
        found = {"train_loss": loss}
        if config.eval_every and (epoch + 1) % config.eval_every == 0:
            found |= ctx.evaluate(self.strategy.subject(), batches=config.eval_batches)
        found |= self.strategy.diagnostics(ctx)
        for name, table in self.strategy.readings().items():
            ctx.recorder.reading(owner(self.strategy.name), name, epoch, table)
        ctx.recorder.metric("search", epoch, -1, found)
        self.latest.update(found)
        if probabilities := self.strategy.probabilities():
            ctx.recorder.probabilities(epoch, probabilities)
            self._save_architecture(self.strategy.derive(), "derived", epoch)
        self.probing.after(epoch)
        self.strategy.on_epoch_end(epoch, found)

    def _save_architecture(self, arch: Architecture, role: str, epoch: int) -> None:
        self.ctx.recorder.architecture(role, epoch, arch.text(), {"params": self.ctx.cost(arch)})
        if self.out_dir is not None:
            files.write_text(self.out_dir / files.ARCHITECTURE_TEXT, arch.text() + "\n")
            files.write_json(self.out_dir / files.ARCHITECTURE_JSON, self.ctx.space.to_json(arch))


def _recorder(
    store: RunStore | None,
    space: SpaceLike,
    strategy: Strategy,
    task: Task,
    settings: Mapping[str, Any],
    device: torch.device,
    resume: bool,
    name: str,
) -> Recorder:
    if store is None:
        return NullRecorder()
    found = store.reopen("search", name) if resume else None
    config = {**settings["search"], "trial": settings["trial"]}
    info = run_info("search", space, task, config, device, name, settings["strategy"], (strategy,))
    return found or store.start(info)
