"""Pooling in another layout equals the library's, ties and all, to second order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spacec.lower.kernels.pool import POOLS
from spacec.lower.kernels.table import Implementation, OpSite, Window, layout_of


def site_of(op: str, window: Window, x: Tensor) -> OpSite:
    space = tuple(x.shape[2:])
    return OpSite(op, (x.shape[1], x.shape[1]), len(x), space, "float64", layout_of(x), "cpu", window)


def library(op: str, window: Window, x: Tensor) -> Tensor:
    if op == "max_pool":
        return F.max_pool2d(x, window.kernel, window.stride, window.padding)
    return F.avg_pool2d(x, window.kernel, window.stride, window.padding, count_include_pad=False)


def to_second_order(run: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    y = run(x)
    weights = torch.arange(1.0, y.numel() + 1, dtype=y.dtype).reshape(y.shape)
    (first,) = torch.autograd.grad((y * y * weights).sum(), x, create_graph=True)
    return [y, first, *torch.autograd.grad((first * first.sin()).sum(), x)]


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool.op)
@pytest.mark.parametrize(("kernel", "stride"), [((3, 3), (1, 1)), ((3, 3), (2, 2)), ((2, 3), (1, 2))])
def test_equals_the_library(pool: Implementation, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    torch.manual_seed(0)
    window = Window(kernel, stride, (1, 1), (1, 1))
    for shape in ((2, 9, 7, 6), (2, 1, 5, 5), (1, 8, 2, 2)):
        x = torch.randint(-1, 3, shape).double().relu()  # maxima are mostly ties
        assert pool.applies(site_of(pool.op, window, x))
        mine = to_second_order(lambda t: pool.run(window, t), x)
        for a, b in zip(mine, to_second_order(lambda t: library(pool.op, window, t), x), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
            assert a.is_contiguous()


def test_what_applies_and_what_is_expected_to_pay() -> None:
    window, x = Window((3, 3), (1, 1), (1, 1), (1, 1)), torch.empty(2, 16, 8, 8)
    for pool in POOLS:
        assert pool.applies(site_of(pool.op, window, x))
        assert pool.pays(site_of(pool.op, window, x))
        assert not pool.applies(site_of(pool.op, window, x.contiguous(memory_format=torch.channels_last)))
        assert not pool.applies(site_of(pool.op, Window((3,), (1,), (1,), (1,)), x[0]))
        assert not pool.pays(site_of(pool.op, window, x[:, :4].contiguous()))
