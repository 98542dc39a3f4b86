"""RobustDARTS (Zela et al., ICLR 2020): DARTS that watches the curvature of its validation loss.

After every epoch the dominant eigenvalue of the Hessian of the validation loss in the logits is found on one batch of
the arch split, in the mode and at the weights of training. Where it grows too fast
(:mod:`spacec_robust_darts.criterion`)

* ``mode=es`` (DARTS-ES): the search ends, and the architecture of the epoch before the growth is derived;
* ``mode=ada`` (DARTS-ADA): the search goes back to that epoch and on with more regularisation of the weights: decay
  times 3, up to 0.0243 (``regulariser=weight-decay``), or drop-path plus 0.2, up to 0.6 (``drop-path``: the grid of the
  paper's R-DARTS). At the largest value it runs to its end;
* ``mode=none``: the eigenvalue is recorded, nothing else.

Drop-path drops whole edges into a node, skips included, as in the released search (:mod:`spacec.passes.path_drop`).

Departures of the released code are options: its Hessian holds the logits' L2 decay (``hessian_decay``), which adds
``arch_weight_decay`` to every eigenvalue. Two are not followed. It may go back beyond the epoch from which it has just
restarted; here no epoch before that one is kept. And the restarted run of its ADA appends to the eigenvalues of the
run that was given up; here these are forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from spacec_darts.strategy import DARTS, DARTSOptions
from torch import Tensor

from spacec.search.augment import set_drop_path
from spacec.search.context import SearchContext
from spacec.search.curvature import PRODUCTS, top_eigenvalue
from spacec.search.options import option
from spacec_robust_darts.criterion import Criterion

EIGENVALUE = "eigenvalue"
SLACK = 1e-9
"""Room for rounding where a raised value is compared with its largest: 3e-4 times 3 four times."""


@dataclass(frozen=True)
class RobustDARTSOptions(DARTSOptions):
    order: Literal[1, 2] = option(2, "order of the architecture gradient")
    mode: Literal["es", "ada", "none"] = option("es", "stop early, regularise adaptively, or only watch")
    window: int = option(5, "epochs that an eigenvalue is averaged over", low=1)
    delta: int = option(4, "epochs between the averages compared", low=1)
    factor: float = option(1.3, "growth of the averaged eigenvalue that is too much", low=0)
    start: int = option(10, "first epoch that may be kept", low=0)
    regulariser: Literal["weight-decay", "drop-path"] = option("weight-decay", "what ada raises")
    decay_factor: float = option(3.0, "what ada multiplies the weight decay by", low=1)
    decay_max: float = option(0.0243, "largest weight decay of ada", low=0)
    drop_path_step: float = option(0.2, "what ada adds to drop-path", low=0)
    drop_path_max: float = option(0.6, "largest drop-path of ada", low=0, high=1)
    which: Literal["largest", "magnitude"] = option(
        "largest", "the dominant eigenvalue: the largest, or the largest in magnitude"
    )
    hessian_decay: bool = option(False, "whether the Hessian holds the L2 decay of the logits (the released code)")
    hessian_samples: int | None = option(None, "samples of the Hessian's batch; none for the arch batch", low=1)
    products: int = option(PRODUCTS, "most Hessian-vector products", low=1)
    tolerance: float = option(1e-4, "accuracy of the eigenvalue, relative", low=0)


class RobustDARTS(DARTS):
    """See the module. ``eigenvalues[i]`` belongs to epoch i; ``past`` holds what the kept epoch may need."""

    name = "robust-darts"
    help = "RobustDARTS: early stopping or adaptive regularisation by curvature (Zela et al., ICLR 2020)"
    Options = RobustDARTSOptions
    options: RobustDARTSOptions
    config = {"batch_size": 64, "drop_path": 0.2}  # noqa: RUF012  # declared ClassVar by the base
    tiny: ClassVar[Mapping[str, object]] = {"mode": "ada", "window": 1, "delta": 1, "factor": 0.0, "start": 0}

    def supernet_options(self) -> Mapping[str, Any]:
        return {**super().supernet_options(), "path_drop": True}

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        given = self.options
        self.criterion = Criterion(given.window, given.delta, given.factor, given.start)
        self.eigenvalues: list[float] = []
        self.past: dict[int, dict[str, Any]] = {}
        self.earliest = 0
        self.decay, self.drop_path = ctx.config.weight_decay, ctx.config.drop_path

    def on_epoch(self, epoch: int) -> None:
        super().on_epoch(epoch)
        set_drop_path(self.ctx.supernet, self.drop_path * epoch / max(1, self.ctx.epochs))

    def diagnostics(self, ctx: SearchContext) -> Mapping[str, float]:
        found = top_eigenvalue(
            self._validation_loss,
            self.arch_parameters(),
            self.options.which,
            tolerance=self.options.tolerance,
            products=self.options.products,
            module=ctx.supernet,
        )
        return {EIGENVALUE: found.value, "eigenvalue_residual": found.residual}

    def _validation_loss(self) -> Tensor:
        ctx, given = self.ctx, self.options
        size = given.hessian_samples or ctx.config.arch_batch_size
        batch = ctx.stream("arch", "hessian", batch_size=size).batch(ctx.epoch, 0).to(ctx.device)
        loss = ctx.loss(ctx.forward(batch, self.weights()), batch)
        if given.hessian_decay:
            for a in self.arch_parameters():
                loss = loss + 0.5 * given.arch_weight_decay * a.square().sum()
        return loss

    def on_epoch_end(self, epoch: int, found: Mapping[str, float]) -> None:
        self.eigenvalues.append(found[EIGENVALUE])
        if self.options.mode == "none":
            return
        self._remember(epoch)
        growth, kept = self.criterion.growth(self.eigenvalues, self.earliest), self.criterion.kept(epoch)
        if not growth or kept is None or epoch + 1 >= self.ctx.epochs:
            return
        grown = f"the averaged eigenvalue grew {growth:.3g} times in {self.options.delta} epochs"
        if self.options.mode == "es":
            self._back(kept)
            self.ctx.stop(f"{grown}: architecture of epoch {kept}")
        elif raised := self._raised():
            self.ctx.rewind(self.past[kept]["search"], f"{grown}: {raised}")
            self._back(kept)
            self._regularise()

    def _remember(self, epoch: int) -> None:
        """Keep this epoch, and forget those that can be kept no more."""
        self.past = {e: state for e, state in self.past.items() if e >= epoch - self.criterion.reach}
        if epoch >= self.options.start:
            self.past[epoch] = deepcopy(super().state_dict())
            if self.options.mode == "ada":
                self.past[epoch]["search"] = self.ctx.state()

    def _back(self, epoch: int) -> None:
        """What was learnt after ``epoch`` is forgotten."""
        super().load_state_dict(deepcopy(self.past[epoch]))
        self.eigenvalues = self.eigenvalues[: epoch + 1]
        self.past = {e: state for e, state in self.past.items() if e <= epoch}
        self.earliest = epoch

    def _raised(self) -> str:
        """Raise the regularisation, in words; empty where it is at its largest."""
        given = self.options
        if given.regulariser == "weight-decay":
            raised = self.decay * given.decay_factor
            if raised > given.decay_max * (1 + SLACK) or raised <= self.decay:
                return ""
            self.decay = raised
            return f"weight decay {raised:.4g}"
        raised = self.drop_path + given.drop_path_step
        if raised > given.drop_path_max + SLACK or raised <= self.drop_path:
            return ""
        self.drop_path = min(raised, 1.0)
        return f"drop-path {raised:.4g}"

    def _regularise(self) -> None:
        """Give the optimiser, whose state is that of an earlier epoch, the present weight decay."""
        for group in self.ctx.optimizer.param_groups:
            if group["weight_decay"] > 0:
                group["weight_decay"] = self.decay

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "eigenvalues": list(self.eigenvalues),
            "past": self.past,
            "earliest": self.earliest,
            "decay": self.decay,
            "drop_path": self.drop_path,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.eigenvalues = [float(v) for v in state["eigenvalues"]]
        self.past = {int(epoch): dict(kept) for epoch, kept in state["past"].items()}
        self.earliest = int(state["earliest"])
        self.decay, self.drop_path = float(state["decay"]), float(state["drop_path"])
