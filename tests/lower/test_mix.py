"""The kernel of mixes equals its plain operations: values, both gradients, running statistics; layouts and dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from spacec.lower.kernels.mix import Addend, normed_mix
from spacec.lower.kernels.norm import whitened
from spacec.lower.kernels.statistics import read_norm
from spacec.lower.kernels.table import format_of

C = 3


def norms(train: bool, space: int, dtype: torch.dtype = torch.float64) -> list[nn.Module]:
    """Of every kind: with weights and without, of other ε and momentum, without running statistics."""
    cls = nn.BatchNorm2d if space == 2 else nn.BatchNorm1d
    found: list[nn.Module] = [
        cls(C),
        cls(C, affine=False, momentum=None),
        cls(C, eps=1e-3, momentum=0.3),
        cls(C, affine=False),
        cls(C, track_running_stats=False),
    ]
    generator = torch.Generator().manual_seed(7)
    for norm in found:
        norm.to(dtype).train(train)
        for tensor in norm.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return found


Mix = Callable[[Sequence[nn.Module], Sequence[Tensor]], Tensor]


def plain(norms: Sequence[nn.Module], given: Sequence[Tensor]) -> Tensor:
    a, b, stack, w = given
    first, second = (half.contiguous(memory_format=format_of(stack)) for half in stack.split(C, 1))
    return (
        w[0] * norms[0](a)
        + norms[1](b)
        + w[1] * norms[2](first)
        + w[2] * norms[3](second)
        + w[3] * norms[4](a)
        + w[4] * a
        + b
        + w[5] * second
    )


def kernel(norms: Sequence[nn.Module], given: Sequence[Tensor], native: bool = False) -> Tensor:
    a, b, stack, w = given
    read = [read_norm(norm) for norm in norms]  # type: ignore[arg-type]  # all are batch norms
    terms = [
        Addend(a, w[0], read[0]),
        Addend(b, None, read[1]),
        Addend(stack, w[1], read[2]),
        Addend(stack, w[2], read[3], C),
        Addend(a, w[3], read[4]),
        Addend(a, w[4]),
        Addend(b),
        Addend(stack, w[5], None, C),
    ]
    return normed_mix(terms, C, native)


def given(*space: int, dtype: torch.dtype = torch.float64, batch: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = (batch, C, *space), (batch, C, *space), (batch, 2 * C, *space), (6,)
    return [(torch.randn(s, generator=generator).to(dtype) + 0.5).requires_grad_() for s in shapes]


def measured(mix: Mix, norms: Sequence[nn.Module], given: Sequence[Tensor]) -> dict[str, Tensor]:
    out = mix(norms, given)
    ramp = torch.linspace(0.5, 1.5, out.numel(), dtype=out.dtype).view(out.shape)
    weights = [p for norm in norms for p in norm.parameters()]
    found = torch.autograd.grad((ramp * out.square()).sum(), [*given, *weights])
    states = {f"{k}.{name}": t for k, norm in enumerate(norms) for name, t in norm.state_dict().items()}
    return {"out": out.detach(), **{f"gradient {k}": g for k, g in enumerate(found)}, **states}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("space", [(), (5,), (4, 5)])
def test_equals_plain_operations(space: tuple[int, ...], train: bool) -> None:
    mine = measured(kernel, norms(train, len(space)), given(*space))
    for name, value in measured(plain, norms(train, len(space)), given(*space)).items():
        torch.testing.assert_close(mine[name], value, rtol=1e-10, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("train", [True, False])
def test_gradients_of_gradients(train: bool) -> None:
    made = norms(train, 1)
    weights = [p for norm in made for p in norm.parameters()]
    names = [(k, name) for k, norm in enumerate(made) for name, _ in norm.named_parameters()]

    def mix(*tensors: Tensor) -> Tensor:
        fresh = norms(train, 1)
        for (k, name), weight in zip(names, tensors[4:], strict=True):
            del fresh[k]._parameters[name]
            setattr(fresh[k], name, weight)
        return kernel(fresh, tensors[:4])

    inputs = (*given(2, batch=2), *weights)
    assert torch.autograd.gradcheck(mix, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(mix, inputs, fast_mode=True)


def test_whitened_is_a_norm_without_weights() -> None:
    z, *_ = given(3, 4)
    x = whitened(z, 1e-5).x
    torch.testing.assert_close(x, nn.functional.batch_norm(z, None, None, training=True), rtol=1e-10, atol=1e-10)
    assert torch.autograd.gradcheck(lambda t: whitened(t, 1e-5).x, (z,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda t: whitened(t, 1e-5).x, (z,), fast_mode=True)


@pytest.mark.parametrize("train", [True, False])
def test_channels_last_stays_and_rounds_no_worse(train: bool) -> None:
    single = given(16, 16, dtype=torch.float32)
    exact = measured(plain, norms(train, 2), [t.detach().double().requires_grad_() for t in single])
    inputs = [
        t.detach().contiguous(memory_format=torch.channels_last).requires_grad_() if t.dim() == 4 else t for t in single
    ]
    forms = [measured(mix, norms(train, 2, torch.float32), inputs) for mix in (plain, kernel)]
    assert format_of(forms[1]["out"]) == format_of(forms[1]["gradient 0"]) == format_of(forms[1]["gradient 2"])
    assert format_of(forms[1]["out"]) == torch.channels_last
    truths = {name: truth for name, truth in exact.items() if truth.is_floating_point()}
    near, far = (
        sum(float((form[name] - truth).norm() / truth.norm()) ** 2 for name, truth in truths.items()) for form in forms
    )
    assert far <= 4 * near


@pytest.mark.parametrize("train", [True, False])
def test_generated_code_is_the_same(train: bool) -> None:
    images = [t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t for t in given(8, 8)]
    inputs = [t.detach().requires_grad_() for t in images]
    forms = [measured(mix, norms(train, 2), inputs) for mix in (kernel, partial(kernel, native=True))]
    for name, value in forms[0].items():
        torch.testing.assert_close(forms[1][name], value, rtol=1e-10, atol=1e-10)


def test_half_precision() -> None:
    inputs = [t.detach().bfloat16().requires_grad_() if t.dim() == 4 else t for t in given(8, 8, dtype=torch.float32)]
    forms = [measured(mix, norms(True, 2, torch.float32), inputs) for mix in (plain, kernel)]
    assert forms[1]["out"].dtype == torch.bfloat16
    for name, value in forms[0].items():
        torch.testing.assert_close(
            forms[1][name].double(), value.double(), rtol=0.05, atol=0.05 * float(value.abs().max())
        )


def test_keeps_only_what_norms_read() -> None:
    a, b, stack, w = given(8, 8)
    made = norms(True, 2)
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        kernel(made, (a, b, stack, w))
    read = sum(t.untyped_storage().nbytes() for t in (a, b, stack))
    assert read <= sum(kept.values()) < read + a.untyped_storage().nbytes()
