"""EoiNAS: importance by hand, what a stage drops and when, its gradient, and that a search resumes across a drop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from spacec_eoinas.eoinas import EoiNAS
from spacec_eoinas.importance import Scores, Tally
from torch import nn

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.hooks import StrategyDescriptor
from spacec.lower.masks import OneHot
from spacec.search.config import strategy_config
from spacec.search.context import MAIN, SearchContext
from spacec.search.record import NullRecorder, RunStore
from spacec.search.runner import search
from spacec.search.strategy import StepReport
from spacec.search.task import Batch, Metric
from spacec.search.trainer import TrainConfig
from spacec.space.derive import slots_of
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

POINTS = """
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(classes)
"""
SPACE = spacec.loads(POINTS)
LIMITED = spacec.loads(POINTS + "where params >= 50\n")
WIDE = spacec.loads("""
space wide(width = 4, classes = 3)
input  x: [width]
output logits: [classes]
def block = a: identity | b: relu | c: tanh | d: swish | e: gelu | f: elu | g: sigmoid | h: relu6
net = block >> linear(classes)
""")
A, B = (slot.id for slot in SPACE.slots)


def started(space: spacec.Space, options: Mapping[str, object] | None = None, **config: Any) -> EoiNAS:
    strategy = EoiNAS(options)
    task = Synthetic().adapt(space.inputs, space.outputs)
    settings = strategy_config(EoiNAS.config, config)
    ctx = SearchContext(space, task, settings, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN, strategy.supernet_options())
    strategy.setup(ctx)
    return strategy


def batches(strategy: EoiNAS) -> tuple[Batch, Batch]:
    first, second = (strategy.ctx.stream(name, name).batch(0, 0) for name in ("weights", "arch"))
    return first, second


def test_importance_is_probability_and_accuracy_over_training() -> None:
    tally = Tally(SPACE.slots)
    for k in (0, 1, 1, 1):
        tally.trained({A: k, B: 2})
    tally.rated({A: 1, B: 0}, 0.9)
    tally.rated({A: 1, B: 2}, 0.6)
    assert tally.importance(A, [0.2, 0.3, 0.5], 0.5) == pytest.approx([0.2, 0.3 + 0.5 * 0.6 / 3, 0.5])
    assert tally.importance(B, [0.2, 0.3, 0.5], 0.5) == pytest.approx([0.2 + 0.5 * 0.9, 0.3, 0.5 + 0.5 * 0.6 / 4])
    tally.restart()
    assert tally.importance(A, [0.2, 0.3, 0.5], 0.5) == pytest.approx([0.2, 0.3 + 0.5 * 0.6, 0.5])


def test_scores_lie_between_zero_and_one_for_any_metric() -> None:
    assert Scores(Metric("accuracy", "max", bounds=(0.0, 1.0))).score(0.7) == 0.7
    assert Scores(Metric("error", "min", bounds=(0.0, 100.0))).score(30.0) == pytest.approx(0.7)
    values = [3.0, -1.0, 5.0, 5.0, 0.0]
    loss, other = Scores(Metric("mse", "min")), Scores(Metric("decibels", "max"))
    found = [loss.score(v) for v in values]
    assert found == [0.5, 0.75, pytest.approx(1 / 6), 0.25, 0.7]
    assert [other.score(-7.0 * v + 2.0) for v in values] == found
    loss.restart()
    assert loss.score(100.0) == 0.5


def test_counts_and_scores_are_those_of_the_paths_that_ran() -> None:
    """The tally of a search against what its masks and its architecture steps say."""
    trained = {slot: [0, 0, 0] for slot in (A, B)}
    rated: dict[str, dict[int, float]] = {A: {}, B: {}}

    class Watched(EoiNAS):
        def after_backward(self, report: StepReport) -> Mapping[str, float] | None:
            (path,) = report.paths
            assert path.mask is not None
            if self.ctx.epoch >= 1:
                for slot in (A, B):
                    trained[slot][path.mask[slot]] += 1
            return None

        def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float]:
            values = super().arch_step(train_batch, val_batch)
            ran = [k for k, p in enumerate(self.logits.parameters()) if p.grad is not None]
            assert ran == [0, 1]
            for slot in (A, B):
                changed = [k for k in range(3) if self.tally.scores[slot][k] == values["arch_score"]]
                rated[slot].update(dict.fromkeys(changed, values["arch_score"]))
            return values

    strategy = Watched({"stage": 10})
    config = strategy_config(EoiNAS.config, {"epochs": 3, "steps": 5, "arch_from": 1})
    search(SPACE, strategy, _Accuracy(), config)
    assert strategy.tally.counts == trained
    assert sum(trained[A]) == 10
    for slot in (A, B):
        assert {k: s for k, s in enumerate(strategy.tally.scores[slot]) if s} == {
            k: s for k, s in rated[slot].items() if s
        }


class _Accuracy(Synthetic):
    """The made-up task, where it says that its score is an accuracy."""

    metrics = (Metric("score", "max", bounds=(0.0, 1.0)),)

    def adapt(self, inputs: Any, outputs: Any) -> _Accuracy:
        task = _Accuracy(self.options)
        task._ports = super().adapt(inputs, outputs)._ports
        return task


def test_a_candidate_goes_after_every_twentieth_epoch_from_39_on() -> None:
    strategy = started(WIDE)
    (slot,) = strategy.scope
    sizes = {}
    for epoch in range(160):
        strategy.ctx.epoch = epoch
        before = len(strategy.scope[slot])
        strategy.on_epoch_end(epoch, {})
        if len(strategy.scope[slot]) < before:
            sizes[epoch] = len(strategy.scope[slot])
    assert sizes == dict(zip(range(39, 160, 20), (7, 6, 5, 4, 3, 2, 1), strict=True))


def test_the_least_important_goes_and_a_new_stage_begins() -> None:
    strategy = started(SPACE)
    train, val = batches(strategy)
    strategy.ctx.epoch = 25
    for _ in range(4):
        strategy.masks(0)
        strategy.arch_step(train, val)
    for slot, values in ((A, [0.0, 1.0, -1.0]), (B, [-1.0, 0.0, 1.0])):
        strategy.logits[slot].data = torch.tensor(values)
    strategy.tally.scores = {A: [0.0, 0.0, 1.0], B: [0.0, 0.0, 0.0]}
    strategy.tally.counts = {A: [5, 5, 1], B: [5, 5, 5]}
    optimizer = strategy.arch_optimizer
    assert optimizer.state
    strategy.on_epoch_end(39, {})
    assert strategy.scope[A] == (1, 2)
    assert strategy.scope[B] == (1, 2)
    p = strategy.weights()[A].detach()
    assert p[0] == 0
    torch.testing.assert_close(p[1:], torch.tensor([1.0, -1.0]).softmax(0))
    assert strategy.tally.counts == {A: [0, 0, 0], B: [0, 0, 0]}
    assert strategy.tally.scores[A] == [0.0, 0.0, 1.0]
    assert strategy.arch_optimizer is not optimizer
    assert not strategy.arch_optimizer.state


def test_dropped_candidates_are_not_drawn_nor_trained() -> None:
    strategy = started(SPACE, {"skip_dropout": 0})
    strategy.scope.keep(A, [0])
    strategy.scope.keep(B, [0, 2])
    before = {k: v.clone() for k, v in strategy.ctx.supernet.named_parameters()}
    train, val = batches(strategy)
    for step in range(12):
        (path,) = strategy.masks(step)
        assert path.mask is not None
        assert path.mask[A] == 0
        assert path.mask[B] in (0, 2)
        strategy.ctx.loss(strategy.ctx.forward(train, path.mask), train).backward()
        strategy.ctx.optimizer.step()
        strategy.arch_step(train, val)
    moved = {k for k, v in strategy.ctx.supernet.named_parameters() if not torch.equal(v, before[k])}
    assert not [k for k in moved if "lin_0" in k or (k.startswith("block_0") and "norm" in k)]
    assert [k for k in moved if k.startswith("block_1.norm")]


def test_the_gradient_is_that_of_the_gumbel_softmax_over_what_is_left() -> None:
    strategy = started(SPACE, {"skip_dropout": 0}, arch_from=0)
    strategy.ctx.supernet.double()
    strategy.scope.drop(B, 1)
    for p in strategy.logits.parameters():
        p.data = torch.tensor([0.4, -0.3, 0.2], dtype=torch.float64)
    _, val = (Batch({k: v.double() for k, v in b.inputs.items()}, b.targets) for b in batches(strategy))
    noted: list[Any] = []
    forward = strategy.ctx.forward

    def spy(batch: Batch, mask: Any, **how: Any) -> Any:
        noted.append(mask)
        return forward(batch, mask, **how)

    strategy.ctx.forward = spy  # type: ignore[method-assign]  # to see the mask that it is given
    total, _ = strategy.architecture_loss(val, None)
    found = torch.autograd.grad(total, strategy.logits.parameters(), retain_graph=True)
    leaves = {s: m.weights.detach().clone().requires_grad_() for s, m in noted[0].items()}
    loss = strategy.ctx.loss(forward(val, {s: OneHot(z) for s, z in leaves.items()}), val)
    dz = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
    for slot, g in zip(strategy.logits, found, strict=True):
        (k,) = leaves[slot].detach().nonzero().flatten().tolist()
        left = list(strategy.scope[slot])
        (h,) = torch.autograd.grad(noted[0][slot].weights[k], strategy.logits[slot], retain_graph=True)
        torch.testing.assert_close(g, dz[slot][k] * h)
        outside = [j for j in range(3) if j not in left]
        assert bool((g[outside] == 0).all())
        torch.testing.assert_close(h.sum(), h.new_zeros(()), atol=1e-12, rtol=0)


def test_a_constraint_keeps_what_it_needs() -> None:
    """At least 50 weights: not both blocks may skip, nor one beside `lin`, so `skip` goes though it is likely."""
    strategy = started(LIMITED, arch_from=0)
    assert not LIMITED.violated(strategy.derive())
    for slot in (A, B):
        strategy.logits[slot].data = torch.tensor([5.0, 0.0, -5.0])
    for epoch in (19, 39, 59):
        strategy.on_epoch_end(epoch, {})
        found = strategy.derive()
        assert not LIMITED.violated(found)
        assert all(k is None or k in strategy.scope[s] for s, k in slots_of(LIMITED.table, found).items())
    assert {strategy.scope[A], strategy.scope[B]} != {(0,)}
    assert all(len(left) == 1 for left in strategy.scope.values())


def test_temperature_and_skip_dropout_fall() -> None:
    strategy = started(SPACE)
    seen = []
    for epoch in (0, 20, 21, 80):
        strategy.ctx.epoch = epoch
        strategy.on_epoch(epoch)
        rates = {m.p for m in strategy.ctx.supernet.modules() if isinstance(m, nn.Dropout)}
        seen.append((strategy.heat, *rates))
    assert seen[0] == (5.0, 0.1)
    assert seen[1] == (5.0, pytest.approx(0.1 * (1 - 20 / 160)))
    assert seen[2][0] == pytest.approx(5.0 * 0.965)
    assert seen[3] == (pytest.approx(5.0 * 0.965**60), pytest.approx(0.05))
    assert not [m for m in started(SPACE, {"skip_dropout": 0}).ctx.supernet.modules() if isinstance(m, nn.Dropout)]


def test_drops_are_recorded_and_the_report_draws_the_trajectories(tmp_path: Path) -> None:
    config = strategy_config(EoiNAS.config, {"epochs": 3, "steps": 2, "arch_from": 0})
    search(SPACE, EoiNAS({"stage": 1}), Synthetic(), config, tmp_path / "run")
    with RunStore(tmp_path / "run" / "run.sqlite") as store:
        (run,) = store.export()["runs"]
    rows = [r for r in run["probabilities"] if r["slot"] == A]
    zeros: list[int] = [sum(p == 0 for p in row["values"]) for row in rows]
    assert zeros == [0, 1, 2]
    assert sum(event["kind"] == "candidates dropped" for event in run["events"]) == 3


@pytest.mark.parametrize(("name", "config"), [("enas_macro", {"epochs": 3}), ("tabular", {"epochs": 4})])
def test_it_conforms(name: str, config: dict[str, object]) -> None:
    grammar = Path(__file__).resolve().parents[3] / "grammars" / f"{name}.space"
    conformance.require(spacec.load(grammar, preset="tiny"), EoiNAS, config=config)


def test_the_papers_settings_are_the_defaults() -> None:
    config, options = strategy_config(EoiNAS.config), EoiNAS().options
    assert (config.epochs, config.arch_from) == (160, 20)
    assert (options.arch_lr, options.arch_weight_decay, options.importance) == (6e-4, 1e-3, 0.5)
    assert (options.tau, options.tau_decay, options.stage, options.skip_dropout) == (5.0, 0.965, 20, 0.1)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(SpacecError) as caught:
        EoiNAS({"stage": "0", "tau_decay": "1.5", "keep": "1"})
    assert sorted(d.code for d in caught.value.diagnostics) == ["E0701", "E0703", "E0703"]


def test_the_descriptor_names_the_class() -> None:
    import spacec_eoinas

    found = {d.name: d for d in spacec_eoinas.spacec_strategies()}
    assert isinstance(found["eoinas"], StrategyDescriptor)
    assert found["eoinas"].load() is EoiNAS
