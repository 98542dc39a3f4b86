"""The top eigenvalue against explicit matrices: hand-made ones, and the Hessian of a tiny space in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spacec.search.config import SearchConfig
from spacec.search.context import MAIN, SearchContext
from spacec.search.curvature import Eigenvalue, finite_product, lanczos, top_eigenvalue
from spacec.search.record import NullRecorder
from spacec.search.task import Batch
from spacec.search.trainer import TrainConfig
from tests.search.toy import SPACE, TASK


def symmetric(n: int, seed: int) -> Tensor:
    a = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return a + a.T


def wanted(values: Tensor, which: str) -> float:
    return float(values.max() if which == "largest" else values[values.abs().argmax()])


@pytest.mark.parametrize("which", ["largest", "magnitude"])
@pytest.mark.parametrize("shift", [-20.0, 0.0, 20.0])
def test_the_eigenvalue_of_a_matrix(which: Any, shift: float) -> None:
    for n in (1, 2, 7, 40):
        h = symmetric(n, n) + shift * torch.eye(n)
        found = lanczos(lambda v, h=h: h @ v, n, which, tolerance=1e-9)
        assert found.value == pytest.approx(wanted(torch.linalg.eigvalsh(h), which), rel=1e-9, abs=1e-9)
        assert found.products <= n


@pytest.mark.parametrize("products", [1, 3, 8, 20])
def test_a_bounded_number_of_products_keeps_the_stated_accuracy(products: int) -> None:
    h = symmetric(60, 3)
    values = torch.linalg.eigvalsh(h)
    calls = []
    found = lanczos(lambda v: calls.append(v) or h @ v, 60, tolerance=0.0, products=products)
    assert len(calls) == found.products == products
    assert float((values - found.value).abs().min()) <= found.residual + 1e-9
    assert values.min() <= found.value <= values.max() + 1e-9


def test_repeated_eigenvalues_and_no_curvature_end_early() -> None:
    same = lanczos(lambda v: -3.0 * v, 9)
    assert (same.value, same.products) == (pytest.approx(-3.0), 1)
    assert lanczos(torch.zeros_like, 9) == Eigenvalue(0.0, 0.0, 1)
    two = torch.diag(torch.tensor([5.0] * 6 + [1.0] * 6, dtype=torch.float64))
    found = lanczos(lambda v: two @ v, 12, tolerance=0.0)
    assert (found.value, found.products) == (pytest.approx(5.0), 2)


def started() -> tuple[SearchContext, list[Tensor], Callable[[], Tensor]]:
    """The toy space in double precision with logits away from zero, and its loss on a held-out batch."""
    ctx = SearchContext(SPACE, TASK, SearchConfig(), TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN).double()
    rng = torch.Generator().manual_seed(2)
    leaves = [torch.randn(s.size, dtype=torch.float64, generator=rng, requires_grad=True) for s in ctx.slots]
    batch = ctx.stream("arch", "v").batch(0, 0)
    batch = Batch({k: v.double() for k, v in batch.inputs.items()}, batch.targets)

    def loss() -> Tensor:
        mask = {s.id: a.softmax(0) for s, a in zip(ctx.slots, leaves, strict=True)}
        return ctx.loss(ctx.forward(batch, mask), batch)

    return ctx, leaves, loss


def explicit(loss: Callable[[], Tensor], leaves: list[Tensor]) -> Tensor:
    """Row by row, each the gradient of an entry of the gradient."""
    gradient = torch.cat(torch.autograd.grad(loss(), leaves, create_graph=True))
    rows = [torch.cat(torch.autograd.grad(g, leaves, retain_graph=True)) for g in gradient]
    return torch.stack(rows)


@pytest.mark.parametrize("which", ["largest", "magnitude"])
def test_it_is_that_of_the_explicit_hessian_of_a_space(which: Any) -> None:
    ctx, leaves, loss = started()
    h = explicit(loss, leaves)
    assert torch.allclose(h, h.T, atol=1e-12)
    found = top_eigenvalue(loss, leaves, which, tolerance=1e-10, module=ctx.supernet)
    assert found.exact
    assert found.value == pytest.approx(wanted(torch.linalg.eigvalsh(h), which), rel=1e-9)


def test_differences_of_gradients_come_near_the_exact_product() -> None:
    _, leaves, loss = started()
    v = symmetric(6, 1)[0]
    torch.testing.assert_close(finite_product(loss, leaves)(v), explicit(loss, leaves) @ v, rtol=1e-6, atol=1e-8)


def test_it_repeats_and_leaves_everything_as_it_was() -> None:
    ctx, leaves, loss = started()
    net = ctx.supernet
    leaves[0].grad = torch.ones(3, dtype=torch.float64)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    values, state = [t.detach().clone() for t in leaves], torch.get_rng_state()

    def noisy() -> Tensor:
        return loss() * (1 + F.dropout(torch.ones(4)).sum())

    found = [top_eigenvalue(noisy, leaves, module=net) for _ in range(2)]
    assert found[0] == found[1]
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(torch.equal(t, v) for t, v in zip(leaves, values, strict=True))
    assert torch.equal(leaves[0].grad, torch.ones(3, dtype=torch.float64))
    assert leaves[1].grad is None
    assert all(p.grad is None for p in net.parameters())


def test_a_kernel_without_second_derivative_is_differenced_and_said() -> None:
    """``hardsigmoid`` has none in torch; a clamp is the same function and has one."""
    a = torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64, requires_grad=True)
    mix = symmetric(3, 4)
    noise = torch.get_rng_state()

    def with_kernel() -> Tensor:
        return (F.hardsigmoid(mix @ a + 0.1 * torch.rand(3, dtype=torch.float64)).pow(3)).sum()

    def without() -> Tensor:
        torch.set_rng_state(noise)
        return ((mix @ a + 0.1 * torch.rand(3, dtype=torch.float64) + 3).clamp(0, 6).div(6).pow(3)).sum()

    expected = wanted(torch.linalg.eigvalsh(explicit(without, [a])), "largest")
    torch.set_rng_state(noise)
    found = top_eigenvalue(with_kernel, [a], tolerance=1e-8)
    assert not found.exact
    assert found.value == pytest.approx(expected, rel=1e-6)
    assert torch.equal(a.detach(), torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64))


def test_attention_is_differentiated_twice() -> None:
    """Its fused kernels have no second derivative; the plain form has."""
    a = symmetric(8, 5)[None, None].requires_grad_()
    found = top_eigenvalue(lambda: F.scaled_dot_product_attention(a, a, a).pow(2).sum(), [a], tolerance=1e-9)
    assert found.exact


def test_what_has_no_curvature_has_none() -> None:
    a, unused = torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
    assert top_eigenvalue(lambda: a.sum(), [a, unused]).value == 0.0
    assert top_eigenvalue(lambda: torch.tensor(1.0), [a]).value == 0.0
    assert top_eigenvalue(lambda: torch.tensor(1.0), []) == Eigenvalue(0.0, 0.0, 0)
    assert top_eigenvalue(lambda: 2 * a.square().sum(), [a, unused], tolerance=1e-6).value == pytest.approx(4.0)


def test_other_errors_are_not_taken_for_a_missing_derivative() -> None:
    def broken() -> Tensor:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        top_eigenvalue(broken, [torch.ones(1, requires_grad=True)])
