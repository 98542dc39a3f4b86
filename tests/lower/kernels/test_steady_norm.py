"""Batch norms in channels_last that keep as much of the numbers as in the default layout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from spacec.lower.kernels.dispatch import Kernels, library
from spacec.lower.kernels.native import compiler
from spacec.lower.kernels.steady_norm import GENERATED, NAME, NATIVE, STEADY


def run(norm: nn.BatchNorm2d, x: Tensor, kernels: Kernels) -> Tensor:
    found = kernels.layer(0, norm, x)
    return norm(x) if found is None else found


def results(norm: nn.BatchNorm2d, x: Tensor, kernels: Kernels, second: bool) -> list[Tensor]:
    x = x.detach().requires_grad_()
    y = run(norm, x, kernels)
    asked = [x, *norm.parameters()]
    weighed = (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)).sin().sum()
    found = torch.autograd.grad(weighed, asked, create_graph=second)
    again = torch.autograd.grad(sum(g.square().sum() for g in found), asked) if second else ()
    return [y.detach(), *(g.detach() for g in found), *again, norm.running_mean, norm.running_var]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("second", [True, False])
@pytest.mark.parametrize("name", [NAME, NATIVE])
def test_it_is_the_librarys_norm(name: str, affine: bool, second: bool) -> None:
    x = (torch.randn(3, 5, 4, 6, dtype=torch.float64) + 1).contiguous(memory_format=torch.channels_last)
    mine, plain = (nn.BatchNorm2d(5, affine=affine, momentum=0.3, dtype=torch.float64) for _ in range(2))
    steady = Kernels(lambda site: name, (*GENERATED, *STEADY))
    found = results(mine, x, steady, second), results(plain, x, Kernels(library), second)
    assert not steady.missing or (name == NATIVE and compiler.compiler() is None)
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-10)
    assert mine.num_batches_tracked == plain.num_batches_tracked == 1


@pytest.mark.parametrize("name", [NAME, NATIVE])
def test_single_precision_is_as_exact_as_in_the_default_layout(name: str) -> None:
    exact = torch.randn(16, 4, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 2
    last = exact.float().contiguous(memory_format=torch.channels_last)
    truth = results(nn.BatchNorm2d(4).double(), exact, Kernels(library), False)
    default, plain = (results(nn.BatchNorm2d(4), x, Kernels(library), False) for x in (exact.float(), last))
    steady = results(nn.BatchNorm2d(4), last, Kernels(lambda site: name, (*GENERATED, *STEADY)), False)
    near, far, mine = (
        [float((a.double() - t).norm() / t.norm()) for a, t in zip(found, truth, strict=True)]
        for found in (default, plain, steady)
    )
    assert mine[0] <= 2 * near[0] < far[0], "the result"
    assert mine[1] <= 2 * near[1] < far[1], "the gradient"
