"""Training one network: the epoch loop, and a state from which it goes on bit for bit.

Everything random in epoch ``e`` comes from (seed, e), so the state is weights, optimiser, averages and counters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.augment import Average, cutout, set_drop_path
from spacec.search.evaluate import measure, mode
from spacec.search.loader import Stream, steps_per_epoch
from spacec.search.optim import OptimOptions, clip_gradients, learning_rate, make_optimizer, set_rate
from spacec.search.options import option
from spacec.search.ranks import ONE, Ranks, digest
from spacec.search.seeds import generator, reseed
from spacec.search.shared import run_network
from spacec.search.task import Batch, OutLike, Split, Task
from spacec.search.wiring import Wiring


@dataclass(frozen=True)
class TrainConfig(OptimOptions):
    """How a network is trained alone. The optimiser's defaults are DARTS' evaluation; raise ``epochs`` for its 600."""

    epochs: int = option(50, "epochs", low=0)
    steps: int | None = option(None, "steps per epoch; none for one pass over the data", low=1)
    batch_size: int | None = option(None, "samples per step; none for the task's", low=1)
    eval_batch_size: int | None = option(None, "samples per batch in evaluation; none for batch_size", low=1)
    lr_min: float = option(0.0, "rate at the end of a cosine or linear schedule", low=0)
    label_smoothing: float = option(0.0, "share of the target spread over all classes", low=0, high=1)
    aux_weight: float = option(0.4, "weight of the loss of auxiliary heads", low=0)
    drop_path: float = option(0.0, "probability of dropping a path in the last epoch, linear from 0", low=0, high=1)
    cutout: int = option(0, "side of the zeroed window; 0 for none", low=0)
    ema: float = option(0.0, "decay of the moving average of the weights; 0 for none", low=0, high=1)
    recalibrate: int = option(0, "training batches to re-estimate norms on at the end; 0 for none", low=0)
    select: Literal["best", "last"] = option("best", "epoch whose weights are kept, judged on the valid split")
    eval_every: int = option(1, "epochs between evaluations on the valid split", low=1)
    eval_batches: int | None = option(None, "batches of such an evaluation; none for all", low=1)
    workers: int = option(0, "processes that load data", low=0)
    device: str = option("auto", "where to compute: auto, cpu, cuda, cuda:1, mps")
    seed: int = option(0, "seed of weights and data order")


StepFn = Callable[[int, float], None]
"""Told the step in its epoch and the loss, after every step."""


class Trainer:
    """Trains ``model`` on ``train``, measuring it on ``valid``. ``epochs`` is the horizon of the schedules.

    Each of several processes (``ranks``) runs its share of every batch; all of them end with the same weights.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        wiring: Wiring,
        config: TrainConfig,
        train: Split,
        valid: Split,
        device: torch.device,
        epochs: int | None = None,
        ranks: Ranks = ONE,
    ) -> None:
        check_smoothing(task, config.label_smoothing)
        self.model = model.to(device)
        self.task, self.wiring, self.config, self.valid, self.device = task, wiring, config, valid, device
        self.ranks = ranks
        self.epochs = config.epochs if epochs is None else epochs
        size = config.batch_size or task.batch_size
        self.eval_batch_size = config.eval_batch_size or size
        steps = config.steps or steps_per_epoch(train, size)
        self.stream = Stream(train, "train", config.seed, size, steps, config.workers)
        self.optimizer = make_optimizer(self.model, config)
        self.average = Average(self.model, config.ema) if config.ema > 0 else None
        self.epoch = 0
        self.best: dict[str, Any] = {"epoch": -1, "value": task.metrics[0].worst, "weights": {}}

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self.stream.steps

    @property
    def done(self) -> bool:
        return self.epoch >= self.epochs

    def run_epoch(self, on_step: StepFn) -> dict[str, float]:
        """Train one epoch; metrics of the valid split where it is due, and ``train_loss`` and ``lr``."""
        epoch, config = self.epoch, self.config
        reseed(config.seed, "noise", epoch)
        set_drop_path(self.model, config.drop_path * epoch / max(1, self.epochs))
        self.model.train()
        total, rate = 0.0, 0.0
        for step, batch in enumerate(self.stream.epoch(epoch)):
            rate = learning_rate(config, epoch, step, self.steps, self.epochs)
            set_rate(self.optimizer, rate)
            loss = self._step(batch, generator(config.seed, "cutout", epoch, step), epoch, step)
            total += loss
            on_step(step, loss)
        self.epoch += 1
        found = {"train_loss": total / self.steps, "lr": rate}
        if self.done or self.epoch % config.eval_every == 0:
            found |= self.measure(self.valid, config.eval_batches)
            self._select(found)
        return found

    def measure(self, split: Split, limit: int | None = None, final: bool = False) -> dict[str, float]:
        """Metrics and ``loss`` on a split, with the averaged weights if there are any."""
        with self._averaged(), mode(self.model, False):
            return measure(self.forward, self.task, split, self.eval_batch_size, self.device, limit, final)

    def forward(self, inputs: Mapping[str, Tensor]) -> OutLike:
        given = self.wiring.arguments(inputs)
        return self.wiring.wrap(
            self.model(*given) if self.ranks.size == 1 else run_network(self.ranks, self.model, given)
        )

    def load_selected(self) -> int:
        """Put the selected weights into the model (the average becomes its weights); the epoch they are from."""
        if self.config.select == "best" and self.best["epoch"] >= 0:
            self.model.load_state_dict(self.best["weights"])
            self.average = None
            return int(self.best["epoch"])
        if self.average is not None:
            self.model.load_state_dict(self.average.shadow)
            self.average = None
        return self.epoch - 1

    def state_dict(self) -> dict[str, Any]:
        """Readable with ``weights_only``."""
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "best": self.best,
        }

    def check_in_step(self) -> None:
        """Raise E0855 unless all processes hold the same weights and the same source of randomness."""
        if self.ranks.size > 1:
            held = {**self.model.state_dict(), "randomness": torch.get_rng_state()}
            facts = {name: digest(tensor) for name, tensor in held.items()}
            self.ranks.agree(f"they differ after epoch {self.epoch}", facts)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch = int(state["epoch"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        self.best = dict(state["best"])

    def _step(self, batch: Batch, rng: torch.Generator, epoch: int, step: int) -> float:
        batch = cutout(batch, self.config.cutout, rng).to(self.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(self.forward(batch.inputs), batch)
        value = float(loss.detach())
        check_finite(value, epoch, step)
        if loss.requires_grad:  # a network may have no weights, such as one of skips
            torch.autograd.backward(loss)
        clip_gradients(self.model, self.config)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.model)
        return value

    def _loss(self, out: OutLike, batch: Batch) -> Tensor:
        loss = self.task.loss(out, batch, self.config.label_smoothing)
        for head in self.wiring.heads(out):
            loss = loss + self.config.aux_weight * self.task.loss(head, batch, self.config.label_smoothing)
        for value in out.losses.values():
            loss = loss + value
        return loss

    def _averaged(self) -> AbstractContextManager[None]:
        return nullcontext() if self.average is None else self.average.in_force(self.model)

    def _select(self, found: Mapping[str, float]) -> None:
        metric = self.task.metrics[0]
        if self.config.select == "best" and metric.better(found[metric.name], self.best["value"]):
            source = self.model.state_dict() if self.average is None else self.average.shadow
            weights = {name: t.detach().clone() for name, t in source.items()}
            self.best = {"epoch": self.epoch - 1, "value": found[metric.name], "weights": weights}


def check_smoothing(task: Task, share: float) -> None:
    """Raise E0703 for label smoothing of a task that has none."""
    if share > 0 and not task.label_smoothing:
        headline = f"task '{task.name}' has no label smoothing, label_smoothing is {share}"
        raise SpacecError(Diagnostic("E0703", headline, help="set label_smoothing=0"))


def check_finite(loss: float, epoch: int, step: int) -> None:
    """Raise E0820 for a loss that is NaN or infinite: going on could only write it into every weight."""
    if not isfinite(loss):
        notes = ("a lower lr, more clipping (clip) or a warm-up (warmup) usually helps",)
        raise SpacecError(Diagnostic("E0820", f"the loss is {loss} in epoch {epoch + 1}, step {step + 1}", notes=notes))
