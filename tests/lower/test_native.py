"""Generated kernels: equal to the library, to any order of derivative, in both formats; and where they come from."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from spacec.lower.cache import cache_folder
from spacec.lower.kernels.dispatch import Kernels
from spacec.lower.kernels.native import compiler
from spacec.lower.kernels.native.implementations import NATIVE
from spacec.lower.kernels.parts import Trio, convolve
from spacec.lower.kernels.table import Window

needs_compiler = pytest.mark.skipif(compiler.compiler() is None, reason="no C compiler on this machine")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


TRIO = Trio(*(i.run for i in NATIVE))

SHAPES = (
    # kernel, stride, dilation, last: few, for each is compiled
    ((3, 3), (1, 1), (1, 1), True),
    ((5, 5), (2, 2), (1, 1), True),
    ((3, 3), (1, 1), (2, 2), False),
    ((2, 3), (2, 1), (1, 2), True),
    ((5, 3), (1, 2), (1, 1), False),
)


def _pair(
    shape: tuple[object, ...], n: int, c: int, size: tuple[int, int], padding: tuple[int, int], dtype: torch.dtype
):
    kernel, stride, dilation, last = shape
    x = torch.randn(n, c, *size, dtype=dtype)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    x, w = x.requires_grad_(), torch.randn(c, 1, *kernel, dtype=dtype, requires_grad=True)
    plain = F.conv2d(x, w, None, stride, padding, dilation, c)
    return x, w, plain, convolve(Window(kernel, stride, padding, dilation, c), TRIO, x, w, None)


def _all_orders(out: Tensor, x: Tensor, w: Tensor, seed: int) -> list[Tensor]:
    torch.manual_seed(seed)
    first = torch.autograd.grad(out, (x, w), torch.randn_like(out), create_graph=True)
    product = sum((g * torch.randn_like(g)).sum() for g in first)
    return [out, *first, *torch.autograd.grad(product, (x, w))]


@needs_compiler
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(SHAPES),
    st.sampled_from([(1, 9), (2, 8), (3, 19), (18, 11)]),
    st.tuples(st.integers(5, 21), st.integers(11, 22)),
    st.tuples(st.integers(0, 6), st.integers(0, 6)),
)
def test_values_and_derivatives_are_the_librarys(shape, count, size, padding):
    x, w, plain, native = _pair(shape, *count, size, padding, torch.float64)
    assert native.is_contiguous(memory_format=torch.channels_last if shape[3] else torch.contiguous_format)
    for a, b in zip(_all_orders(plain, x, w, 0), _all_orders(native, x, w, 0), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


@needs_compiler
@pytest.mark.parametrize("shape", [SHAPES[0], SHAPES[2]])
def test_single_precision_is_no_further_from_double_than_the_library(shape):
    torch.manual_seed(3)
    x, w, plain, native = _pair(shape, 16, 16, (33, 32), (1, 1), torch.float32)
    exact_x, exact_w = x.detach().double().requires_grad_(), w.detach().double().requires_grad_()
    _, stride, dilation, _ = shape
    exact = F.conv2d(exact_x, exact_w, None, stride, (1, 1), dilation, 16)
    g = torch.randn_like(plain)
    true = torch.autograd.grad(exact, (exact_x, exact_w), g.double())
    for i, t in enumerate(true):
        ours, theirs = (torch.autograd.grad(out, (x, w), g, retain_graph=True)[i] for out in (native, plain))
        assert (ours - t).norm() <= 2 * (theirs - t).norm()


@needs_compiler
def test_threads_change_no_bit():
    before = torch.get_num_threads()
    results = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            torch.manual_seed(0)
            x, w, _, native = _pair(SHAPES[0], 5, 17, (40, 12), (1, 1), torch.float64)
            results.append([native, *torch.autograd.grad(native, (x, w), torch.ones_like(native))])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@needs_compiler
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own tracing does so
def test_compiles_without_a_graph_break():
    x, w, _, native = _pair(SHAPES[0], 2, 9, (7, 12), (1, 1), torch.float64)

    def double(x: Tensor, w: Tensor) -> Tensor:
        return convolve(Window((3, 3), (1, 1), (1, 1), (1, 1), 9), TRIO, x, w, None) * 2

    compiled = torch.compile(double, backend="aot_eager", fullgraph=True)
    out = compiled(x, w)
    torch.testing.assert_close(out, native * 2, rtol=0, atol=1e-12)
    for a, b in zip(torch.autograd.grad(out.sum(), (x, w)), torch.autograd.grad(2 * native.sum(), (x, w)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


@needs_compiler
@pytest.mark.parametrize("last", [True, False])
def test_the_table_runs_each_part(last: bool):
    torch.manual_seed(1)
    x, w = torch.randn(2, 9, 7, 12, dtype=torch.float64), torch.randn(9, 1, 3, 3, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    bias = torch.randn(9, dtype=torch.float64, requires_grad=True)
    x, w = x.requires_grad_(), w.requires_grad_()
    window = Window((3, 3), (1, 1), (1, 1), (1, 1), 9)
    kernels = Kernels(lambda site: "native|native|native")
    given = x, w, bias
    out = kernels.conv(0, window, *given)
    assert not kernels.missing
    plain = F.conv2d(*given, 1, 1, 1, 9)
    torch.testing.assert_close(out, plain, rtol=0, atol=1e-10)
    g = torch.randn_like(out)
    for a, b in zip(torch.autograd.grad(out, given, g), torch.autograd.grad(plain, given, g), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_other_tensors_take_the_library():
    x, w = torch.randn(2, 4, 5, 5), torch.randn(4, 1, 3, 3)
    kernels = Kernels(lambda site: "native|native|native")
    halves = x.bfloat16(), w.bfloat16()
    given = Window((3, 3), (1, 1), (1, 1), (1, 1), 4)
    assert torch.equal(kernels.conv(0, given, *halves, None), F.conv2d(*halves, None, 1, 1, 1, 4))
    with torch.autocast("cpu", torch.bfloat16):
        assert kernels.conv(0, given, x, w, None).dtype == torch.bfloat16
    assert len(kernels.missing) == 1
    with pytest.raises(RuntimeError):
        convolve(Window((3, 3), (1, 1), (0, 0), (1, 1), 4), TRIO, x[:, :, :2, :2], w, None)


ANSWER = "int answer(void) { return %d; }"


@needs_compiler
def test_a_library_is_built_once_and_rebuilt_when_it_is_damaged(own_cache: Path):
    before = len(compiler.builds())
    with ThreadPoolExecutor(4) as pool:
        assert [built.answer() for built in pool.map(lambda _: compiler.load("answer", ANSWER % 41), range(4))] == [
            41
        ] * 4
    assert compiler.load("answer", ANSWER % 41).answer() == 41
    mine = compiler.builds()[before:]
    assert mine[0].seconds > 0
    assert mine[-1].seconds == 0
    folder = cache_folder("native")
    assert folder.is_relative_to(own_cache)
    known = set(folder.iterdir())
    assert compiler.load("answer", ANSWER % 42).answer() == 42
    (path,) = set(folder.iterdir()) - known
    for damage in (path.read_bytes()[:-100], b"", b"something else entirely"):
        other = folder / "damaged"
        other.write_bytes(damage)
        other.replace(path)
        assert compiler.load("answer", ANSWER % 42).answer() == 42
        assert compiler.builds()[-1].seconds > 0
    assert not [entry for entry in folder.iterdir() if entry.name.startswith(".build-")]


@needs_compiler
def test_a_failed_build_is_told_once():
    with pytest.warns(RuntimeWarning, match="the kernel wrong was not built"):
        assert compiler.load("wrong", "int x = ;") is None
    assert compiler.load("wrong", "int x = ;") is None  # a second warning would be an error here


WITHOUT = """
import warnings, torch
import torch.nn.functional as F
from spacec.lower.kernels.native.depthwise import forward, input_gradient, weight_gradient
x, w = torch.randn(2, 3, 7, 6, requires_grad=True), torch.randn(3, 1, 3, 3, requires_grad=True)
g, window = torch.randn(2, 3, 4, 3), (2, 2, 1, 1, 1, 1)
with warnings.catch_warnings(record=True) as told, torch.no_grad():
    warnings.simplefilter("always")
    found = forward(x, w, window, False), input_gradient(g, w, (7, 6), window, False)
    found = *found, weight_gradient(g, x, (3, 3), window, False)
plain = F.conv2d(x, w, None, 2, 1, 1, 3)
same = all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, [plain, *torch.autograd.grad(plain, (x, w), g)]))
print(same, [str(w.message) for w in told])
"""


def test_without_a_compiler_the_library_computes(tmp_path: Path):
    environment = {**os.environ, "PATH": str(tmp_path), "CC": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", WITHOUT], env=environment, capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "True ['no C compiler was found: generated kernels are not used']", run.stderr
