"""Separable convolutions in one pass: equal to their layers, to any order of derivative, alone and in a supernet."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import spacec
from spacec.ir.flat import FlatChoose, FlatOp
from spacec.ir.verify import violations
from spacec.lower.kernels.native import compiler, separable
from spacec.lower.kernels.native.joint import run_separable
from spacec.lower.schedule import FAST
from spacec.passes.base import parse, run
from spacec.passes.specialise import Specialise
from spacec.testing.forms import check_forms, mask_form
from spacec.testing.inputs import example_inputs
from tests.grammars.record import GRAMMARS

pytestmark = pytest.mark.skipif(compiler.compiler() is None, reason="no C compiler on this machine")

LAST = torch.channels_last


TOY = """
space toy()
input image: [3, 9, 8]
output logits: [3]
net = conv(3, 8) >> (sep_conv(3) | skip | relu_conv_bn(1)) >> (skip | sep_conv(3)) >> global_pool >> linear(3)
"""


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def _layers(c: int, out: int, shape: tuple[int, int, int], pad: int, norm: bool, affine: bool) -> nn.ModuleList:
    kernel, stride, dilation = shape
    found = nn.ModuleList([nn.BatchNorm2d(c, affine=affine)] if norm else [])
    found.append(nn.Conv2d(c, c, kernel, stride, pad, dilation, c, bias=False))
    found.append(nn.Conv2d(c, out, 1, bias=False))
    for p in (*found.parameters(), *(b for b in found.buffers() if b.is_floating_point())):
        p.data.uniform_(0.5, 1.5)
    return found.double()


def _plain(layers: nn.ModuleList, x: Tensor) -> Tensor:
    *norms, inner, last = layers
    result: Tensor = last(inner(torch.relu(norms[0](x) if norms else x)))
    return result


def _compare(a: list[Tensor], b: list[Tensor], tolerance: float = 1e-10) -> None:
    for ours, theirs in zip(a, b, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([(3, 1, 1), (3, 2, 2)]),
    st.sampled_from([(1, 9, 8), (3, 8, 19), (17, 11, 16)]),
    st.tuples(st.integers(5, 18), st.integers(5, 18)),
    st.integers(0, 2),
    st.sampled_from(["none", "batch", "affine", "given"]),
)
def test_values_derivatives_and_statistics_are_the_layers(shape, count, size, pad, kind):
    torch.manual_seed(sum(size))
    n, c, out = count
    layers = _layers(c, out, shape, pad, kind != "none", kind == "affine").train(kind != "given")
    others = copy.deepcopy(layers)
    x = torch.randn(n, c, *size, dtype=torch.float64).contiguous(memory_format=LAST).requires_grad_()
    z, plain = run_separable(tuple(layers), x), _plain(others, x)
    assert type(z.grad_fn).__name__ == "_SeparableBackward"
    g = torch.randn_like(plain)
    ours = torch.autograd.grad(z, [x, *layers.parameters()], g)
    theirs = torch.autograd.grad(plain, [x, *others.parameters()], g)
    _compare([z, *ours, *layers.buffers()], [plain, *theirs, *others.buffers()])


@pytest.mark.parametrize("kind", ["none", "affine"])
def test_second_derivatives_are_the_librarys(kind: str) -> None:
    torch.manual_seed(5)
    layers = _layers(9, 8, (3, 1, 1), 1, kind != "none", kind == "affine")
    x = torch.randn(2, 9, 7, 6, dtype=torch.float64).contiguous(memory_format=LAST).requires_grad_()
    found = []
    for f in (lambda: run_separable(tuple(layers), x), lambda: _plain(layers, x)):
        first = torch.autograd.grad(f().sin().sum(), [x, *layers.parameters()], create_graph=True)
        found.append(list(torch.autograd.grad(sum(t.square().sum() for t in first), [x, *layers.parameters()])))
    _compare(*found, tolerance=1e-9)


def test_second_derivatives_of_layers_that_read_their_own_result() -> None:
    torch.manual_seed(9)
    layers = _layers(9, 9, (3, 1, 1), 1, True, True)
    x = torch.randn(2, 9, 7, 6, dtype=torch.float64).contiguous(memory_format=LAST)
    found = []
    for f in (lambda y: run_separable(tuple(layers), y), lambda y: _plain(layers, y)):
        first = torch.autograd.grad(f(f(x)).sin().sum(), list(layers.parameters()), create_graph=True)
        found.append([*first, *torch.autograd.grad(sum(t.square().sum() for t in first), list(layers.parameters()))])
    _compare(*found, tolerance=1e-9)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own tracing does so
def test_compiles_without_a_graph_break() -> None:
    torch.manual_seed(6)
    window = (1, 1, 1, 1, 1, 1)
    x = torch.randn(2, 9, 7, 6, dtype=torch.float64).contiguous(memory_format=LAST).requires_grad_()
    w, m = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((9, 1, 3, 3), (8, 9, 1, 1)))

    def double(x: Tensor, w: Tensor, m: Tensor) -> Tensor:
        return separable.separable(x, w, m, window, separable.Norm(1e-5, True))[0] * 2

    outs = [torch.compile(double, backend="aot_eager", fullgraph=True)(x, w, m), double(x, w, m)]
    _compare(*([out, *torch.autograd.grad(out.square().sum(), (x, w, m))] for out in outs))


def test_single_precision_is_no_further_from_double_than_the_library() -> None:
    torch.manual_seed(7)
    exact = _layers(16, 16, (3, 1, 1), 1, True, False)
    single = copy.deepcopy(exact).float()
    x = (torch.randn(16, 16, 32, 32) + 3).contiguous(memory_format=LAST).requires_grad_()
    true_x = x.detach().double().requires_grad_()
    g = torch.randn(16, 16, 32, 32)
    true = _plain(exact, true_x)
    truths = [true, *torch.autograd.grad(true, [true_x, *exact.parameters()], g.double())]
    far = []
    for f in (lambda: run_separable(tuple(single), x), lambda: _plain(single, x)):
        out = f()
        found = [out, *torch.autograd.grad(out, [x, *single.parameters()], g)]
        far.append([(a - b).norm() for a, b in zip(found, truths, strict=True)])
    assert all(ours <= 2 * theirs for ours, theirs in zip(*far, strict=True))


def test_listened_to_layers_are_called() -> None:
    layers = _layers(9, 8, (3, 1, 1), 1, True, False)
    heard = []
    layers[1].register_forward_hook(lambda module, inputs, output: heard.append(output.shape))
    x = torch.randn(2, 9, 7, 6, dtype=torch.float64).contiguous(memory_format=LAST)
    _compare([run_separable(tuple(layers), x)], [_plain(layers, x)])
    assert len(heard) == 2


def test_chains_become_one_op() -> None:
    flat = spacec.load(GRAMMARS / "darts.space", preset="tiny").flat
    chooses = [n for n in flat.nodes if isinstance(n, FlatChoose)]
    whole = Specialise(tuple(tuple(range(len(c.alternatives))) for c in chooses)).apply(flat)
    found = run(whole, map(parse, FAST.passes))
    assert not violations(found)
    fused = [n for n in found.nodes if isinstance(n, FlatOp) and n.spec.name == "separable"]
    grouped = [n for n in whole.nodes if isinstance(n, FlatOp) and n.spec.name == "conv" and n.attrs["groups"] != 1]
    assert {n.parts[-2] for n in fused} == {n.key for n in grouped}
    assert {len(n.parts) for n in fused} == {2, 3}
    key = fused[0].parts[-1]
    kept = run(whole, map(parse, FAST.passes), frozenset({key}))
    assert any(isinstance(n, FlatOp) and n.key == key for n in kept.nodes)
    assert run(found, [parse("separable")]) == found


@pytest.mark.parametrize("training", [True, False])
def test_a_supernet_of_separable_ops_is_the_plain_one(training: bool) -> None:
    space = spacec.loads(TOY)
    plain, other = (space.supernet(0).double() for _ in range(2))
    other.use(replace(FAST, otherwise="library"))
    inputs = {k: v.double() for k, v in example_inputs(space).items()}
    check_forms(plain, other, inputs, mask_form("soft", plain, 1), training=training, gates=False)
