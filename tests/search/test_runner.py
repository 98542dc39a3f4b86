"""The runner: what a step is, what survives, and that a resumed search is the search."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.distil import distillation
from spacec.search.gradient import GradientStrategy
from spacec.search.progress import Progress
from spacec.search.record import NullRecorder, RunStore
from spacec.search.runner import SearchResult, search
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Path as Forward
from spacec.search.strategy import Strategy, Trial, TrialResult
from spacec.search.task import Batch, OutLike
from spacec.search.trainer import TrainConfig
from spacec.space.architecture import Architecture
from spacec.testing.synthetic import Synthetic
from tests.search.toy import EVERY, SLOTS, SPACE, TASK, A, B, Broken, make

CONFIG = SearchConfig(epochs=3, steps=4, drop_path=0.1)


class Gradient(GradientStrategy):
    name = "gradient"


class Climber(Strategy):
    """Trains random paths, then walks: each trial moves one choice of the best so far."""

    name = "climber"
    limit = 5

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, float]] = []

    def masks(self, step: int) -> Sequence[Forward]:
        return [Forward(self.ctx.mask_of(self.ctx.sample()))]

    def propose(self, n: int) -> Sequence[Trial]:
        left = self.limit - len(self.seen)
        return [Trial(self._next(), batches=2) for _ in range(min(n, left))]

    def observe(self, results: Sequence[TrialResult]) -> None:
        self.seen += [(r.trial.arch.text(), r.metrics.get("score", -1.0)) for r in results]

    def derive(self) -> Architecture:
        return self.ctx.space.architecture(max(self.seen, key=lambda s: s[1])[0])

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.seen = [(text, value) for text, value in state["seen"]]

    def _next(self) -> Architecture:
        if not self.seen:
            return self.ctx.sample()
        here = dict(self.derive().choices)
        here[self.ctx.rng.choice(SLOTS)] = int(torch.randint(3, (), generator=self.ctx.generator))
        return make(here[A], here[B])


def outcome(result: SearchResult) -> tuple[str, dict[str, float], dict[str, Tensor]]:
    return result.architecture.text(), dict(result.metrics), result.context.supernet.state_dict()


def same(a: SearchResult, b: SearchResult) -> bool:
    (text, metrics, net), (text2, metrics2, net2) = outcome(a), outcome(b)
    return text == text2 and metrics == metrics2 and all(torch.equal(net[k], net2[k]) for k in net)


def record(path: Path) -> dict[str, Any]:
    with RunStore(path / files.STORE) as store:
        (run,) = store.export()["runs"]
    for trial in run["trials"]:
        for of_the_clock in ("seconds", "asked", "finished"):
            trial.pop(of_the_clock)
    return {k: run[k] for k in ("status", "metrics", "probabilities", "architectures", "trials", "results")}


def context(strategy: Strategy, config: SearchConfig = CONFIG) -> SearchContext:
    ctx = SearchContext(SPACE, TASK, config, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN)
    strategy.setup(ctx)
    return ctx


@pytest.mark.parametrize("make", [Gradient, Climber])
def test_a_seed_decides_everything(make: type[Strategy]) -> None:
    torch.manual_seed(1)
    first = search(SPACE, make(), TASK, CONFIG)
    torch.manual_seed(2)
    assert same(first, search(SPACE, make(), TASK, CONFIG))
    assert not same(first, search(SPACE, make(), TASK, SearchConfig(epochs=3, steps=4, seed=1)))
    workers = SearchConfig(epochs=3, steps=4, drop_path=0.1, workers=2)
    assert same(first, search(SPACE, make(), TASK, workers))


@pytest.mark.parametrize(
    ("make", "moment"),
    [
        (Gradient, ("search", 0, 1)),
        (Gradient, ("search", 1, 0)),
        (Gradient, ("search", 2, 3)),
        (Climber, ("search", 1, 2)),
        (Climber, ("trials", 0, 1)),
        (Climber, ("trials", 0, 3)),
    ],
)
def test_resume_equals_uninterrupted(tmp_path: Path, make: type[Strategy], moment: tuple[str, int, int]) -> None:
    whole = search(SPACE, make(), TASK, CONFIG, tmp_path / "whole")

    def stop(now: Progress) -> None:
        if (now.phase, now.epoch, now.step) == moment:
            signal.raise_signal(signal.SIGINT)

    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        search(SPACE, make(), TASK, CONFIG, cut, progress=stop)
    assert record(cut)["status"] == "interrupted"
    resumed = search(SPACE, make(), TASK, CONFIG, cut, resume=True)
    assert same(whole, resumed)
    assert resumed.trials == whole.trials
    assert record(cut) == record(tmp_path / "whole")


def test_the_directory_reads_at_every_moment(tmp_path: Path) -> None:
    seen = []

    def watch(now: Progress) -> None:
        if now.phase == "search" and now.step == 0 and now.epoch > 0:
            text = (tmp_path / "run" / files.ARCHITECTURE_TEXT).read_text().strip()
            SPACE.validate(SPACE.architecture(text))
            seen.append(files.read_tensors(tmp_path / "run" / files.CHECKPOINT)["epoch"])

    search(SPACE, Gradient(), TASK, CONFIG, tmp_path / "run", progress=watch)
    assert seen == [1, 2]
    assert (tmp_path / "run" / files.SPACE).read_text() == SPACE.text
    config = files.read_json(tmp_path / "run" / files.CONFIG)["search"]
    assert config["search"]["epochs"] == 3
    assert config["strategy"]["options"]["arch_lr"] == 3e-4
    found = record(tmp_path / "run")
    assert found["status"] == "done"
    assert len(found["probabilities"]) == 3 * 2
    assert {a["role"] for a in found["architectures"]} == {"derived", "best"}


@pytest.mark.parametrize("when", ["search", "trials"])
def test_a_full_disk_stops_with_a_plain_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill(now: Progress) -> None:
        if now.phase == when:
            monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(SpacecError, match="the disk is full"):
        search(SPACE, Climber(), TASK, CONFIG, tmp_path / "run", progress=fill)
    found = record(tmp_path / "run")
    assert found["status"] == "failed"
    assert len(found["metrics"]) > 0
    assert not [name for name in os.listdir(tmp_path / "run") if name.startswith(".")]


def test_what_is_refused_before_the_first_step_leaves_no_run(tmp_path: Path) -> None:
    class Refused(Gradient):
        def setup(self, ctx: SearchContext) -> None:
            super().setup(ctx)
            ctx.require_cost("watts")

    with pytest.raises(SpacecError, match="E0512"):
        search(SPACE, Refused(), TASK, CONFIG, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(SpacecError, match="E0512"):
        search(SPACE, Refused(), TASK, CONFIG, tmp_path / "run")
    assert os.listdir(tmp_path / "run") == ["notes.txt"]
    search(SPACE, Gradient(), TASK, CONFIG, tmp_path / "run")


def test_a_directory_is_used_once(tmp_path: Path) -> None:
    search(SPACE, Gradient(), TASK, CONFIG, tmp_path / "run")
    with pytest.raises(SpacecError) as error:
        search(SPACE, Gradient(), TASK, CONFIG, tmp_path / "run")
    assert error.value.diagnostics[0].code == "E0815"
    with pytest.raises(SpacecError) as error:
        search(SPACE, Gradient({"arch_lr": "1"}), TASK, CONFIG, tmp_path / "run", resume=True)
    assert error.value.diagnostics[0].code == "E0812"


def test_a_failing_trial_is_a_result(tmp_path: Path) -> None:
    class Sweep(Climber):
        @property
        def uses_supernet(self) -> bool:
            return False

        def propose(self, n: int) -> Sequence[Trial]:
            return [Trial(a, "standalone", 1) for a in EVERY[:4]] if not self.seen else ()

    result = search(Broken((1,)), Sweep(), TASK, replace(CONFIG, parallel=4), tmp_path / "run")
    trials = record(tmp_path / "run")["trials"]
    assert [t["error"] for t in trials] == ["", "", "", "RuntimeError: out of memory"]
    assert result.trials == 4
    assert result.metrics["score"] == max(t["metrics"].get("score", 0) for t in trials)
    assert "Traceback" in trials[3]["traceback"]
    assert trials[3]["status"] == "failed"


def test_an_unsupported_space_says_why() -> None:
    class Picky(Gradient):
        def unsupported(self, space: SpaceLike) -> str:
            return "it has no masks for elastic widths"

    with pytest.raises(SpacecError, match="it has no masks for elastic widths") as error:
        search(SPACE, Picky(), TASK, CONFIG)
    assert error.value.diagnostics[0].code == "E0706"


def test_gradients_of_all_paths_are_summed_before_one_step() -> None:
    """Against the step computed by hand: plain SGD on the weighted sum, with distillation from an earlier path."""

    class Two(Gradient):
        def masks(self, step: int) -> Sequence[Forward]:
            first = Forward({A: 1, B: 0}, weight=0.5)
            return [first, Forward({A: 0, B: 1}, weight=2.0, teacher=0, teacher_weight=3.0)]

        def extra_loss(self, out: OutLike, phase: str) -> Tensor | None:
            return 0.1 * out.prediction.square().mean() if phase == "weights" else None

    config = SearchConfig(epochs=1, steps=1, momentum=0.0, weight_decay=0.0, clip=0.0, lr=0.1, arch_from=1)
    strategy = Two()
    result = search(SPACE, strategy, TASK, config)
    report = result.context.last
    assert report is not None
    net: Any = context(Two(), config).supernet
    one, two = (net(report.batch.inputs["x"], mask=path.mask) for path in report.paths)
    loss = 0.5 * TASK.loss(one, report.batch) + 0.1 * one.prediction.square().mean()
    loss = loss + 2.0 * TASK.loss(two, report.batch) + 0.1 * two.prediction.square().mean()
    loss = loss + 3.0 * distillation(two, one)
    loss.backward()
    for name, p in net.named_parameters():
        expected = p.detach() if p.grad is None else p.detach() - 0.1 * p.grad
        torch.testing.assert_close(result.context.supernet.get_parameter(name).detach(), expected)
    assert sum(report.losses) == pytest.approx(float(loss.detach()))


@pytest.mark.parametrize("student", [{A: 0, B: 1}, {A: 1, B: 2}])
def test_a_teacher_mask_leaves_no_statistics(student: dict[str, int]) -> None:
    """Also where norms of the student are also the teacher's: B's second is in both."""

    class Taught(Gradient):
        def masks(self, step: int) -> Sequence[Forward]:
            return [Forward(student, teacher={A: 2, B: 2}, teacher_weight=1.0)]

    ctx = search(SPACE, Taught(), TASK, SearchConfig(epochs=1, steps=2, eval_every=0, arch_from=1)).context
    assert int(ctx.supernet.get_buffer("block_0.norm_0.bn_0.num_batches_tracked")) == 0


def test_architecture_steps_are_due_when_the_config_says() -> None:
    due = []

    class Watch(Gradient):
        def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float]:
            due.append((self.ctx.epoch, self.ctx.step))
            assert val_batch.size == 4
            return {}

    config = SearchConfig(epochs=3, steps=4, arch_from=1, arch_every=2, arch_batch_size=4)
    search(SPACE, Watch(), TASK, config)
    assert due == [(1, 4), (1, 6), (2, 8), (2, 10)]


def test_a_step_without_paths_trains_nothing() -> None:
    class Idle(Gradient):
        def masks(self, step: int) -> Sequence[Forward]:
            return []

    ctx = search(SPACE, Idle(), TASK, SearchConfig(epochs=1, steps=2, eval_every=0)).context
    fresh: Any = context(Idle()).supernet
    assert all(torch.equal(p, fresh.get_parameter(n)) for n, p in ctx.supernet.named_parameters())


def test_a_strategy_may_hold_several_supernets(tmp_path: Path) -> None:
    class Pair(Gradient):
        def setup(self, ctx: SearchContext) -> None:
            super().setup(ctx)
            ctx.add_supernet("second")

        def masks(self, step: int) -> Sequence[Forward]:
            return [Forward(None), Forward(None, supernet="second")]

    found = search(SPACE, Pair(), TASK, CONFIG, tmp_path / "run").context
    state = files.read_tensors(tmp_path / "run" / files.CHECKPOINT)["supernets"]
    assert set(state) == {MAIN, "second"}
    heads = [found.supernets[name].get_parameter("linear_0.weight") for name in (MAIN, "second")]
    assert not torch.equal(*heads)


def test_ratings_of_the_context() -> None:
    strategy = Gradient()
    ctx = context(strategy)
    arch = make(2, 1)
    before = {k: v.clone() for k, v in ctx.supernet.state_dict().items()}
    plain = ctx.evaluate(arch)
    assert plain == ctx.evaluate(ctx.mask_of(arch))
    again = ctx.evaluate(arch, recalibrate=3)
    assert plain != again
    ctx.config = replace(ctx.config, recalibrate=3)
    assert ctx.evaluate(arch) == again
    assert ctx.evaluate(arch, recalibrate=0) == plain
    ctx.config = replace(ctx.config, recalibrate=0)
    assert ctx.evaluate(arch, batches=1) != plain
    assert ctx.supernet.training
    assert all(torch.equal(v, before[k]) for k, v in ctx.supernet.state_dict().items())
    alone = ctx.evaluate(arch, weights="standalone")
    assert alone["loss"] < plain["loss"]
    with pytest.raises(ValueError, match="only an architecture"):
        ctx.evaluate(None, weights="standalone")


def test_costs_of_the_context() -> None:
    ctx = context(Gradient())
    gates = {slot.id: torch.full((3,), 1 / 3, requires_grad=True) for slot in ctx.slots}
    mean = sum(ctx.cost(a) for a in EVERY) / 9
    assert float(ctx.expected_cost(gates).detach()) == pytest.approx(mean)


def test_gates_of_the_context_lead_to_gate_gradients() -> None:
    """Wiring costs: for soft gates, dL/dgate · gate is what the logits' gradient is made of."""
    strategy = Gradient()
    ctx = context(strategy)
    batch = ctx.stream("arch", "x").batch(0, 0)
    weights = strategy.weights()
    out = ctx.forward(batch, weights, gates=True)
    loss = ctx.loss(out, batch)
    found = ctx.supernet.gate_gradients(loss, out)
    expected = torch.autograd.grad(loss, list(weights.values()))
    for slot, gradient in zip(weights, expected, strict=True):
        torch.testing.assert_close(found[slot], gradient)


def test_free_sizes_are_read_from_the_data() -> None:
    space = spacec.load(Path(__file__).parents[2] / "grammars" / "clearer.space", preset="tiny")
    task = Synthetic({"size": 3}).adapt(space.inputs, space.outputs)
    ctx = SearchContext(space, task, CONFIG, TrainConfig(), torch.device("cpu"), NullRecorder())
    assert ctx.sizes == {"H": 3, "W": 3}
    (arch,) = space.sample(1)
    assert ctx.cost(arch, "macs") == space.macs(arch, H=3, W=3)


def test_the_base_strategy_says_what_it_lacks() -> None:
    class Empty(Strategy):
        name = "empty"

    with pytest.raises(NotImplementedError, match="strategy 'empty' has no derive"):
        search(SPACE, Empty(), TASK, SearchConfig(epochs=1, steps=1))


def test_the_gradient_step_touches_logits_only() -> None:
    strategy = Gradient()
    ctx = context(strategy)
    batch = ctx.stream("arch", "x").batch(0, 0)
    before = strategy.probabilities()
    strategy.arch_step(batch, batch)
    assert all(p.grad is None for p in ctx.supernet.parameters())
    assert strategy.probabilities() != before
    (path,) = strategy.masks(0)
    assert path.mask is not None
    assert not any(t.requires_grad for t in path.mask.values())


def test_a_run_keeps_the_constraints_that_were_given_beside_the_grammar(tmp_path: Path) -> None:
    narrowed = SPACE.where("params >= 1")
    result = search(narrowed, Climber(), TASK, CONFIG, tmp_path)
    narrowed.validate(result.architecture)
    assert files.read_json(tmp_path / files.CONFIG)["search"]["space"]["where"] == ["params >= 1"]
