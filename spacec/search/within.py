"""What a network does with its batch as a whole, done for the batch of all processes: norms, and drawing.

It is told of every function of torch that the network calls, whoever wrote the module that calls it
(:class:`torch.overrides.TorchFunctionMode`); there is no second form of any layer.

* ``F.batch_norm`` in training takes mean and variance over the samples of all processes (one message forward, one
  backward), and moves running statistics by them.
* What draws from torch's global generators draws for all samples on every process, which keeps its own: the numbers are
  those that one process draws, and the generators move alike. A tensor belongs to the samples if its first axis is as
  long as there are samples here (a multiple of it, for dropout); anything else is drawn alike by all.
* What draws in another way, or keeps statistics of the batch in another way, is refused (E0856).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode

from spacec.search.shares import Part, enter, refused, total, whole


class Within(TorchFunctionMode):
    """In force while a network runs the samples of ``part``."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.part = part

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        instead = _INSTEAD.get(func)
        if instead is None:
            return func(*args, **(kwargs or {}))
        return instead(self.part, func, *args, **(kwargs or {}))


# ------------------------------------------------------------------ batch norm


def batch_norm(
    part: Part,
    func: Callable[..., Tensor],
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``F.batch_norm`` over the samples of all processes."""
    if not training:
        return func(input, running_mean, running_var, weight, bias, training, momentum, eps)
    counts = _counts(part, input)
    if sum(counts) <= 1:
        raise ValueError(f"a batch norm in training needs more than 1 value per channel, found {tuple(input.shape)}")
    y, mean, var = _Norm.apply(part, input, weight, bias, eps)  # type: ignore[no-untyped-call]  # torch's
    with torch.no_grad():
        if running_mean is not None:
            running_mean.mul_(1 - momentum).add_(mean.to(running_mean), alpha=momentum)
        if running_var is not None:
            unbiased = var * (sum(counts) / (sum(counts) - 1))
            running_var.mul_(1 - momentum).add_(unbiased.to(running_var), alpha=momentum)
    found: Tensor = y
    return found


def _counts(part: Part, x: Tensor) -> tuple[int, ...]:
    """Values of a channel, by process."""
    if x.shape[0] % part.held:
        raise refused(f"a batch norm of shape {tuple(x.shape)} while {part.held} samples run")
    return tuple(n * (x.shape[0] // part.held) * prod(x.shape[2:]) for n in part.sizes)


class _Norm(Function):
    """(y, mean, variance) of ``x`` ``[N, C, *space]``, of which every process has its rows.

    With x^ = (x - mean) / s, s² = variance + eps, and sums over all n values of a channel, on all processes:
    dL/dx = weight/s (dy - Σ dy / n - x^ Σ dy x^ / n). Where a further derivative is asked for, mean and variance are
    made again from x, by functions that have one.
    """

    @staticmethod
    def forward(
        ctx: Any, part: Part, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, var = _statistics(part, x)
        ctx.part, ctx.eps, ctx.biased = part, eps, bias is not None
        ctx.save_for_backward(x, weight, mean, var)
        ctx.mark_non_differentiable(mean, var)
        ctx.set_materialize_grads(False)
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps), mean, var

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        part: Part = ctx.part
        x, weight, mean, var = ctx.saved_tensors
        if dy is None:
            return (None,) * 5
        if torch.is_grad_enabled():
            mean, var = enter(part.ranks, _statistics(part, x))
        axes = (0, *range(2, x.dim()))
        scale = torch.rsqrt(var + ctx.eps)
        normal = (x - _channels(mean, x)) * _channels(scale, x)
        by_bias, by_weight = dy.sum(axes), (dy * normal).sum(axes)
        all_bias, all_weight = enter(part.ranks, total(part.ranks, [by_bias, by_weight]))
        n = sum(_counts(part, x)) if part.count else inf  # a sample that is run for nobody is in no statistics
        inner = dy - _channels(all_bias / n, x) - normal * _channels(all_weight / n, x)
        dx = inner * _channels(scale if weight is None else scale * weight, x)
        return None, dx, None if weight is None else by_weight, by_bias if ctx.biased else None, None


def _statistics(part: Part, x: Tensor) -> list[Tensor]:
    """Mean and (biased) variance of all values of each channel, from those of each process (Chan et al., 1979)."""
    counts = _counts(part, x)
    own = x if part.count else x[:0]
    axes = (0, *range(2, x.dim()))
    mean = own.sum(axes) / max(1, counts[part.ranks.rank])
    squares = (own - _channels(mean, x)).square().sum(axes)
    means, all_squares = whole(Part(part.ranks, (1,) * part.ranks.size), torch.stack((mean, squares))[None]).unbind(1)
    numbers = x.new_tensor(counts).unsqueeze(1)
    common = (means * numbers).sum(0) / sum(counts)
    between = ((means - common).square() * numbers).sum(0)
    return [common, (all_squares.sum(0) + between) / sum(counts)]


def _channels(vector: Tensor, like: Tensor) -> Tensor:
    return vector.reshape(1, -1, *(1,) * (like.dim() - 2))


# ------------------------------------------------------------------ drawing


def dropout(
    part: Part, func: Callable[..., Tensor], input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """A dropout: zeros and scales are those of ones, drawn for all samples."""
    if not training or p == 0.0:
        return func(input, p, training, inplace)
    if input.dim() == 0 or input.shape[0] % part.held:
        return func(input, p, training, inplace)
    per_sample = input.shape[0] // part.held
    with torch.no_grad():
        ones = _for_all(part, input, per_sample).fill_(1.0)
        factors = part.rows(func(ones, p, True, False), per_sample)
    return input.mul_(factors) if inplace else input * factors


def in_place(part: Part, func: Callable[..., Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """``x.normal_()`` and others that fill a tensor with numbers."""
    if any(isinstance(a, Tensor) and a.dim() for a in (*args, *kwargs.values())):
        raise refused(f"'{func.__name__}' with a parameter for each number")
    if not _of_samples(part, x):
        return func(x, *args, **kwargs)
    with torch.no_grad():
        drawn = func(_for_all(part, x), *args, **kwargs)
    return x.copy_(part.rows(drawn))


def like(part: Part, func: Callable[..., Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """``torch.rand_like(x)`` and others."""
    if not _of_samples(part, x):
        return func(x, *args, **kwargs)
    return part.rows(func(_for_all(part, x), *args, **kwargs))


def sized(part: Part, func: Callable[..., Tensor], *size: Any, **kwargs: Any) -> Tensor:
    """``torch.randn(n, …)`` and ``torch.rand(n, …)``."""
    if "size" in kwargs:
        size = tuple(kwargs.pop("size"))
    elif len(size) == 1 and not isinstance(size[0], int):
        size = tuple(size[0])
    if not size or size[0] != part.held:
        return func(*size, **kwargs)
    return part.rows(func(part.samples, *size[1:], **kwargs))


def bernoulli(part: Part, func: Callable[..., Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """``torch.bernoulli(x)``: as many draws whatever the probabilities."""
    if not _of_samples(part, x):
        return func(x, *args, **kwargs)
    with torch.no_grad():
        padded = _for_all(part, x).zero_()
        part.rows(padded).copy_(x)
        return part.rows(func(padded, *args, **kwargs))


def _of_samples(part: Part, x: Tensor) -> bool:
    return x.dim() > 0 and x.shape[0] == part.held


def _for_all(part: Part, x: Tensor, per_sample: int = 1) -> Tensor:
    """Memory for the samples of all processes, laid out as ``x`` is: numbers are drawn in the order of memory."""
    shape = (part.samples * per_sample, *x.shape[1:])
    strides = x.stride()
    order = sorted(range(x.dim()), key=lambda axis: -strides[axis])
    back = sorted(range(x.dim()), key=order.__getitem__)
    return x.new_empty([shape[axis] for axis in order]).permute(back)


# ------------------------------------------------------------------ what cannot be shared


def drawing(part: Part, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What may draw by itself: refused where it does."""
    devices = [x.device for x in (*args, *kwargs.values()) if isinstance(x, Tensor) and x.device.type == "cuda"]
    states = [torch.get_rng_state(), *(torch.cuda.get_rng_state(d) for d in devices)]
    found = func(*args, **kwargs)
    after = [torch.get_rng_state(), *(torch.cuda.get_rng_state(d) for d in devices)]
    if any(not torch.equal(a, b) for a, b in zip(states, after, strict=True)):
        raise refused(f"the network calls '{func.__name__}', which draws for the samples of one process alone")
    return found


def norming(part: Part, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A batch norm by torch's own function; ``F.batch_norm`` is the one that can be shared."""
    if kwargs.get("training", args[5] if len(args) > 5 else False):
        raise refused(f"the network calls '{func.__name__}', a norm of the samples of one process alone")
    return func(*args, **kwargs)


def instance_norm(
    part: Part,
    func: Callable[..., Tensor],
    input: Tensor,
    running_mean: Tensor | None = None,
    *args: Any,
    **kwargs: Any,
) -> Tensor:
    """An instance norm is of each sample alone, its running statistics are of the batch."""
    if running_mean is not None:
        raise refused("an instance norm with running statistics keeps those of the samples of one process alone")
    return func(input, running_mean, *args, **kwargs)


_IN_PLACE = ("bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_")
_DRAWING = (
    *(F.alpha_dropout, F.feature_alpha_dropout, F.gumbel_softmax, F.rrelu, F.multi_head_attention_forward),
    *(F.scaled_dot_product_attention, torch.dropout, torch.native_dropout, torch.feature_dropout, torch.alpha_dropout),
    *(torch.multinomial, torch.normal, torch.poisson, torch.randint, torch.randperm),
)
_INSTEAD: dict[Any, Callable[..., Any]] = {
    F.batch_norm: batch_norm,
    F.instance_norm: instance_norm,
    torch.batch_norm: norming,
    torch.native_batch_norm: norming,
    torch.bernoulli: bernoulli,
    **dict.fromkeys((F.dropout, F.dropout1d, F.dropout2d, F.dropout3d), dropout),
    **{getattr(torch.Tensor, name): in_place for name in _IN_PLACE},
    **dict.fromkeys((torch.rand_like, torch.randn_like, torch.randint_like), like),
    **dict.fromkeys((torch.rand, torch.randn), sized),
    **dict.fromkeys(_DRAWING, drawing),
}
