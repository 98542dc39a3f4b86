"""The Hessian probe against the explicit Hessian in a strategy's own logits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from spacec_probes.hessian import Hessian, mixed, soft_logits
from torch import Tensor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.gradient import GradientStrategy
from spacec.search.probe import INIT
from spacec.search.record import NullRecorder
from spacec.search.runner import search
from spacec.search.strategy import Strategy
from spacec.search.trainer import TrainConfig
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(classes)
""")
SIZED = spacec.loads("""
space packed(C = 4)
input  x: [4, 6, 6]
output y: [4, 6, 6]
net = dag(x) {
  e = pick 1..3 from v in 0..2: v
  return concat(from v in e: x >> conv(3, (3 + len(e[v..])) // len(e)) >> bn) >> conv(1, 4)
}
""")
TASK = Synthetic().adapt(SPACE.inputs, SPACE.outputs)
A, B = "net.block[0]", "net.block[1]"


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Plain(GradientStrategy):
    name = "plain"


class Given(Strategy):
    """A strategy with the probabilities given."""

    name = "given"

    def __init__(self, found: Mapping[str, Sequence[float]]) -> None:
        super().__init__()
        self.found = found

    def probabilities(self) -> Mapping[str, Sequence[float]]:
        return self.found

    def derive(self) -> Any:
        return SPACE.sample(1)[0]


def started(strategy: Strategy, **options: object) -> Hessian:
    ctx = SearchContext(SPACE, TASK, SearchConfig(), TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN)
    strategy.setup(ctx)
    probe = Hessian({"tolerance": 1e-10, **options})
    probe.setup(ctx, strategy)
    return probe


def explicit(probe: Hessian, leaves: list[Tensor], weights: Any) -> Tensor:
    """Eigenvalues of the Hessian, row by row, on the probe's batch."""
    (batch,) = probe.batches("arch", 1, INIT)
    loss = probe.ctx.loss(probe.ctx.forward(batch, weights()), batch)
    gradient = torch.cat(torch.autograd.grad(loss, leaves, create_graph=True))
    rows = [torch.cat(torch.autograd.grad(g, leaves, retain_graph=True)) for g in gradient]
    return torch.linalg.eigvalsh(torch.stack(rows))


@pytest.mark.parametrize("which", ["largest", "magnitude"])
def test_it_is_the_eigenvalue_in_the_strategys_own_logits(which: str) -> None:
    strategy = Plain({"arch_init": 1.0})
    probe = started(strategy, which=which)
    with torch.no_grad():
        strategy.logits[A].add_(3.0)  # a constant moves no probability
    reading: Any = probe.on_epoch_end(INIT)
    values = explicit(probe, list(strategy.logits.parameters()), strategy.weights)
    expected = values.max() if which == "largest" else values[values.abs().argmax()]
    assert reading["eigenvalue"] == pytest.approx(float(expected), rel=1e-8)
    assert reading["exact"] == 1.0
    assert reading["products"] <= 6


def test_a_dropped_candidate_has_no_part_in_it() -> None:
    probe = started(Given({A: [0.0, 0.7, 0.3], B: [0.2, 0.5, 0.3]}))
    two = torch.tensor([0.7, 0.3]).log().requires_grad_()
    three = torch.tensor([0.2, 0.5, 0.3]).log().requires_grad_()

    def weights() -> dict[str, Tensor]:
        return {A: torch.cat([torch.zeros(1), two.softmax(0)]), B: three.softmax(0)}

    reading: Any = probe.on_epoch_end(INIT)
    assert reading["eigenvalue"] == pytest.approx(float(explicit(probe, [two, three], weights).max()), rel=1e-8)


def test_slots_may_have_another_sum_than_one_and_none_at_all() -> None:
    mask = {A: torch.tensor([0.1, 0.3, 0.1]), B: torch.zeros(3), "c": 2}
    logits = soft_logits(mask)
    assert set(logits) == {A}
    torch.testing.assert_close(mixed(mask, logits), {A: mask[A]})
    reading: Any = started(Given({A: [0.1, 0.3, 0.1], B: [0.0, 1.0, 0.0]})).on_epoch_end(INIT)
    assert reading["eigenvalue"] > 0


def test_a_strategy_without_probabilities_has_the_uniform_masks(tmp_path: Path) -> None:
    class Bare(Strategy):
        name = "bare"

        def derive(self) -> Any:
            return SPACE.sample(1)[0]

    uniform = started(Bare()).on_epoch_end(INIT)
    given = started(Given({A: [1 / 3] * 3, B: [1 / 3] * 3})).on_epoch_end(INIT)
    assert uniform == given
    found = search(SPACE, Bare(), TASK, SearchConfig(epochs=1, steps=1), tmp_path / "run", probes=[Hessian()])
    assert found.architecture is not None


def test_a_space_without_mixtures_is_refused() -> None:
    task = Synthetic().adapt(SIZED.inputs, SIZED.outputs)
    with pytest.raises(SpacecError, match="no slot of it can be mixed"):
        search(SIZED, Given({}), task, SearchConfig(epochs=1), probes=[Hessian()])
