"""Cream (Peng, Du, Yu, Li, Liao & Fu, *Cream of the Crop: Distilling Prioritized Paths for One-Shot Neural Architecture
Search*, NeurIPS 2020): single paths of a supernet, taught by the best paths seen so far.

Each weight step draws a path x. The board (:mod:`spacec_cream.board`) keeps the K best; the matching network
(:mod:`spacec_cream.matching`) chooses from it who teaches x, and how much that counts::

    L = [mu KD(x, teacher) + (2 - mu) CE(x)] / 2,      KD = -sum softmax(teacher) log softmax(x)

Then x is rated on held-out data and offered to the board. Every ``matching_every`` steps the matching network learns
from a look ahead through the student's update (:mod:`spacec_cream.ahead`). Before the first epoch with architecture
steps (``arch_from``) there is no board, and L = CE. The answer is the best path of the board.

Departures of the released code are options: ``score=train``, ``ahead=batch``, ``ahead_rate=matching``,
``first_tensor``, ``step_student``, ``matching=released``, ``stored=teacher``, and ``sampling=prior`` for the
probabilities that its settings name and its code passes over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.figure import Figure, Table
from spacec.search.options import Options, option
from spacec.search.policies.factorised import FactorisedPolicy
from spacec.search.space_like import Mask
from spacec.search.strategy import Path, StepReport, Strategy
from spacec.search.task import Batch, OutLike
from spacec.space.architecture import Architecture
from spacec_cream.ahead import Ahead, Student, look_ahead
from spacec_cream.board import Board, Entry
from spacec_cream.matching import Matching, compared, first_samples, student_outputs
from spacec_cream.sampling import as_often_as, favoured, favours


@dataclass(frozen=True)
class CreamOptions(Options):
    board: int = option(10, "paths on the board", low=1)
    margin: float = option(
        0.05, "by how much a dearer path must beat the last one: a share of the metric's range where it has one", low=0
    )
    cost: str = option("macs", "the cost by which a path may be cheaper than the last one")
    score: Literal["held-out", "train"] = option("held-out", "the batch that a path is rated on (released: train)")
    samples: int = option(4, "samples by which paths are compared, and of each side of a look ahead", low=1, high=65536)
    matching: Literal["paper", "released"] = option(
        "paper", "mu: sigmoid(rho) of the chosen teacher; released: sigmoid(-rho) of the board's last path"
    )
    matching_every: int = option(200, "weight steps per step of the matching network", low=1)
    matching_lr: float = option(1e-4, "rate of the matching network, at the peak of that of the weights", low=0)
    matching_clip: float = option(1.0, "largest gradient norm of the matching network; 0 for no clipping", low=0)
    ahead: Literal["held-out", "batch"] = option(
        "held-out", "what a look ahead is judged by: held-out samples; batch: the next ones of the training batch"
    )
    ahead_rate: Literal["weights", "matching"] = option("weights", "whose rate the step ahead has (released: matching)")
    first_tensor: bool = option(False, "only the first tensor of the weights moves with phi (released: true)")
    step_student: bool = option(False, "the supernet's weights take the step ahead, too (released: true)")
    stored: Literal["own", "teacher"] = option(
        "own", "whose outputs a path is stored with (released: its teacher's, but for the first path)"
    )
    sampling: Literal["uniform", "prior", "board"] = option(
        "uniform", "how paths are drawn; prior: by the probabilities below; board: as often as on the full board"
    )
    prior: tuple[float, ...] = option(
        (0.05, 0.2, 0.05, 0.5, 0.05, 0.15), "sampling=prior: of the candidates of a choice between so many", low=0
    )


@dataclass(frozen=True)
class Lesson:
    """The path of a step, under its mask; ``teacher``: the mask of who was chosen; ``mu`` has its gradient to phi."""

    arch: Architecture
    mask: Mask
    teacher: Mask | None = None
    mu: Tensor | None = None


class Cream(Strategy):
    """See the module. ``matching`` is there from the first lesson with a teacher on."""

    name = "cream"
    help = "Cream: the best paths so far teach those that are drawn (Peng et al., NeurIPS 2020)"
    Options = CreamOptions
    options: CreamOptions
    config: ClassVar[Mapping[str, object]] = {
        "epochs": 120,
        "arch_from": 21,
        "batch_size": 1024,
        "lr": 1.0,
        "lr_min": 0.0,
        "schedule": "linear",
        "schedule_by": "step",
        "nesterov": True,
        "weight_decay": 1e-4,
        "norm_decay": False,
        "clip": 0.0,
        "label_smoothing": 0.1,
    }
    figures = (Figure("The board over time", "score, more is better", table="score", shade="cost", shade_label="cost"),)
    tiny: ClassVar[Mapping[str, object]] = {"board": 2, "matching_every": 2}
    board: Board
    matching: Matching | None
    lesson: Lesson | None
    """Of the present weight step, once it is drawn."""
    law: FactorisedPolicy | None
    """What paths are drawn from; without one they are uniform. Made when it is needed, as the board is then."""

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        ctx.require_cost(self.options.cost)
        if not sum(self.options.prior) > 0:
            raise SpacecError(Diagnostic("E0703", "option 'prior' of strategy 'cream' has no number above 0"))
        if self.options.sampling == "prior" and not favours(ctx.space.table, self.options.prior):
            headline = f"sampling=prior of strategy 'cream' has {len(self.options.prior)} probabilities"
            raise SpacecError(Diagnostic("E0703", f"{headline}, and no choice of this space has as many candidates"))
        bounds = ctx.task.metrics[0].bounds
        span = 1.0 if bounds is None else abs(bounds[1] - bounds[0])
        self.board = Board(self.options.board, self.options.margin * span)
        self.matching = self.lesson = self.law = None

    # the runner's calls of a step, in their order

    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float] | None:
        self.lesson = self._drawn()
        values: dict[str, float] = {}
        if self.ctx.step % self.options.matching_every == 0:
            values |= self._learn(self.lesson, train_batch, val_batch)
        if self.options.score == "held-out":
            with torch.no_grad():
                out = self.ctx.forward(val_batch, self.lesson.mask)
            values |= self._offer(self.lesson, out, val_batch)
        return values

    def masks(self, step: int) -> Sequence[Path]:
        lesson = self.lesson = self.lesson or self._drawn()
        if lesson.mu is None:
            return [Path(lesson.mask)]
        mu = lesson.mu.detach()
        return [Path(lesson.mask, (2 - mu) / 2, lesson.teacher, mu / 2)]

    def after_backward(self, report: StepReport) -> Mapping[str, float] | None:
        lesson, self.lesson = self.lesson, None
        assert lesson is not None, "masks() gave this step its path"
        found = {} if lesson.mu is None else {"mu": float(lesson.mu.detach())}
        if self.options.score == "train" and self.ctx.epoch >= self.ctx.config.arch_from:
            found |= self._offer(lesson, report.outs[0], report.batch)
        return found

    # the lesson

    def _drawn(self) -> Lesson:
        """A path, and who of the board teaches it: never the path itself."""
        arch = self._sample()
        mask = self.ctx.mask_of(arch)
        items = [e for e in self.board if e.arch != arch.text()]
        if not items:
            return Lesson(arch, mask)
        degrees = self._degrees(mask, items)
        mu = degrees.max().sigmoid() if self.options.matching == "paper" else (-degrees[-1]).sigmoid()
        teacher = self.ctx.space.architecture(items[int(degrees.argmax())].arch)
        return Lesson(arch, mask, self.ctx.mask_of(teacher), mu)

    def _sample(self) -> Architecture:
        table = self.ctx.space.table
        if self.law is None and self.options.sampling == "prior":
            self.law = favoured(table, self.options.prior)
        if self.law is None and self.options.sampling == "board" and len(self.board) == self.board.size:
            self.law = as_often_as(table, [self.ctx.space.architecture(e.arch) for e in self.board])
        return self.ctx.sample() if self.law is None else self.law.draw(self.ctx.rng)

    def _degrees(self, mask: Mask, items: Sequence[Entry]) -> Tensor:
        """rho of the path under ``mask`` with each item ``(items,)``."""
        own = student_outputs(self.ctx, mask, [item.inputs for item in items], self.options.samples)
        differences = [(o - e.outputs).flatten() for o, e in zip(own, items, strict=True) if e.outputs is not None]
        if self.matching is None:
            self.matching = Matching(len(differences[0]), self.ctx.seed, differences[0])
        found: Tensor = self.matching(differences)
        return found

    # what the matching network learns

    def _learn(self, lesson: Lesson, train_batch: Batch, val_batch: Batch) -> dict[str, float]:
        """One step of the matching network on what its mu does to the student."""
        if self.matching is None or lesson.mu is None or lesson.teacher is None:
            return {}
        rate = self._matching_rate()
        rates = {name: hyper.lr for name, hyper in self.ctx.weight_hypers().items()}
        if self.options.ahead_rate == "matching":
            rates = dict.fromkeys(rates, rate)
        train, held_out = self._sides(train_batch, val_batch)
        student = Student(lesson.mask, lesson.teacher, train, rates, self.options.first_tensor)
        found = look_ahead(self.ctx, student, lesson.mu, tuple(self.matching.parameters()), held_out)
        if found is None:
            return {}
        self.matching.step(found.gradient, rate, self.options.matching_clip)
        if self.options.step_student:
            self._step_student(found)
        return {"kd": found.distillation, "ahead_loss": found.loss}

    def _sides(self, train_batch: Batch, val_batch: Batch) -> tuple[Batch, Batch]:
        """Samples that the student steps on, and others that the step is judged by."""
        n = self.options.samples
        if self.options.ahead == "held-out":
            return first_samples(train_batch, 0, n), first_samples(val_batch, 0, n)
        n = max(1, min(n, train_batch.size // 2))
        start = min(n, train_batch.size - 1)
        return first_samples(train_batch, 0, n), first_samples(train_batch, start, start + n)

    def _matching_rate(self) -> float:
        """The rate of phi, which falls with that of the weights."""
        peak = self.ctx.config.lr
        share = self.ctx.optimizer.param_groups[0]["lr"] / peak if peak > 0 else 0.0
        return float(self.options.matching_lr * share)

    def _step_student(self, found: Ahead) -> None:
        """The released code's step of the supernet on mu KD of the few samples, clipped to norm 1."""
        for name, parameter in self.ctx.supernet.named_parameters():
            parameter.grad = found.student.get(name)
        nn.utils.clip_grad_norm_(self.ctx.supernet.parameters(), 1.0)
        self.ctx.optimizer.step()

    # the board

    def _offer(self, lesson: Lesson, out: OutLike, batch: Batch) -> dict[str, float]:
        """Rate the path by what it gave on ``batch`` and offer it to the board."""
        score, cost = self.ctx.quality_of(out, batch), float(self.ctx.cost(lesson.arch, self.options.cost))
        new = Entry(lesson.arch.text(), score, cost, self.ctx.step)
        if self.board.admits(new):
            n = self.options.samples
            few, outputs = first_samples(batch, 0, n), compared(self.ctx.task, out.prediction, n)
            if self.options.stored == "teacher" and lesson.teacher is not None:
                outputs = student_outputs(self.ctx, lesson.teacher, [few.inputs], n)[0]
            inputs = {name: x.clone() if isinstance(x, Tensor) else x for name, x in few.inputs.items()}
            self._place(self.board.offer(replace(new, inputs=inputs, outputs=outputs)))
        return {"score": score}

    def _place(self, board: Board) -> None:
        self.board = board
        if self.options.sampling == "board":
            self.law = None

    # the answer, the record and the state

    def derive(self) -> Architecture:
        """The best path of the board; while it is empty, one that the seed gives."""
        if self.board.best is None:
            return self.ctx.space.sample(1, seed=self.ctx.seed)[0]
        return self.ctx.space.architecture(self.board.best.arch)

    def subject(self) -> Architecture:
        return self.derive()

    def diagnostics(self, ctx: SearchContext) -> Mapping[str, float]:
        if not len(self.board):
            return {}
        return {"board_best": self.board.entries[0].score, "board_last": self.board.entries[-1].score}

    def readings(self) -> Mapping[str, Table]:
        """The board: score and cost by path."""
        if not len(self.board):
            return {}
        return {"score": {(e.arch,): e.score for e in self.board}, "cost": {(e.arch,): e.cost for e in self.board}}

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {"board": [entry.state_dict() for entry in self.board]}
        return state if self.matching is None else {**state, "matching": self.matching.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        device = self.ctx.device
        self._place(replace(self.board, entries=tuple(Entry.read(entry, device) for entry in state["board"])))
        if "matching" in state:
            self.matching = Matching.read(state["matching"], device)
