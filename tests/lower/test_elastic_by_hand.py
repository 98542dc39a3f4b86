"""Elastic layers against torch's own, written down by hand at the smaller size with weights that are cut by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spacec

SPACE = spacec.loads("""
space cut(size = 9)
input  image: [2, size, size]
output logits: [3]
let w = elastic {2, 3, 5}
def block = conv(elastic {3, 5, 7}) >> bn >> relu
net = conv(3, w, bias = 1) >> bn >> relu >> block -> [w, size, size] >> depthwise(elastic {1, 3}) >> bn
   >> global_pool >> linear(3)
""")
WIDTHS, KERNELS, OWN = (2, 3, 5), (3, 5, 7), (1, 3)
CASES = [(w, k, d) for w in WIDTHS for k in KERNELS for d in OWN]


@cache
def supernet() -> Any:
    net: Any = SPACE.supernet(seed=0).double()
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=torch.Generator().manual_seed(len(name))) + 0.1)
    return net


def fresh() -> Any:
    return supernet().clone()


def by_hand(net: Any, w: int, k: int, d: int) -> tuple[nn.Sequential, dict[str, dict[str, Tensor]]]:
    """The network of width ``w`` and kernels ``k`` and ``d``, and by layer the cuts of the largest tensors:
    the first channels, the centre of a kernel."""
    a, b = (7 - k) // 2, (3 - d) // 2
    keys = {name.rsplit(".", 1)[0]: None for name in net.state_dict()}
    stem, norm, conv, second, own, third, head = keys
    full: dict[str, Tensor] = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    norms = ("weight", "bias", "running_mean", "running_var")
    cuts = {
        "0": {"weight": full[f"{stem}.weight"][:w], "bias": full[f"{stem}.bias"][:w]},
        "1": {n: full[f"{norm}.{n}"][:w] for n in norms},
        "3": {"weight": full[f"{conv}.weight"][:w, :w, a : a + k, a : a + k]},
        "4": {n: full[f"{second}.{n}"][:w] for n in norms},
        "6": {"weight": full[f"{own}.weight"][:w, :, b : b + d, b : b + d]},
        "7": {n: full[f"{third}.{n}"][:w] for n in norms},
        "10": {"weight": full[f"{head}.weight"][:, :w], "bias": full[f"{head}.bias"]},
    }
    made = nn.Sequential(
        nn.Conv2d(2, w, 3, padding=1), nn.BatchNorm2d(w), nn.ReLU(),
        nn.Conv2d(w, w, k, padding=k // 2, bias=False), nn.BatchNorm2d(w), nn.ReLU(),
        nn.Conv2d(w, w, d, padding=d // 2, groups=w, bias=False), nn.BatchNorm2d(w),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(w, 3),
    ).double()  # fmt: skip
    with torch.no_grad():
        for layer, tensors in cuts.items():
            for name, cut in tensors.items():
                made.get_submodule(layer).state_dict()[name].copy_(cut)
    return made, cuts


def mask_of(w: int, k: int, d: int) -> dict[str, int]:
    conv, own = "net.block[0].conv[0].kernel[0]", "net.depthwise[0].kernel[0]"
    return {"w": WIDTHS.index(w), conv: KERNELS.index(k), own: OWN.index(d)}


@pytest.mark.parametrize(("w", "k", "d"), CASES)
def test_a_slice_is_the_network_of_that_size(w: int, k: int, d: int) -> None:
    """Outputs, gradients and running statistics; nothing beyond the slice is touched."""
    net = fresh().train()
    small, statistics = by_hand(net, w, k, d)
    small.train()
    before = {name: t.clone() for name, t in net.state_dict().items()}
    x, y = torch.randn(4, 2, 9, 9, dtype=torch.float64), torch.tensor([0, 2, 1, 1])
    found, expected = net(x, mask=mask_of(w, k, d)).prediction, small(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for out in (found, expected):
        nn.functional.cross_entropy(out, y).backward()
    marks = fresh()
    with torch.no_grad():
        for name, p in marks.named_parameters():
            p.copy_(net.get_parameter(name).grad)
    _, gradients = by_hand(marks, w, k, d)
    inside = 0.0
    for layer, tensors in gradients.items():
        for name, cut in tensors.items():
            own = small.get_submodule(layer).state_dict(keep_vars=True)[name]
            if name.startswith("running"):
                torch.testing.assert_close(statistics[layer][name], own, rtol=0, atol=1e-12)
            else:
                torch.testing.assert_close(cut.detach(), own.grad, rtol=0, atol=1e-12)
                inside += float(cut.detach().abs().sum())
    total = sum(float(p.detach().abs().sum()) for p in marks.parameters())
    assert total == pytest.approx(inside, rel=1e-12), "weights beyond the slice have no gradient"
    for name, tensor in net.state_dict().items():
        if "running" in name:
            assert torch.equal(tensor[w:], before[name][w:])


def test_statistics_of_a_slice_are_those_of_the_network_alone() -> None:
    """Norms re-estimated under a mask: the same averages over the same batches, in the slice."""
    net = fresh()
    small, _ = by_hand(net, 3, 5, 1)
    batches = [(torch.randn(4, 2, 9, 9, dtype=torch.float64),) for _ in range(3)]
    SPACE.recalibrate_norm(net, batches, mask=mask_of(3, 5, 1))
    for layer in (1, 4, 7):
        small[layer].reset_running_stats()
        small[layer].momentum = None
    small.train()
    with torch.no_grad():
        for (x,) in batches:
            small(x)
    _, cuts = by_hand(net, 3, 5, 1)
    for layer in ("1", "4", "7"):
        for name in ("running_mean", "running_var"):
            own = small.get_submodule(layer).get_buffer(name)
            torch.testing.assert_close(cuts[layer][name], own, rtol=0, atol=1e-12)
