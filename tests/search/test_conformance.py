"""The conformance suite: sound strategies pass, and each broken one fails the check that names its fault."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from spacec.search.context import SearchContext
from spacec.search.gradient import GradientOptions, GradientStrategy
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Path, StepReport, Strategy, Trial, TrialResult
from spacec.search.task import Batch
from spacec.search.trial_strategy import no_trial_succeeded
from spacec.space.architecture import Architecture
from spacec.testing import conformance
from spacec.testing.conformance.memory import census
from tests.search.toy import SPACE, A, B, make


class Gradient(GradientStrategy):
    name = "gradient"


class SingleLevel(GradientStrategy):
    """Learns in the weight step, as the protocol provides."""

    name = "single"

    def masks(self, step: int) -> Sequence[Path]:
        self.arch_optimizer.zero_grad()
        return [Path(self.weights())]

    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float]:
        return {}

    def after_backward(self, report: StepReport) -> Mapping[str, float]:
        self.arch_optimizer.step()
        return {}


class Sampled(Strategy):
    """One path at each step; rates four samples, and takes the best."""

    name = "sampled"

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.asked = self.failed = 0
        self.rated: list[tuple[str, float]] = []

    def masks(self, step: int) -> Sequence[Path]:
        return [Path(self.ctx.mask_of(self.ctx.sample()))]

    def propose(self, n: int) -> Sequence[Trial]:
        n = min(n, 4 - self.asked)
        self.asked += n
        return [Trial(self.ctx.sample(), batches=1) for _ in range(n)]

    def observe(self, results: Sequence[TrialResult]) -> None:
        self.failed += sum(r.failed for r in results)
        self.rated += [(r.trial.arch.text(), r.metrics["score"]) for r in results if not r.failed]

    def derive(self) -> Architecture:
        if not self.rated:
            raise no_trial_succeeded(self.failed, "")
        return self.ctx.space.architecture(max(self.rated, key=lambda pair: pair[1])[0])

    def state_dict(self) -> dict[str, Any]:
        return {"asked": self.asked, "failed": self.failed, "rated": self.rated}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.asked, self.failed = state["asked"], state["failed"]
        self.rated = [(text, value) for text, value in state["rated"]]


@pytest.mark.parametrize("strategy", [Gradient, SingleLevel, Sampled])
def test_sound_strategies_pass(strategy: type[Strategy]) -> None:
    report = conformance.require(SPACE, strategy)
    assert (report.ok, report.notes, report.unsupported) == (True, (), "")


def test_an_unsupported_space_is_no_failure() -> None:
    class Picky(Gradient):
        def unsupported(self, space: SpaceLike) -> str:
            return "it has no masks for points"

    report = conformance.check(SPACE, Picky)
    assert report.ok
    assert str(report) == "strategy 'gradient' on 'points': unsupported: it has no masks for points"


class Leaking(Gradient):
    def masks(self, step: int) -> Sequence[Path]:
        return [Path(self.weights())]


class TrainsLogitsAnyway(Gradient):
    def masks(self, step: int) -> Sequence[Path]:
        with torch.no_grad():
            self.logits[A].add_(0.1)
        return super().masks(step)

    def extra_loss(self, out: Any, phase: str) -> Tensor | None:
        if phase == "weights":
            with torch.no_grad():
                self.logits[A].add_(0.1)
        return None


class StepsWeights(Gradient):
    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float]:
        with torch.no_grad():
            self.ctx.supernet.get_parameter("linear_0.bias").add_(1)
        return super().arch_step(train_batch, val_batch)


class StepsMoments(Gradient):
    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float]:
        for state in self.ctx.optimizer.state.values():
            state["momentum_buffer"].mul_(0.5)
        return super().arch_step(train_batch, val_batch)


class LeavesEvalMode(Gradient):
    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float]:
        self.ctx.supernet.eval()
        return super().arch_step(train_batch, val_batch)


class LearnsNothing(Gradient):
    def architecture_gradient(self, train_batch: Batch, val_batch: Batch) -> Any:
        return [None] * len(self.logits), {}


class StepsOtherCandidates(Sampled):
    def masks(self, step: int) -> Sequence[Path]:
        return [Path({A: 0, B: 0})]

    def extra_loss(self, out: Any, phase: str) -> Tensor | None:
        """As a regulariser on every weight would."""
        return torch.stack([p.square().sum() for p in self.ctx.supernet.parameters()]).sum()


class Unseeded(Sampled):
    def masks(self, step: int) -> Sequence[Path]:
        return [Path({A: random.randrange(3), B: random.randrange(3)})]


class SameSeed(Sampled):
    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        ctx.supernet.load_state_dict(ctx.space.supernet(seed=0).state_dict())


class Forgetful(Gradient):
    def state_dict(self) -> dict[str, Any]:
        return {"logits": self.logits.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.logits.load_state_dict(state["logits"])


class ForgetsTrials(Sampled):
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


@dataclass
class Note:
    text: str


class Pickles(Sampled):
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "note": Note("a class of its own")}


class KeepsGraphs(Gradient):
    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.losses: list[Tensor] = []

    def extra_loss(self, out: Any, phase: str) -> Tensor | None:
        self.losses.append(out.prediction.sum())
        return None


class KeepsOneGraph(Gradient):
    """One tensor, whose graph holds those of all steps."""

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.total: Any = 0.0

    def extra_loss(self, out: Any, phase: str) -> Tensor | None:
        self.total = self.total + out.prediction.sum()
        return None


class InvalidDerive(Gradient):
    def derive(self) -> Architecture:
        return dataclasses.replace(make(0, 0), choices=((A, 0),))


class IgnoresConstraints(Gradient):
    def derive(self) -> Architecture:
        return make(0, 0)


class ProposesAnything(Sampled):
    def propose(self, n: int) -> Sequence[Trial]:
        self.asked += 1
        return [Trial(make(0, 0), batches=1)] if self.asked == 1 else ()


class ExpectsARound(Sampled):
    """Matches results by their position in what it proposed last."""

    def propose(self, n: int) -> Sequence[Trial]:
        self.last = super().propose(n)
        return self.last

    def observe(self, results: Sequence[TrialResult]) -> None:
        for trial, result in zip(self.last, results, strict=True):
            super().observe([dataclasses.replace(result, trial=trial)])


class ProposesMore(Sampled):
    """Keeps to one, but not to several."""

    def propose(self, n: int) -> Sequence[Trial]:
        return super().propose(n if n == 1 else n + 1)


class GoesOnBlindly(Sampled):
    """Trains the trial that it asked for last to its end, whether it has ended or not."""

    uses_supernet = False
    text = ""

    def propose(self, n: int) -> Sequence[Trial]:
        return [self.next() for _ in range(min(n, 4 - self.asked))]

    def next(self) -> Trial:
        number, self.asked = self.asked, self.asked + 1
        if number % 2 == 0:
            self.text = self.ctx.sample().text()
            return Trial(self.ctx.space.architecture(self.text), "standalone", 1, keep=True)
        return Trial(self.ctx.space.architecture(self.text), "standalone", 2, resume=number - 1)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "text": self.text}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.text = state["text"]


class CountsWhatWasTold(Sampled):
    """Takes trials that run for trials that it never asked for."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.asked = self.failed + len(self.rated)


class DrawsFromElsewhere(Sampled):
    """Its fourth trial, asked for while others run, comes from a counter of the process."""

    count = itertools.count()

    def propose(self, n: int) -> Sequence[Trial]:
        running = self.asked - self.failed - len(self.rated)
        if self.asked != 3 or not running:
            return super().propose(n)
        self.asked += 1
        return [Trial(make(1, next(self.count) % 3), batches=1)]


class ReadsFailures(Sampled):
    def observe(self, results: Sequence[TrialResult]) -> None:
        self.rated += [(r.trial.arch.text(), r.metrics["score"]) for r in results]


class NothingToSay(Sampled):
    def derive(self) -> Architecture:
        return self.ctx.space.architecture(max(self.rated, key=lambda pair: pair[1])[0])


class NotProbabilities(Gradient):
    def probabilities(self) -> Mapping[str, Sequence[float]]:
        return {slot: [2 * p for p in values] for slot, values in super().probabilities().items()}


class NegativeProbabilities(Gradient):
    def probabilities(self) -> Mapping[str, Sequence[float]]:
        return {A: [2.0, -1.0, 0.0], B: [1.0, 0.0, 0.0]}


class DrawsProbabilities(Gradient):
    def probabilities(self) -> Mapping[str, Sequence[float]]:
        self.ctx.rng.random()
        return super().probabilities()


@dataclass(frozen=True)
class OddOptions(GradientOptions):
    rates: tuple[float, float] = (0.5, 0.9)
    shape: Any = None


class UnreadableOptions(Gradient):
    Options = OddOptions


@pytest.mark.parametrize(
    ("strategy", "check", "names"),
    [
        (Leaking, "weight step", "gradient reached an architecture parameter (first at logits.net.block[0])"),
        (TrainsLogitsAnyway, "weight step", "changed an architecture parameter (first at logits.net.block[0])"),
        (StepsWeights, "architecture step", "changed a weight of the supernet (first at main:linear_0.bias)"),
        (
            StepsMoments,
            "architecture step",
            "a state of the weights' optimiser of the supernet (first at main:",
        ),
        (LeavesEvalMode, "architecture step", "left the mode of the supernet changed (first at main:"),
        (LearnsNothing, "architecture step", "no step of the search changed an architecture parameter"),
        (StepsOtherCandidates, "weight step", "a candidate that did not run (first at main:block_0.lin_0.linear_0"),
        (Unseeded, "seeds", "two searches of one seed differ"),
        (SameSeed, "seeds", "two seeds start from the same weights"),
        (Forgetful, "resume", "(first at strategy.logits.net.block[0])"),
        (ForgetsTrials, "replay", "from its state in the middle of trials it goes on otherwise"),
        (Pickles, "state", "not read back with weights_only"),
        (KeepsGraphs, "memory", "the tensors that are alive grow by every step"),
        (KeepsOneGraph, "memory", "grow by every step"),
        (InvalidDerive, "derived", "which is not valid"),
        (ExpectsARound, "asynchronous", "asked and told as trials end, it failed: ValueError"),
        (ProposesMore, "asynchronous", "it was asked for 3 trials and proposed 4"),
        (GoesOnBlindly, "kept trials", "a trial goes on from trial 0, not told yet"),
        (CountsWhatWasTold, "replay", "from its state in the middle of trials it goes on otherwise"),
        (DrawsFromElsewhere, "replay", "asked and told again in the same order, it asks for other trials"),
        (ReadsFailures, "failed trials", "it failed: KeyError"),
        (NothingToSay, "failed trials", "4 of which failed, deriving fails: ValueError"),
        (IgnoresConstraints, "constraints", "it derived"),
        (ProposesAnything, "constraints", "it proposed"),
        (NotProbabilities, "probabilities", "not to one (first at net.block[0])"),
        (NegativeProbabilities, "probabilities", "are not all finite and at least 0 (first at net.block[0])"),
        (DrawsProbabilities, "probabilities", "draws from the generators"),
        (UnreadableOptions, "options", "does not read back"),
    ],
)
def test_each_fault_is_found_by_its_check(strategy: type[Strategy], check: str, names: str) -> None:
    report = conformance.check(SPACE, strategy)
    (found,) = report.failures
    assert found.check == check
    assert names in str(found)
    assert str(found).startswith(f"strategy '{strategy.name}' on 'points', {check}: ")


def test_a_test_of_a_plugin_fails_with_the_sentence() -> None:
    with pytest.raises(AssertionError, match="strategy 'gradient' on 'points', derived: it derived"):
        conformance.require(SPACE, InvalidDerive)


def test_a_graph_that_one_tensor_holds_is_counted() -> None:
    weight, total = torch.ones(2, requires_grad=True), torch.zeros(())
    with census() as counted:
        for _ in range(5):
            total = total + weight.prod()
            counted.count()
    assert counted.nodes == [3, 5, 7, 9, 11]
    assert counted.growth() == "the nodes of autograd graphs that are alive grow by every step: 3, 5, 7, 9, 11"
