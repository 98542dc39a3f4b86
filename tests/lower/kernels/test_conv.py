"""Every way to compute a part of a convolution equals the library's, in the layout of its tensors, to second order."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spacec.lower.kernels.conv import reduced
from spacec.lower.kernels.conv_sites import CONVOLUTIONS, ONEDNN
from spacec.lower.kernels.dispatch import Kernels, bind, heuristic, joined
from spacec.lower.kernels.subsample import subsample
from spacec.lower.kernels.table import LIBRARY, PARTS, OpSite, Window, layout_of

Run = Callable[..., Tensor]


def site_of(window: Window, x: Tensor, out: int) -> OpSite:
    dtype = str(x.dtype).removeprefix("torch.")
    return OpSite("conv", (x.shape[1], out), len(x), tuple(x.shape[2:]), dtype, layout_of(x), "cpu", window)


def rewritten(site: OpSite) -> str:
    """What is expected to pay, without generated code."""
    return heuristic(site, CONVOLUTIONS)


def library(window: Window, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    convolve = (F.conv1d, F.conv2d)[x.dim() - 3]
    return convolve(x, weight, bias, window.stride, window.padding, window.dilation, window.groups)


def to_second_order(run: Run, window: Window, tensors: list[Tensor], gradient: Tensor) -> list[Tensor]:
    """The output, its gradients with and without a graph, and the gradients of a function of those."""
    inputs = [t.clone(memory_format=torch.preserve_format).requires_grad_() for t in tensors]
    gradient = gradient.clone().requires_grad_()
    y = run(window, *inputs)
    plain = torch.autograd.grad(y, inputs, gradient, retain_graph=True)
    first = torch.autograd.grad(y, inputs, gradient, create_graph=True)
    total = torch.stack([(t * t.sin()).sum() for t in (*first, inputs[2])]).sum()
    return [y, *plain, *first, *torch.autograd.grad(total, [*inputs, gradient])]


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Window, list[Tensor]]:
    rank = draw(st.sampled_from((1, 2, 2)))
    groups, into, out = draw(st.sampled_from([(4, 4, 4), (4, 4, 4), (1, 4, 6), (2, 4, 8), (3, 3, 6)]))
    kernel, stride, dilation = (
        tuple(draw(st.sampled_from(n)) for _ in range(rank)) for n in ((1, 2, 3, 5), (1, 2), (1, 2, 3))
    )
    spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    padding = tuple(draw(st.sampled_from((0, span // 2, 1))) for span in spans)
    size = [max(draw(st.integers(4, 13)), span + 1 - 2 * p) for span, p in zip(spans, padding, strict=True)]
    torch.manual_seed(draw(st.integers(0, 99)))
    x = torch.randn(2, into, *size, dtype=torch.float64)
    if rank == 2 and draw(st.booleans()):
        x = x.contiguous(memory_format=torch.channels_last)
    tensors = [x, torch.randn(out, into // groups, *kernel, dtype=torch.float64), torch.randn(out, dtype=torch.float64)]
    return Window(kernel, stride, padding, dilation, groups), tensors


@settings(max_examples=80, deadline=None)
@given(convolutions())
def test_every_way_that_applies_equals_the_library(drawn: tuple[Window, list[Tensor]]) -> None:
    window, tensors = drawn
    site = site_of(window, tensors[0], len(tensors[1]))
    gradient = torch.randn_like(library(window, *tensors))
    wanted = to_second_order(library, window, tensors, gradient)
    for way in CONVOLUTIONS:
        if not way.applies(site):
            continue
        run = bind(site, joined([way.name if part == way.part else LIBRARY for part in PARTS]))
        assert run is not None
        found = to_second_order(run, window, tensors, gradient)
        for k, (mine, other) in enumerate(zip(found, wanted, strict=True)):
            assert torch.allclose(mine, other, 1e-10, 1e-10), f"{way.name}: tensor {k} differs"
        assert site.layout == layout_of(found[1]) or 1 in found[1].shape


def test_what_is_expected_to_pay() -> None:
    """The rules of the CPUs that were measured; the library's own elsewhere."""
    if not ONEDNN:
        pytest.skip("rules of oneDNN")

    def choice(k: int, s: int, d: int, into: int = 16, dtype: torch.dtype = torch.float32, last: bool = True) -> str:
        x = torch.empty(2, into, 8, 8, dtype=dtype)
        x = x.contiguous(memory_format=torch.channels_last) if last else x
        window = Window((k, k), (s, s), (d * (k // 2),) * 2, (d, d), into)
        return rewritten(site_of(window, x, into))

    assert choice(3, 1, 1) == "library|flipped|library"
    assert choice(5, 1, 1) == "library|flipped|strips"
    assert choice(5, 2, 1) == "library|library|strips"
    assert choice(5, 1, 2) == "library|flipped|phases"
    assert choice(5, 2, 2) == choice(3, 2, 2) == "library|polyphase|polyphase"
    assert choice(3, 2, 1, dtype=torch.bfloat16) == "library|flipped|library"
    assert choice(3, 1, 1, dtype=torch.float64) == choice(3, 1, 1, into=4, last=False) == "taps|taps|taps"
    assert choice(1, 1, 1) == "library"
    dense = OpSite("conv", (8, 8), 2, (8, 8), "float32", "contiguous", "cpu", Window((3, 3), (1, 1), (1, 1), (1, 1)))
    assert rewritten(dense) == "library"
    cuda = OpSite("conv", (8, 8), 2, (8, 8), "float32", "contiguous", "cuda", Window((5, 5), (1, 1), (2, 2), (1, 1), 8))
    assert rewritten(cuda) == "library"


class Stack(nn.Module):
    """Depthwise convolutions of each form, by the kernels that are expected to pay."""

    def __init__(self) -> None:
        super().__init__()
        forms = [(5, 1, 1), (3, 1, 2), (5, 2, 2)]
        self.layers = nn.ModuleList(nn.Conv2d(8, 8, k, s, d * (k // 2), d, 8) for k, s, d in forms)
        self.kernels = Kernels(rewritten, CONVOLUTIONS)

    def forward(self, x: Tensor) -> Tensor:
        for node, layer in enumerate(self.layers):
            found = self.kernels.layer(node, layer, x)
            x = layer(x) if found is None else found
        return x


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # by torch's own tracer
def test_compiled_without_a_graph_break() -> None:
    net, x = Stack(), torch.randn(2, 8, 24, 24).contiguous(memory_format=torch.channels_last).requires_grad_()
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")

    def grads(run: Run) -> list[Tensor]:
        y = run(x)
        return [y, *torch.autograd.grad(y.sin().sum(), [x, *net.parameters()])]

    for mine, eager in zip(grads(compiled), grads(net), strict=True):
        torch.testing.assert_close(mine, eager)


def test_frozen_weights_and_inputs_cost_nothing() -> None:
    """Only the parts whose gradients are asked for run."""
    ran: list[str] = []
    window = Window((5, 5), (1, 1), (2, 2), (1, 1), 4)
    x, weight = torch.randn(2, 4, 8, 8), torch.randn(4, 1, 5, 5)
    counted = tuple(
        type(way)(way.name, "conv", _noted(way.run, str(way.part), ran), way.applies, way.pays, way.part)
        for way in CONVOLUTIONS
    )
    run = bind(site_of(window, x, 4), "taps|flipped|strips", counted)
    assert run is not None
    for to_x, to_weight in itertools.product((False, True), repeat=2):
        ran.clear()
        y = run(window, x.clone().requires_grad_(to_x), weight.clone().requires_grad_(to_weight), None)
        if to_x or to_weight:
            torch.autograd.backward(y.sum())
        assert ran == ["forward"] + ["input"] * to_x + ["weight"] * to_weight


def _noted(run: Run, name: str, ran: list[str]) -> Run:
    def noted(*args: object) -> Tensor:
        ran.append(name)
        return run(*args)

    return noted


def test_half_precision_under_autocast_is_as_near_as_the_librarys() -> None:
    net, x = Stack(), torch.randn(2, 8, 24, 24).contiguous(memory_format=torch.channels_last)
    exact = net.double()(x.double())
    net.float()
    with torch.autocast("cpu", torch.bfloat16):
        mine = net(x)
        other = x
        for layer in net.layers:
            other = layer(other)
    assert mine.dtype == other.dtype == torch.bfloat16
    assert (mine - exact).abs().max() <= 2 * (other - exact).abs().max()


def test_windows_are_reduced_where_all_three_numbers_have_a_factor() -> None:
    assert reduced(Window((3,), (2,), (2,), (2,))) == ((2,), Window((3,), (1,), (1,), (1,)))
    assert reduced(Window((3, 5), (4, 6), (4, 6), (2, 3), 7)) == ((2, 3), Window((3, 5), (2, 2), (2, 2), (1, 1), 7))
    for untouched in (Window((3,), (2,), (1,), (2,)), Window((1,), (2,), (0,), (2,)), Window((3,), (2,), (1,), (1,))):
        assert reduced(untouched) == ((1,), untouched)


def test_subsampling_is_differentiable_again() -> None:
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = subsample(x, (2, 3))
    assert torch.equal(y, x[:, :, ::2, ::3])
    assert layout_of(y) == layout_of(torch.autograd.grad(y.sum(), x)[0]) == "channels_last"
    assert torch.autograd.gradgradcheck(lambda t: subsample(t.sin(), (2, 3)), x)
