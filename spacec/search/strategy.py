"""The Strategy protocol: one base class for every search algorithm.

A strategy sees decisions, masks, architectures and costs through its :class:`~spacec.search.context.SearchContext`,
never the program; so it runs on any space. All methods have defaults; most strategies write three of them.

The runner calls, for every epoch of the supernet: ``on_epoch``; then per step ``arch_step`` (if due) and one weight
step over ``masks``, with ``after_backward`` in its middle; then ``on_epoch_end``, and ``derive`` for the record. After
the epochs it asks for trials by ``propose`` until none comes, evaluates them and hands the results to ``observe``.
``derive`` gives the answer. The whole strategy in a file::

    class Darts1(GradientStrategy):
        name = "darts1"

with its gradient step inherited, or from scratch::

    class Uniform(Strategy):
        name = "uniform"

        def masks(self, step):
            return [Path(self.ctx.mask_of(self.ctx.sample()))]

        def derive(self):
            return self.ctx.sample()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from spacec.search.figure import Figure, Table
from spacec.search.options import Options as OptionsBase
from spacec.search.options import parse_options
from spacec.search.space_like import Mask, SpaceLike
from spacec.search.task import Batch, OutLike
from spacec.space.architecture import Architecture

if TYPE_CHECKING:  # the context holds the strategy's collaborators and imports their implementations
    from spacec.search.context import SearchContext
    from spacec.search.objectives import Front

Phase = Literal["weights", "arch"]
Weights = Literal["shared", "standalone"]


@dataclass(frozen=True)
class Path:
    """One forward of a weight step: the loss is ``weight`` · task loss + ``teacher_weight`` · distillation.

    ``mask`` is for the supernet named ``supernet``. ``teacher`` is a mask whose (detached) prediction on the same
    batch is distilled, or the index of an earlier path of the same step, whose prediction is reused. A mask runs once
    for all paths of the step that it teaches; with ``teacher_weights`` (weights and statistics by name) it runs with
    these and in evaluation mode: a teacher that learns no more. Without ``noise`` no dropout and no stochastic depth.
    Gradients of all paths of a step are summed before the one optimiser step.
    """

    mask: Mask | None
    weight: float | Tensor = 1.0
    teacher: Mask | int | None = None
    teacher_weight: float | Tensor = 0.0
    supernet: str = "main"
    teacher_weights: Mapping[str, Tensor] | None = None
    noise: bool = True


@dataclass(frozen=True)
class Trial:
    """An architecture to be rated: with ``shared`` supernet weights, or trained ``standalone`` for ``budget`` epochs.

    ``batches`` limits a shared rating to so many batches, spread over the split. The state of a training that is to be
    gone on with is kept (``keep``); ``resume`` is then the number of that trial, of the same architecture, whose
    training goes on to ``budget`` epochs in all. ``tag`` is the strategy's own, JSON-ready (a bracket, a rung, the
    parent), and comes back with the result.
    """

    arch: Architecture
    weights: Weights = "shared"
    budget: int | None = None
    batches: int | None = None
    split: str = "arch"
    keep: bool = False
    resume: int | None = None
    tag: Any = None


@dataclass(frozen=True)
class TrialResult:
    """What came of a trial. Where it ``failed``, ``error`` says why, and ``traceback`` where, if something raised.

    ``number`` counts the trials of the search from 0 in the order in which they were asked for. A trial whose first
    metric is no finite number has failed; the others that it has are there.
    """

    trial: Trial
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    traceback: str = ""
    number: int = -1

    @property
    def failed(self) -> bool:
        return bool(self.error)


@dataclass(frozen=True)
class StepReport:
    """A weight step, for strategies that learn from it: outputs (detached) and losses by path."""

    batch: Batch
    paths: tuple[Path, ...]
    outs: tuple[OutLike, ...]
    losses: tuple[float, ...]


class Strategy:
    """Base of strategies. ``self.ctx`` is there from :meth:`setup` on."""

    name: ClassVar[str]
    help: ClassVar[str] = ""
    Options: ClassVar[type[OptionsBase]] = OptionsBase
    config: ClassVar[Mapping[str, object]] = {}
    """The paper's settings of the runner where they differ from :class:`~spacec.search.runner.SearchConfig`'s."""
    tabular: ClassVar[Mapping[str, object]] = {}
    """Options with which it searches over a benchmark, where they differ: no supernet is trained there."""
    tiny: ClassVar[Mapping[str, object]] = {}
    """Options with which a few steps show all it does, where they differ: of the conformance suite and the matrix."""
    figures: ClassVar[tuple[Figure, ...]] = ()
    """How a report draws what :meth:`diagnostics` and :meth:`readings` give."""
    ctx: SearchContext

    def __init__(self, options: OptionsBase | Mapping[str, object] | None = None) -> None:
        """``options``: a value of ``Options``, or texts by name, which are parsed and checked."""
        if not isinstance(options, OptionsBase):
            options = parse_options(self.Options, options or {}, owner=f"strategy '{self.name}'")
        self.options: Any = options

    @property
    def uses_supernet(self) -> bool:
        """Whether a supernet is built and trained; a multi-trial strategy says no."""
        return True

    @property
    def resumes(self) -> bool:
        """Whether its trials go on with the trainings of earlier ones."""
        return False

    def supernet_options(self) -> Mapping[str, Any]:
        """The form of the supernet: keywords of ``space.supernet`` (``{"partial": 4}``)."""
        return {}

    def unsupported(self, space: SpaceLike) -> str:
        """Why this strategy cannot search ``space`` ("it has no masks for elastic widths"); empty if it can."""
        return ""

    def setup(self, ctx: SearchContext) -> None:
        """Called once, before the first epoch (also of a run that resumes). Override with a call to this one."""
        self.ctx = ctx

    def on_epoch(self, epoch: int) -> None:
        """Called before the first step of an epoch."""

    def weight_rate(self, step: int) -> float | None:
        """The learning rate of the weights at step ``step`` of the epoch; ``None`` for the one of the settings."""
        return None

    def masks(self, step: int) -> Sequence[Path]:
        """The forwards of weight step ``step`` (counted over the run); empty for no weight step.

        The default is one path on the uniform soft mask. Gradients reach architecture parameters through a mask
        that carries them; detach it to spare their cost.
        """
        return [Path(None)]

    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float] | None:
        """Update what the strategy learns, before the weight step on ``train_batch``; returns values to record."""
        return None

    def after_backward(self, report: StepReport) -> Mapping[str, float] | None:
        """Called in a weight step when the gradients of all paths are summed, before clipping and the weights' step.

        Single-level methods learn here: what their masks carried has its gradient in ``.grad``, where gradients add up
        until they are cleared. Returns values to record.
        """
        return None

    def on_epoch_end(self, epoch: int, found: Mapping[str, float]) -> None:
        """Called after an epoch's last step with what was measured.

        The place to drop candidates, to end the supernet's epochs (``ctx.stop``), to go back (``ctx.rewind``) or to
        change the supernet's form (``ctx.replace_supernet``).
        """

    def extra_loss(self, out: OutLike, phase: Phase) -> Tensor | None:
        """A scalar added to the loss of each forward of the weight step or the architecture step, or ``None``."""
        return None

    def propose(self, n: int) -> Sequence[Trial]:
        """Up to ``n`` more trials, while others may be out; fewer waits for these. None ends it when none is out."""
        return ()

    def observe(self, results: Sequence[TrialResult]) -> None:
        """Results of earlier proposals: a round in the order of these, or (asynchronous) each as it comes.

        A result is known by its trial's ``tag`` or its ``number``. What is proposed next may depend on what was told,
        and on nothing else but :attr:`SearchContext.rng` and :attr:`SearchContext.generator`: a search that resumes is
        asked and told again what was recorded since its checkpoint.
        """

    def derive(self) -> Architecture:
        """The architecture found so far."""
        raise NotImplementedError(f"strategy '{self.name}' has no derive()")

    def front(self) -> Front | None:
        """Of a search with several objectives, the architectures that no other beats in all of them."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs: tensors, numbers, texts, lists, tuples and dicts of these."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Called after :meth:`setup` of a resumed run."""

    def diagnostics(self, ctx: SearchContext) -> Mapping[str, float]:
        """Values to record once an epoch; must change nothing."""
        return {}

    def readings(self) -> Mapping[str, Table]:
        """Tables of numbers by place to record once an epoch; must change nothing."""
        return {}

    def probabilities(self) -> Mapping[str, Sequence[float]]:
        """Slot id to probabilities, for the record and its pictures; empty for a strategy without any."""
        return {}

    def subject(self) -> Mask | Architecture:
        """What is evaluated at the end of an epoch, to show how far the supernet is.

        The default is the soft mask of :meth:`probabilities`, where the space can be mixed; without probabilities one
        architecture, the same in all epochs.
        """
        if not (probabilities := self.probabilities()):
            return self.ctx.space.sample(1, seed=self.ctx.seed)[0]
        if any(slot.sized for slot in self.ctx.slots):
            return self.derive()
        return {slot: torch.tensor(p, device=self.ctx.device) for slot, p in probabilities.items()}

    def describe(self) -> dict[str, Any]:
        """What the run record keeps: name and options."""
        return {"name": self.name, "options": {f.name: getattr(self.options, f.name) for f in fields(self.options)}}
