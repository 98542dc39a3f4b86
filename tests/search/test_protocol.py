"""What the protocol lets a strategy do to the course of a search: learn in the weight step, narrow, stop, go back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as File
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.gradient import GradientStrategy
from spacec.search.record import NullRecorder, RunStore
from spacec.search.runner import search
from spacec.search.strategy import Path, StepReport, Strategy
from spacec.search.trainer import TrainConfig
from spacec.testing.synthetic import Synthetic
from tests.search.toy import SPACE, TASK, A, B, make

CONFIG = SearchConfig(epochs=4, steps=2)

NODE = spacec.loads("""
space node(width = 4)
input  x: [width]
output y: [2]
default pick(absent = 1)
let cell = dag(a) { return sum(pick 2 from [a, a >> tanh, a >> relu]: lin: linear(width) | skip: identity) }
net = cell >> linear(2)
""")


def context(space: Any = SPACE, task: Any = TASK) -> SearchContext:
    ctx = SearchContext(space, task, CONFIG, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN)
    return ctx


class SingleLevel(GradientStrategy):
    """Logits learn from the weight step's own backward."""

    name = "single"

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.seen: list[list[Tensor]] = []

    def masks(self, step: int) -> Sequence[Path]:
        self.arch_optimizer.zero_grad()
        return [Path(self.weights())]

    def arch_step(self, train_batch: Any, val_batch: Any) -> Mapping[str, float]:
        return {}

    def after_backward(self, report: StepReport) -> Mapping[str, float]:
        self.seen.append([t.grad.clone() for t in self.logits.parameters() if t.grad is not None])
        for found, expected in zip(self.seen[-1], self._gradient(report), strict=True):
            torch.testing.assert_close(found, expected)
        self.arch_optimizer.step()
        return {"losses": sum(report.losses)}

    def _gradient(self, report: StepReport) -> Sequence[Tensor]:
        with self.ctx.statistics_kept():
            loss = self.ctx.loss(self.ctx.forward(report.batch, self.weights()), report.batch)
            return torch.autograd.grad(loss, self.logits.parameters())


def test_a_single_level_method_finds_its_gradient_before_the_weights_move(tmp_path: File) -> None:
    strategy = SingleLevel()
    search(SPACE, strategy, TASK, CONFIG, tmp_path / "run")
    assert len(strategy.seen) == 8
    assert all(len(step) == 2 for step in strategy.seen)
    with RunStore(tmp_path / "run" / "run.sqlite") as store:
        (run,) = store.runs()
        rows = [r for r in store.metrics(run["id"]) if r["name"] == "losses"]
    assert len(rows) == 8


class Course(Strategy):
    """Trains uniformly, and does ``act(strategy, epoch)`` at the end of each epoch."""

    name = "course"

    def __init__(self, act: Callable[[Course, int], None]) -> None:
        super().__init__()
        self.act = act
        self.epochs: list[int] = []
        self.kept: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, found: Mapping[str, float]) -> None:
        assert "train_loss" in found
        self.epochs.append(epoch)
        self.act(self, epoch)

    def derive(self) -> Any:
        return make(0, 0)


def weights(strategy: Strategy) -> dict[str, Tensor]:
    return {name: t.clone() for name, t in strategy.ctx.supernet.state_dict().items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(t, b[name]) for name, t in a.items())


def test_stopping_ends_the_epochs_also_of_a_resumed_run(tmp_path: File) -> None:
    def act(strategy: Course, epoch: int) -> None:
        if epoch == 1:
            strategy.ctx.stop("enough")

    first = Course(act)
    search(SPACE, first, TASK, CONFIG, tmp_path / "run")
    assert first.epochs == [0, 1]
    again = Course(act)
    search(SPACE, again, TASK, CONFIG, tmp_path / "run", resume=True)
    assert again.epochs == []
    assert again.ctx.stopped == "enough"
    assert same(weights(first), weights(again))


def test_going_back_repeats_the_epochs_bit_for_bit() -> None:
    def act(strategy: Course, epoch: int) -> None:
        if epoch == 1 and "state" not in strategy.kept:
            strategy.kept["state"] = strategy.ctx.state()
        if epoch == 3 and "end" not in strategy.kept:
            strategy.kept["end"] = weights(strategy)
            strategy.ctx.rewind(strategy.kept["state"], "once more")

    strategy = Course(act)
    search(SPACE, strategy, TASK, CONFIG)
    assert strategy.epochs == [0, 1, 2, 3, 2, 3]
    assert strategy.ctx.step == 8
    assert same(weights(strategy), strategy.kept["end"])


def test_a_state_is_a_copy_that_training_does_not_change() -> None:
    ctx = context()
    state, before = ctx.state(), {k: t.clone() for k, t in ctx.supernet.state_dict().items()}
    with torch.no_grad():
        for t in ctx.supernet.parameters():
            t.add_(1)
    assert same(state["supernets"][MAIN], before)
    ctx.load_state(state)
    assert same(ctx.supernet.state_dict(), before)


class Forms:
    """The space, whose supernet has a form that scales the head; what ``form`` was asked for is kept."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(SPACE, name)

    def supernet(self, seed: int | None = None, **form: Any) -> nn.Module:
        self.asked.append(form)
        net = SPACE.supernet(seed)
        net.register_buffer("form", torch.zeros(form.get("size", 1)))
        return net


def test_the_form_of_the_supernet_changes_and_is_resumed(tmp_path: File) -> None:
    def act(strategy: Course, epoch: int) -> None:
        if epoch == 1:
            strategy.ctx.replace_supernet({"size": 3}, carry)

    def carry(old: nn.Module, new: nn.Module) -> None:
        new.load_state_dict({**old.state_dict(), "form": torch.zeros(3)})

    class Formed(Course):
        def supernet_options(self) -> Mapping[str, Any]:
            return {"size": 2}

    whole = Formed(act)
    search(Forms(), whole, TASK, CONFIG, tmp_path / "whole")
    assert [net["size"] for net in whole.ctx.space.asked] == [2, 3]
    stopped = Formed(lambda s, e: act(s, e) if e < 2 else _interrupt())
    with pytest.raises(KeyboardInterrupt):
        search(Forms(), stopped, TASK, CONFIG, tmp_path / "cut")
    resumed = Formed(act)
    search(Forms(), resumed, TASK, CONFIG, tmp_path / "cut", resume=True)
    assert resumed.epochs == [2, 3]
    assert resumed.ctx.supernet.form.shape == (3,)
    assert same(weights(whole), weights(resumed))


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_a_draw_leaves_no_output_absent_and_follows_the_probabilities() -> None:
    task = Synthetic().adapt(NODE.inputs, NODE.outputs)
    ctx = context(NODE, task)
    ctx.generator.manual_seed(0)
    rates = {slot.id: [0.5, 0.25, 0.25] for slot in NODE.slots}
    draws = [ctx.draw(rates) for _ in range(400)]
    assert all(ctx.supernet.complete(draw) for draw in draws)
    assert not ctx.supernet.complete(dict.fromkeys(rates, 0))
    absent = sum(draw[slot] == 0 for draw in draws for slot in rates) / (400 * len(rates))
    expected = (0.5 - 1 / 8) / (1 - 1 / 8)
    assert absent == pytest.approx(expected, abs=0.04)


def test_a_draw_in_vain_takes_what_is_derived() -> None:
    ctx = context(NODE, Synthetic().adapt(NODE.inputs, NODE.outputs))
    found = ctx.draw({slot.id: [1.0, 0.0, 0.0] for slot in NODE.slots})
    assert sorted(found.values()) == [0, 1, 1]


def test_picks_are_the_edges_into_one_node() -> None:
    assert context(NODE, Synthetic().adapt(NODE.inputs, NODE.outputs)).picks == (tuple(s.id for s in NODE.slots),)
    assert context().picks == ()


class TestScope:
    def test_dropped_candidates_have_no_probability_and_do_not_run(self) -> None:
        ctx = context()
        scope = ctx.scope()
        logits = {A: torch.tensor([1.0, 2.0, 3.0], requires_grad=True), B: torch.zeros(3, requires_grad=True)}
        assert torch.equal(scope.softmax(logits)[A], logits[A].softmax(0))
        scope.drop(A, 1)
        found = scope.softmax(logits)
        torch.testing.assert_close(found[A].detach(), torch.tensor([1.0, -torch.inf, 3.0]).softmax(0))
        batch = ctx.stream("weights", "w").batch(0, 0)
        out = ctx.forward(batch, scope.mask(found))
        soft = ctx.forward(batch, found)
        torch.testing.assert_close(out.prediction, soft.prediction)
        ctx.loss(out, batch).backward()
        grads = {name: p.grad is not None for name, p in ctx.supernet.named_parameters()}
        assert not any(has for name, has in grads.items() if name.startswith("block_0.lin_0"))
        assert any(has for name, has in grads.items() if name.startswith("block_1.lin_0"))
        assert logits[A].grad is not None
        assert float(logits[A].grad[1]) == 0.0

    def test_the_last_candidate_stays(self) -> None:
        scope = context().scope()
        scope.keep(A, [2])
        with pytest.raises(ValueError, match="no candidate left"):
            scope.drop(A, 2)
        with pytest.raises(ValueError, match="not in the search"):
            scope.drop(A, 0)
        with pytest.raises(ValueError, match="not in the search"):
            scope.keep(A, [0, 2])
        scope.widen(A, [0])
        assert scope[A] == (0, 2)
        with pytest.raises(ValueError, match="has 3 candidates"):
            scope.widen(A, [3])

    def test_its_state_comes_back(self) -> None:
        scope, other = context().scope(), context().scope()
        scope.keep(B, [0, 1])
        other.load_state_dict(scope.state_dict())
        assert dict(other) == dict(scope) == {A: (0, 1, 2), B: (0, 1)}


LIMITED = spacec.loads("""
space limited(width = 4)
input  x: [width]
output y: [2]
def block = skip: identity | lin: linear(width) | two: linear(2 * width) >> linear(width)
net = block * 2 >> linear(2)
where params >= 40
""")


def test_what_is_left_of_a_scope_is_valid_or_said_to_be_nothing() -> None:
    ctx = context(LIMITED)
    scope = ctx.scope()
    found = ctx.within(scope)
    assert found is not None
    one, other = (slot.id for slot in LIMITED.slots)
    scope.keep(one, [0])
    found = ctx.within(scope)
    assert found is not None
    assert (found[one], found[other]) == (0, 2)
    scope.drop(other, 2)
    assert ctx.within(scope) is None


def test_elements_that_a_pick_can_leave_out_need_no_absent() -> None:
    ctx = context(NODE)
    scope = ctx.scope()
    for slot in NODE.slots:
        scope.keep(slot.id, [1])
    found = ctx.within(scope)
    assert found is not None
    assert found.text().endswith("cell=0+1,lin,lin")
    scope = ctx.scope()
    scope.keep(NODE.slots[0].id, [0])
    found = ctx.within(scope)
    assert found is not None
    assert ":cell=1+2," in found.text()
    scope.keep(NODE.slots[1].id, [0])
    assert ctx.within(scope) is None


def test_a_search_too_short_for_architecture_steps_says_so() -> None:
    told: list[str] = []
    for arch_from in (3, 4):
        config = SearchConfig(epochs=4, steps=1, arch_from=arch_from)
        search(SPACE, SingleLevel(), TASK, config, progress=lambda now: told.append(now.message))
    assert [text for text in told if text.startswith("note")] == [
        "note: architecture steps begin with epoch 5, the search has 4; nothing is learnt but weights (-o arch_from=0)"
    ]


def test_the_reason_for_stopping_is_told() -> None:
    told: list[str] = []
    strategy = Course(lambda s, epoch: s.ctx.stop("enough") if epoch == 1 else None)
    search(SPACE, strategy, TASK, CONFIG, progress=lambda now: told.append(now.message))
    assert "stopped after epoch 2: enough" in told


@pytest.mark.parametrize("rates", [[float("nan"), 0.5, 0.5], [float("inf"), 0.0, 0.0], [-1.0, 1.0, 1.0], [0.0] * 3])
def test_a_draw_by_no_probabilities_is_a_diagnostic(rates: list[float]) -> None:
    ctx = context(NODE, Synthetic().adapt(NODE.inputs, NODE.outputs))
    with pytest.raises(SpacecError, match="E0607"):
        ctx.draw({slot.id: rates for slot in NODE.slots})


def test_resuming_removes_what_a_killed_writer_left(tmp_path: File) -> None:
    out = tmp_path / "run"
    search(SPACE, Course(lambda s, e: None), TASK, CONFIG, out)
    (out / ".checkpoint.pt.abcd1234.part").write_bytes(b"half")
    (out / ".note").write_text("the user's own")
    search(SPACE, Course(lambda s, e: None), TASK, CONFIG, out, resume=True)
    assert [p.name for p in out.glob(".*")] == [".note"]
