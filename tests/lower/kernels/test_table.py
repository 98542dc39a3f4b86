"""The table of kernels: names of sites, choices, and convolution by parts in every form of a pass."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacec.lower.kernels import parts
from spacec.lower.kernels.dispatch import Kernels, bind, heuristic, joined
from spacec.lower.kernels.table import Implementation, Norm, OpSite, Part, Window, layout_of
from tests.lower.helpers import inputs_of, loss_of, supernet_of
from tests.lower.spaces import pick_space

CALLS: Counter[str] = Counter()


def shifted_forward(window: Window, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Every tap of the kernel by itself: no code of the library's convolution."""
    CALLS["forward"] += 1
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = window.kernel, window.stride, window.padding, window.dilation
    padded = F.pad(x, (pw, pw, ph, ph))
    height = (padded.shape[2] - dh * (kh - 1) - 1) // sh + 1
    width = (padded.shape[3] - dw * (kw - 1) - 1) // sw + 1
    total = x.new_zeros(())
    for i in range(kh):
        for j in range(kw):
            seen = padded[:, :, i * dh : i * dh + sh * (height - 1) + 1 : sh]
            seen = seen[..., j * dw : j * dw + sw * (width - 1) + 1 : sw]
            total = total + seen * weight[:, 0, i, j].reshape(-1, 1, 1)
    return total if bias is None else total + bias.reshape(-1, 1, 1)


def through_autograd(part: str) -> Callable[..., Tensor]:
    def gradient(window: Window, gradient: Tensor, other: Tensor, shape: tuple[int, ...]) -> Tensor:
        CALLS[part] += 1
        assert layout_of(gradient) == (layout_of(other) if part == "weight" else layout_of(gradient))
        with torch.enable_grad():
            asked = torch.zeros(shape, dtype=gradient.dtype, requires_grad=True)
            x, weight = (asked, other) if part == "input" else (other, asked)
            return torch.autograd.grad(shifted_forward(window, x, weight, None), asked, gradient)[0]

    return gradient


def depthwise(site: OpSite) -> bool:
    return site.op == "conv" and site.depthwise and site.channels[0] == site.channels[1]


def part(name: str, run: Callable[..., Tensor], which: Part) -> Implementation:
    return Implementation(name, "conv", run, depthwise, depthwise, part=which)


def counted_norm(norm: Norm, x: Tensor, *rest: Tensor) -> Tensor:
    CALLS["bn"] += 1
    weight, bias, mean, var = rest
    return F.batch_norm(x, mean, var, weight, bias, norm.training, norm.momentum, norm.eps)


def counted_pool(window: Window, x: Tensor) -> Tensor:
    CALLS["pool"] += 1
    return F.max_pool2d(x, window.kernel, window.stride, window.padding)


KNOWN = (
    part("taps", shifted_forward, "forward"),
    part("taps", through_autograd("input"), "input"),
    part("taps", through_autograd("weight"), "weight"),
    Implementation("own", "bn", counted_norm, lambda site: True),
    Implementation("own", "max_pool", counted_pool, lambda site: True),
)


def by_parts(site: OpSite) -> str:
    return {"conv": "taps|taps|taps"}.get(site.op, "own")


def site(**changes: object) -> OpSite:
    window = Window((3, 3), (1, 1), (1, 1), (1, 1), 4)
    plain = OpSite("conv", (4, 4), 2, (8, 8), "float32", "channels_last", "cpu", window)
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]  # any field


def test_a_signature_names_everything_a_time_depends_on() -> None:
    assert site().signature == "conv 3x3 s1 p1 d1 g4 4>4 8x8 float32 channels_last cpu n2"
    uneven = Window((1, 7), (2, 1), (0, 3), (1, 1))
    assert site(window=uneven, batch=7).signature == "conv 1x7 s2x1 p0x3 d1 g1 4>4 8x8 float32 channels_last cpu n7"
    assert site(op="bn", window=None, detail="train", space=()).kind == "bn train 4>4 - float32 channels_last cpu"


def test_parts_are_chosen_apart_and_what_does_not_apply_is_no_choice() -> None:
    assert heuristic(site(), KNOWN) == "taps|taps|taps"
    assert heuristic(site(), KNOWN[:1]) == "taps|library|library"
    assert heuristic(site(channels=(4, 8)), KNOWN) == "library"
    assert joined(["library", "library", "library"]) == "library"
    assert bind(site(), "library", KNOWN) is None
    with pytest.raises(KeyError):
        bind(site(channels=(4, 8)), "library|taps|library", KNOWN)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_convolution_by_parts_has_the_gradients_of_the_library_to_second_order(
    stride: int, layout: torch.memory_format
) -> None:
    layer = nn.Conv2d(4, 4, 3, stride, 2, dilation=2, groups=4).double()
    x = torch.randn(2, 4, 9, 9, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    kernels = Kernels(by_parts, KNOWN)
    assert not kernels.missing

    def grads(run: Callable[[Tensor], Tensor | None]) -> list[Tensor]:
        y = run(x)
        assert y is not None
        inputs = [x, *layer.parameters()]
        plain = torch.autograd.grad(y.pow(3).sum(), inputs, retain_graph=True)
        first = torch.autograd.grad(y.pow(3).sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.pow(2).sum() for g in first), inputs)  # type: ignore[arg-type]  # not 0
        return [y, *plain, *first, *second]

    CALLS.clear()
    for mine, library in zip(grads(lambda x: kernels.layer(0, layer, x)), grads(layer), strict=True):
        torch.testing.assert_close(mine, library, rtol=1e-10, atol=1e-10)
    assert CALLS["input"] == CALLS["weight"] == 4, "they are differentiated by each other"


def test_a_layer_with_replaced_weights_runs_on_them_and_a_watched_one_runs_itself() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4))
    kernels, x = Kernels(by_parts, KNOWN), torch.randn(2, 4, 8, 8)
    twin = copy.deepcopy(net)

    class Through(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            for node, layer in enumerate(net):
                found = kernels.layer(node, layer, x)
                assert found is not None
                x = found
            return x

    weights = {f"net.{name}": tensor + 1 for name, tensor in net.state_dict().items() if tensor.dim()}
    mine = torch.func.functional_call(Through(), weights, (x,))
    library = torch.func.functional_call(twin, {k.removeprefix("net."): v for k, v in weights.items()}, (x,))
    torch.testing.assert_close(mine, library)
    torch.testing.assert_close(Through()(x), twin(x))
    assert net.state_dict()["1.num_batches_tracked"] == twin.state_dict()["1.num_batches_tracked"] == 2
    torch.testing.assert_close(net.state_dict(), twin.state_dict())
    net[0].register_forward_hook(lambda *_: None)
    assert kernels.layer(0, net[0], x) is None


def test_autocast_casts_as_the_library_does() -> None:
    layer, kernels = nn.Conv2d(4, 4, 3, padding=1, groups=4), Kernels(by_parts, KNOWN)
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mine, library = kernels.layer(0, layer, x), layer(x)
    assert mine is not None
    assert mine.dtype == library.dtype == torch.bfloat16
    found = torch.autograd.grad(mine.float().sum(), [x, layer.weight])
    for one, other in zip(found, torch.autograd.grad(library.float().sum(), [x, layer.weight]), strict=True):
        assert one.dtype == other.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.5)


def test_each_site_is_asked_for_once_and_what_is_not_here_is_told() -> None:
    asked: list[str] = []

    def choose(site: OpSite) -> str:
        asked.append(site.signature)
        return "lost"

    kernels, layer = Kernels(choose, KNOWN), nn.Conv2d(4, 4, 3, groups=4)
    for batch in (1, 1, 2):
        assert kernels.layer(0, layer, torch.zeros(batch, 4, 8, 8)) is None
    assert len(asked) == 2
    assert kernels.missing == dict.fromkeys(asked, "lost")


def test_the_gradient_of_a_part_without_a_kernel_is_the_librarys() -> None:
    window, x = Window((3,), (1,), (1,), (1,)), torch.randn(2, 3, 8, requires_grad=True, dtype=torch.float64)
    weight = torch.randn(5, 3, 3, requires_grad=True, dtype=torch.float64)
    mine = torch.autograd.grad(parts.convolve(window, parts.Trio(), x, weight, None).sin().sum(), [x, weight])
    library = torch.autograd.grad(F.conv1d(x, weight, padding=1).sin().sum(), [x, weight])
    torch.testing.assert_close(mine, library)


@pytest.mark.parametrize("training", [True, False])
def test_a_supernet_runs_its_nodes_through_chosen_kernels_under_every_mask(training: bool) -> None:
    toy = pick_space()
    plain, other = supernet_of(toy).train(training), supernet_of(toy).train(training)
    other._machine = dataclasses.replace(other._machine, kernels=Kernels(by_parts, KNOWN))
    x = inputs_of(toy)
    soft = {s.id: torch.rand(len(s.labels), dtype=torch.float64, requires_grad=True) for s in toy.table.slots}
    sampled = {s.id: len(s.labels) - 1 for s in toy.table.slots}
    for mask in (soft, sampled):
        CALLS.clear()
        found = []
        for net in (plain, other):
            torch.manual_seed(0)
            out = net(*x, mask=mask)
            asked = [*(soft.values() if mask is soft else ()), *(p for p in net.parameters() if p.requires_grad)]
            gradients = torch.autograd.grad(loss_of(out.outputs), asked, allow_unused=True)
            found.append([out.prediction, *(g for g in gradients if g is not None)])
        assert CALLS["bn"], "it ran through the table"
        torch.testing.assert_close(*found, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(plain.state_dict(), other.state_dict(), rtol=1e-10, atol=1e-10)
