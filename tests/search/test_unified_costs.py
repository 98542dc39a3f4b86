"""Costs of candidates and edges (Xie, Hu et al., AISTATS 2021): what gate gradients must add up to.

The cost of candidate k of an edge is c_k = Z_k dL/dZ_k = <dL/dy_k, y_k> with y_k = Z_k O_k(x), that of the edge
C_e = sum_k c_k. The laws below need no training and hold for any mask Z. The space has two cells in a row, whose
outputs are read by ReLU-conv-norm (the next cell) and by pooling with a linear map without bias (the head); the edge
between the two nodes of a cell has no skip.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import spacec
from spacec.lower.masks import OneHot
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.gradient import GradientStrategy
from spacec.search.record import NullRecorder
from spacec.search.task import Batch
from spacec.search.trainer import TrainConfig
from spacec.testing.synthetic import Synthetic

TEXT = """
space cells(C = 3, classes = 3, eps = 1e-30, bias = 0)
input  image: [2, 6, 6]
output logits: [classes]
def normed = relu >> conv(3, C) >> bn(affine = 0, eps = eps)
def edge   = none: zero | skip: identity | conv: normed | pool: avg_pool(3)
def inner  = none: zero | conv: normed | point: relu >> conv(1, C) >> bn(affine = 0, eps = eps)
let cell = dag(s) {
  x = s >> normed
  a = x >> edge
  b = (x >> edge) + (a >> inner)
  return concat(a, b)
}
net = conv(3, C) >> cell * 2 >> global_pool >> linear(classes, bias = bias)
"""


def costs(mask: str, **header: object) -> tuple[dict[str, float], Tensor, Tensor]:
    """Edge costs by activation, and the logits and labels of the batch, under a mask of the kind named."""
    space = spacec.loads(TEXT, **header)
    net: Any = space.supernet(seed=0).double()
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(5, 2, 6, 6, dtype=torch.float64, generator=rng)
    labels = torch.tensor([0, 1, 2, 1, 0])
    logits = {s.id: torch.randn(s.size, dtype=torch.float64, generator=rng) for s in space.slots}
    chosen: dict[str, Any] = {s: a.softmax(0) for s, a in logits.items()}
    if mask == "one-hot":
        chosen = {s: OneHot(F.one_hot(a[1:].argmax() + 1, len(a)).double()) for s, a in logits.items()}
    out = net(x, chosen, gates=True)
    gradients = net.gate_gradients(F.cross_entropy(out.prediction, labels), out, per="instance")
    return {name: float((out.gates[name] * g).sum()) for name, g in gradients.items()}, out.prediction.detach(), labels


def loss_minus_entropy(z: Tensor, labels: Tensor) -> float:
    """``mean(CE - H(softmax z))``, which is ``mean(sum_j p_j z_j - z_y)``."""
    p = z.softmax(1)
    entropy = -(p * z.log_softmax(1)).sum(1).mean()
    return float(F.cross_entropy(z, labels) - entropy)


def of_cell(found: Mapping[str, float], cell: int) -> list[float]:
    return [cost for name, cost in found.items() if name.startswith(f"cell_{cell}.")]


@pytest.mark.parametrize("mask", ["soft", "one-hot"])
def test_the_costs_of_the_last_cells_edges_are_the_loss_minus_the_entropy(mask: str) -> None:
    """sum_e C_e = sum_j p_j z_j - z_y = loss - H(p): the head is linear without bias, the edge a-b scale-invariant."""
    found, z, labels = costs(mask)
    assert len(of_cell(found, 1)) == 3
    assert abs(loss_minus_entropy(z, labels)) > 1e-3
    assert sum(of_cell(found, 1)) == pytest.approx(loss_minus_entropy(z, labels), abs=1e-12)


@pytest.mark.parametrize("mask", ["soft", "one-hot"])
def test_edges_that_only_feed_normed_layers_cost_nothing_in_total(mask: str) -> None:
    """<dL/dx, x> = 0 where L(t x) = L(x) for t > 0 (Euler): the first cell's edges sum to zero, though none is zero."""
    found, _, _ = costs(mask)
    assert sum(of_cell(found, 0)) == pytest.approx(0.0, abs=1e-12)
    assert max(map(abs, of_cell(found, 0))) > 1e-4


def test_both_laws_hold_in_the_limit_of_a_norms_epsilon() -> None:
    """What is missing at eps > 0 is of its order."""
    gaps = []
    for eps in (1e-6, 1e-8):
        found, z, labels = costs("soft", eps=eps)
        gaps.append((abs(sum(of_cell(found, 0))), abs(sum(of_cell(found, 1)) - loss_minus_entropy(z, labels))))
    for large, small in zip(*gaps, strict=True):
        assert large / small == pytest.approx(100, rel=0.1)


def test_a_bias_of_the_head_takes_the_identity_away() -> None:
    found, z, labels = costs("soft", bias=1)
    assert abs(sum(of_cell(found, 1)) - loss_minus_entropy(z, labels)) > 1e-3


def test_a_correct_sample_costs_at_most_nothing() -> None:
    """-log p_max <= H(p): what a correctly classified sample adds to loss - entropy is never positive."""
    z = 3 * torch.randn(200, 4, generator=torch.Generator().manual_seed(1)).double()
    assert all(loss_minus_entropy(row[None], row.argmax()[None]) <= 1e-12 for row in z)
    assert loss_minus_entropy(z, z.argmin(1)) > 0


def test_the_gradient_of_darts_is_that_of_costs() -> None:
    """dL/dalpha_k = c_k - p_k C_e with Z = softmax(alpha), over both cells; *none* moves by -p_none C_e."""
    space = spacec.loads(TEXT)
    task = Synthetic().adapt(space.inputs, space.outputs)
    ctx = SearchContext(space, task, SearchConfig(), TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN).double()
    strategy = Darts({"arch_init": 1.0})
    strategy.setup(ctx)
    for logits in strategy.logits.parameters():
        logits.data = logits.data.double()
    batch = ctx.stream("arch", "t").batch(0, 0)
    batch = Batch({k: v.double() for k, v in batch.inputs.items()}, batch.targets)
    gradient, _ = strategy.architecture_gradient(batch, batch)
    p = {slot: w.detach() for slot, w in strategy.weights().items()}
    out: Any = ctx.forward(batch, p, gates=True)
    gates = ctx.supernet.gate_gradients(ctx.loss(out, batch), out)
    for (slot, gate), found in zip(sorted(gates.items()), _by_slot(strategy, gradient), strict=True):
        cost = p[slot] * gate
        assert found is not None
        torch.testing.assert_close(found, cost - p[slot] * cost.sum())
        torch.testing.assert_close(found[0], -p[slot][0] * cost.sum())


class Darts(GradientStrategy):
    name = "first-order"


def _by_slot(strategy: GradientStrategy, gradient: Any) -> list[Tensor]:
    return [g for _, g in sorted(zip(strategy.logits, gradient, strict=True))]
