"""RobustDARTS: the criterion against the released code's order of events, early stopping, going back, resuming."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from spacec_darts.strategy import DARTS
from spacec_robust_darts.criterion import Criterion
from spacec_robust_darts.strategy import RobustDARTS
from torch import Tensor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.lower.modules import DropPath
from spacec.search.config import SearchConfig, strategy_config
from spacec.search.context import SearchContext
from spacec.search.progress import Progress
from spacec.search.record import RunStore
from spacec.search.runner import SearchResult, search
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(classes)
""")
CELLS = spacec.loads("""
space cells(width = 4)
input  x: [width]
output y: [3]
default pick(absent = 1)
let cell(_) = dag(a) { return sum(pick 1 from [a, a >> relu]: lin: linear(width) >> tanh | skip: identity) }
net = cell(0) >> cell(1) >> linear(3)
""")
TASK = Synthetic().adapt(SPACE.inputs, SPACE.outputs)


# the criterion


def brute_force(values: Sequence[float], window: int, delta: int, factor: float, start: int) -> tuple[int, int] | None:
    """The epoch of the first verdict and the epoch kept: means of windows laid out one by one around their centres."""
    half = window // 2
    means: dict[int, float] = {}
    for epoch in range(len(values)):
        seen = values[: epoch + 1]
        centre = epoch - half
        means[centre] = sum(seen[-window:]) / len(seen[-window:])
        if centre - delta >= start and means[centre] / means[centre - delta] > factor:
            return epoch, centre - delta
    return None


def first_verdict(values: Sequence[float], criterion: Criterion) -> tuple[int, int] | None:
    for n in range(1, len(values) + 1):
        if criterion.growth(values[:n]):
            kept = criterion.kept(n - 1)
            assert kept is not None
            return n - 1, kept
    return None


def test_the_criterion_on_hand_written_series() -> None:
    criterion = Criterion()
    flat, step = [0.2] * 40, [0.2] * 20 + [0.4] * 20
    assert first_verdict(flat, criterion) is None
    # a window of five with two values of 0.4 has the mean 0.28 = 1.4 * 0.2: epoch 21, centre 19, kept 15
    assert first_verdict(step, criterion) == (21, 15)
    early = [0.1] * 5 + [1.0] * 35
    assert first_verdict(early, criterion) is None, "what grew before epoch 10 is over when epochs may be kept"
    assert first_verdict([0.1 * 1.05**i for i in range(40)], criterion) is None, "1.05^4 = 1.22"
    # 1.08^4 = 1.36; the first epoch whose kept one is 10 is 10 + 4 + 2
    assert first_verdict([0.1 * 1.08**i for i in range(40)], criterion) == (16, 10)


@pytest.mark.parametrize(("window", "delta", "start"), list(product((1, 2, 4, 5), (1, 4), (0, 3, 10))))
def test_the_criterion_is_the_brute_force_one(window: int, delta: int, start: int) -> None:
    rng = random.Random(window * 100 + delta * 10 + start)
    for _ in range(60):
        values = [rng.uniform(0.05, 0.5) for _ in range(30)]
        factor = rng.choice((1.0, 1.3, 2.0, 4.0))
        expected = brute_force(values, window, delta, factor, start)
        assert first_verdict(values, Criterion(window, delta, factor, start)) == expected


def test_averages_that_are_not_positive_tell_nothing() -> None:
    criterion = Criterion(window=1, delta=1, factor=1.3, start=0)
    assert criterion.growth([-1.0, -2.0]) == 0.0
    assert criterion.growth([0.0, 1.0]) == 0.0
    assert criterion.growth([-1.0, 1.0]) == 0.0
    assert criterion.growth([1.0, 2.0]) == 2.0
    assert criterion.growth([1.0, 2.0], earliest=1) == 0.0


# the strategy


class Scripted(RobustDARTS):
    """The eigenvalue after epoch i of attempt k is ``series[k][i]``."""

    def __init__(self, series: Sequence[Sequence[float]], options: Mapping[str, object]) -> None:
        super().__init__({"window": 1, "delta": 2, "start": 1, "order": 1, "arch_lr": 0.1, **options})
        self.series = series
        self.epochs: list[int] = []
        self.by_epoch: dict[tuple[int, int], dict[str, Tensor]] = {}

    def attempt(self) -> int:
        steps = (3e-4, 9e-4, 27e-4, 81e-4, 243e-4)
        return min(range(5), key=lambda i: abs(steps[i] - self.decay))

    def diagnostics(self, ctx: SearchContext) -> Mapping[str, float]:
        self.epochs.append(ctx.epoch)
        self.by_epoch[self.attempt(), ctx.epoch] = self.logits.state_dict()
        return {"eigenvalue": self.series[self.attempt()][ctx.epoch]}


def run(strategy: Scripted, out: Path | None = None, space: Any = SPACE, **more: Any) -> SearchResult:
    config = strategy_config(strategy.config, {"epochs": 8, "steps": 2, "batch_size": 8})
    return search(space, strategy, TASK, config, out, **more)


def weights(result: SearchResult) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in result.context.supernet.state_dict().items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(t, b[k]) for k, t in a.items())


RISE = [0.1, 0.1, 0.1, 0.1, 0.1, 1.0, 1.0, 1.0]
"""With window 1 and delta 2: met after epoch 5, which keeps epoch 3."""
FLAT = [0.1] * 8


def events(out: Path, kind: str) -> list[dict[str, Any]]:
    with RunStore(out / "run.sqlite") as store:
        (row,) = store.runs()
        return [e for e in store.events(row["id"]) if e["kind"] == kind]


def test_early_stopping_derives_the_architecture_before_the_growth(tmp_path: Path) -> None:
    strategy = Scripted([RISE], {"mode": "es"})
    result = run(strategy, tmp_path / "run")
    assert strategy.epochs == [0, 1, 2, 3, 4, 5]
    assert same(strategy.logits.state_dict(), strategy.by_epoch[0, 3])
    kept = {slot: t.softmax(0).tolist() for slot, t in strategy.by_epoch[0, 3].items()}
    assert result.architecture == SPACE.derive(kept)
    (event,) = events(tmp_path / "run", "stopped")
    assert "grew 10 times in 2 epochs: architecture of epoch 3" in event["message"]


@pytest.mark.parametrize("series", [FLAT, [0.1] * 7 + [1.0]])
def test_a_search_that_never_meets_the_criterion_before_its_last_epoch_runs_on(series: list[float]) -> None:
    strategy = Scripted([series], {"mode": "es"})
    run(strategy)
    assert strategy.epochs == list(range(8))
    assert same(strategy.logits.state_dict(), strategy.by_epoch[0, 7])


def test_only_watching_never_stops() -> None:
    strategy = Scripted([RISE], {"mode": "none"})
    run(strategy)
    assert strategy.epochs == list(range(8))
    assert strategy.past == {}


def test_adaptive_regularisation_goes_back_and_on_with_more_decay(tmp_path: Path) -> None:
    strategy = Scripted([RISE, FLAT], {"mode": "ada"})
    result = run(strategy, tmp_path / "run")
    assert strategy.epochs == [0, 1, 2, 3, 4, 5, 4, 5, 6, 7]
    assert not same(strategy.by_epoch[0, 5], strategy.by_epoch[1, 5]), "another weight decay, another course"
    assert [g["weight_decay"] for g in result.context.optimizer.param_groups] == [pytest.approx(9e-4)]
    assert strategy.eigenvalues == FLAT
    (event,) = events(tmp_path / "run", "rewound")
    assert "weight decay 0.0009" in event["message"]
    assert {"from": 5, "to": 3}.items() <= event["data"].items()


def test_what_follows_is_a_search_that_had_that_decay_from_there_on() -> None:
    """Epochs 0 to 3 with decay 3e-4, the others with 9e-4, in one piece."""

    class Stepped(Scripted):
        def on_epoch(self, epoch: int) -> None:
            super().on_epoch(epoch)
            if epoch == 4:
                self.ctx.optimizer.param_groups[0]["weight_decay"] = self.ctx.config.weight_decay * 3

    ada, whole = Scripted([RISE, FLAT], {"mode": "ada"}), Stepped([FLAT], {"mode": "none"})
    assert same(weights(run(ada)), weights(run(whole)))
    assert same(ada.logits.state_dict(), whole.logits.state_dict())


def test_the_decay_grows_up_to_its_largest_and_then_the_search_runs_on() -> None:
    strategy = Scripted([RISE] * 5, {"mode": "ada"})
    result = run(strategy)
    assert strategy.epochs == [0, 1, 2, 3, 4, 5, *[4, 5] * 4, 6, 7]
    assert result.context.optimizer.param_groups[0]["weight_decay"] == pytest.approx(0.0243)
    assert result.context.optimizer.param_groups[0]["weight_decay"] == strategy.decay


def test_no_epoch_before_the_restart_is_kept() -> None:
    """In the second attempt growth from epoch 2 to 4 would keep epoch 2; the search has gone back to 3."""
    strategy = Scripted([RISE, [0.1, 0.1, 0.1, 0.1, 1.0, 1.0, 1.0, 1.0], FLAT], {"mode": "ada"})
    run(strategy)
    assert strategy.epochs == [0, 1, 2, 3, 4, 5, 4, 5, 4, 5, 6, 7]


def test_drop_path_is_raised_where_that_is_the_regulariser() -> None:
    class Watched(Scripted):
        rates: list[float]

        def attempt(self) -> int:
            return round((self.drop_path - 0.2) / 0.2)

        def on_epoch(self, epoch: int) -> None:
            super().on_epoch(epoch)
            (rate,) = {m.rate for m in self.ctx.supernet.modules() if isinstance(m, DropPath)}
            self.rates = [*getattr(self, "rates", []), rate]

    strategy = Watched([RISE, RISE, RISE], {"mode": "ada", "regulariser": "drop-path"})
    result = run(strategy, space=CELLS)
    assert strategy.epochs == [0, 1, 2, 3, 4, 5, 4, 5, 4, 5, 6, 7]
    assert strategy.rates[4] == pytest.approx(0.1)
    assert strategy.rates[-1] == pytest.approx(0.6 * 7 / 8)
    assert result.context.optimizer.param_groups[0]["weight_decay"] == 3e-4


class Cut(Exception):
    """The machine goes away."""


@pytest.mark.parametrize(("mode", "after"), [("es", 4), ("es", 6), ("ada", 4), ("ada", 6), ("ada", 8)])
def test_a_resumed_search_reaches_the_same_bits(tmp_path: Path, mode: str, after: int) -> None:
    """Cut in the step after the ``after``-th finished epoch (of attempts in order): before, at and after the growth."""

    def cut(seen: list[int]) -> Any:
        def progress(p: Progress) -> None:
            if p.phase == "search":
                seen.append(p.step)
            if len(seen) > 2 * after:
                raise Cut

        return progress

    series = [RISE, FLAT]
    whole = Scripted(series, {"mode": mode})
    expected = run(whole)
    out = tmp_path / "run"
    with suppress(Cut):
        run(Scripted(series, {"mode": mode}), out, progress=cut([]))
    again = Scripted(series, {"mode": mode})
    found = run(again, out, resume=True)
    assert found.architecture == expected.architecture
    assert same(weights(found), weights(expected))
    assert same(again.logits.state_dict(), whole.logits.state_dict())
    assert again.eigenvalues == whole.eigenvalues
    assert (again.decay, again.earliest) == (whole.decay, whole.earliest)


def test_the_eigenvalue_is_that_of_the_explicit_hessian(tmp_path: Path) -> None:
    class Checked(RobustDARTS):
        found: list[tuple[float, float]]

        def diagnostics(self, ctx: SearchContext) -> Mapping[str, float]:
            values = super().diagnostics(ctx)
            leaves = self.arch_parameters()
            with ctx.statistics_kept():
                gradient = torch.cat(torch.autograd.grad(self._validation_loss(), leaves, create_graph=True))
                rows = [torch.cat(torch.autograd.grad(g, leaves, retain_graph=True)) for g in gradient]
            largest = float(torch.linalg.eigvalsh(torch.stack(rows).double()).max())
            self.found = [*getattr(self, "found", []), (values["eigenvalue"], largest)]
            return values

    for decay in (False, True):
        strategy = Checked({"hessian_decay": decay, "tolerance": 1e-7})
        search(SPACE, strategy, TASK, SearchConfig(epochs=2, steps=2))
        for value, largest in strategy.found:
            assert value == pytest.approx(largest, rel=1e-3, abs=1e-7)
            assert value > (1e-3 if decay else 0.0)


def test_watching_changes_nothing() -> None:
    """``mode=none`` ends in the bits of second-order DARTS."""
    config = SearchConfig(epochs=3, steps=2)
    watched = search(SPACE, RobustDARTS({"mode": "none"}), TASK, config)
    plain = search(SPACE, DARTS({"order": 2}), TASK, config)
    assert same(weights(watched), weights(plain))
    assert watched.architecture == plain.architecture


def test_the_papers_settings_are_the_defaults() -> None:
    config, options = strategy_config(RobustDARTS.config), RobustDARTS().options
    assert (config.epochs, config.batch_size, config.drop_path, config.weight_decay) == (50, 64, 0.2, 3e-4)
    assert (options.order, options.mode, options.which) == (2, "es", "largest")
    assert (options.window, options.delta, options.factor, options.start) == (5, 4, 1.3, 10)
    assert (options.decay_factor, options.decay_max) == (3.0, 0.0243)


@pytest.mark.parametrize("space", [SPACE, CELLS])
@pytest.mark.parametrize("mode", ["es", "ada"])
def test_it_conforms_also_through_the_criterion(space: Any, mode: str) -> None:
    conformance.require(space, RobustDARTS, {**RobustDARTS.tiny, "mode": mode}, {"epochs": 4, "steps": 2})


def test_a_wrong_mode_says_what_is_allowed() -> None:
    with pytest.raises(SpacecError, match="mode"):
        RobustDARTS({"mode": "later"})


def test_the_descriptor_names_the_class() -> None:
    import spacec_robust_darts

    (descriptor,) = spacec_robust_darts.spacec_strategies()
    assert descriptor.load() is RobustDARTS
    assert (descriptor.name, descriptor.help) == (RobustDARTS.name, RobustDARTS.help)
