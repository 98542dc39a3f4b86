"""Results that are made again: the same gradients, once, twice and of gradients, from fewer tensors that are kept."""

from __future__ import annotations

import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacec.lower.kernels.mix import Normed
from spacec.lower.kernels.recompute import Recomputed
from spacec.lower.kernels.statistics import read_norm


def tensors() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    return x.requires_grad_(), torch.randn(2, 3, 1, 1, generator=generator, dtype=torch.float64).requires_grad_()


def plain(norm: nn.BatchNorm2d, x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(F.relu(norm(x)), weight).square()


def again(norm: nn.BatchNorm2d, x: Tensor, weight: Tensor) -> Tensor:
    results = Recomputed()
    made = Normed(read_norm(norm))
    y = results.making(made, [x], made.again)
    y = results.making(F.relu, [y])
    return results.reading(lambda t: F.conv2d(t, weight), [y]).square()


@pytest.mark.parametrize("train", [True, False])
def test_same_gradients_however_often(train: bool) -> None:
    x, weight = tensors()
    results = []
    for form in (plain, again):
        norm = nn.BatchNorm2d(3).double().train(train)
        loss = form(norm, x, weight).sum()
        inputs = [x, weight, *norm.parameters()]
        first = torch.autograd.grad(loss, inputs, retain_graph=True)
        second = torch.autograd.grad(loss, inputs, create_graph=True)
        third = torch.autograd.grad(sum(g.square().sum() for g in second), inputs)
        results.append([loss, *first, *second, *third, *norm.buffers()])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(theirs, mine, rtol=1e-10, atol=1e-10)


def test_the_result_is_let_go_and_made_when_asked() -> None:
    x, weight = tensors()
    alive: list[weakref.ref[Tensor]] = []

    def relu(t: Tensor) -> Tensor:
        value = F.relu(t)
        alive.append(weakref.ref(value))
        return value

    results = Recomputed()
    out = results.reading(lambda t: F.conv2d(t, weight), [results.making(relu, [x])])
    assert [found() for found in alive] == [None]
    out.sum().backward()
    assert len(alive) == 2


def test_changed_inputs_are_noticed() -> None:
    x, weight = tensors()
    source = x * 1
    results = Recomputed()
    out = results.reading(lambda t: F.conv2d(t, weight), [results.making(F.relu, [source])])
    with torch.no_grad():
        source.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()
