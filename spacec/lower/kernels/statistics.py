"""Statistics of batch norms: those of a batch, and what a batch makes of the running ones.

Ioffe & Szegedy, ICML 2015, algorithm 1: the mean and the biased variance of every channel normalise a batch; running
ones take the mean and the unbiased variance in, by a momentum or as a plain average (``momentum = None``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from spacec.lower.kernels.native import affine
from spacec.lower.kernels.native.separable import moments


@dataclass(frozen=True)
class NormState:
    """A batch norm in one pass: the tensors that it has now, which may stand in for its module's, and what it does.

    All tensors are ``[C]``, but for the number of batches ``count`` ``[]``. ``batch``: it normalises by the statistics
    of the batch; ``tracks``: the running ones take them in.
    """

    weight: Tensor | None
    bias: Tensor | None
    mean: Tensor | None
    var: Tensor | None
    count: Tensor | None
    momentum: float | None
    eps: float
    batch: bool
    tracks: bool

    @property
    def plain(self) -> bool:
        """Whether it has no weights."""
        return self.weight is None and self.bias is None

    @property
    def running(self) -> tuple[Tensor, Tensor]:
        """Running mean and variance, as constants; a norm that ignores the batch has them."""
        assert self.mean is not None, "nothing else is left to normalise by"
        assert self.var is not None, "nothing else is left to normalise by"
        return self.mean.detach(), self.var.detach()


def read_norm(module: _BatchNorm) -> NormState:
    """The norm that a module is in its present mode."""
    stored = module.running_mean is not None
    return NormState(
        weight=module.weight,
        bias=module.bias,
        mean=module.running_mean,
        var=module.running_var,
        count=module.num_batches_tracked,
        momentum=module.momentum,
        eps=module.eps,
        batch=module.training or not stored,
        tracks=module.training and module.track_running_stats and stored,
    )


def over(z: Tensor) -> tuple[int, ...]:
    """The dimensions over which a batch norm takes statistics: all but the channels."""
    return (0, *range(2, z.dim()))


def column(x: Tensor, like: Tensor) -> Tensor:
    """Numbers by channel ``[…, C]``, to be broadcast over ``like [N, C, …]``."""
    return x.view(*x.shape, *[1] * (like.dim() - 2))


def statistics(z: Tensor, native: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and biased variance ``[C]`` of ``[N, C, …]``; single precision of half precision numbers. Without gradients.

    Raises :class:`ValueError` where every channel has one value only, as PyTorch's batch norm does.
    """
    if z.numel() == z.shape[1]:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(z.shape)}")
    with torch.no_grad():
        z = z.detach()
        z = z.float() if z.dtype in (torch.bfloat16, torch.float16) else z
        dims = over(z)
        if z.device.type != "cpu" or torch.compiler.is_compiling():
            var, mean = torch.var_mean(z, dims, correction=0)
            return mean, var
        if native and affine.ready([z], z.shape[1]) and z.is_contiguous(memory_format=torch.channels_last):
            return moments(z)
        # PyTorch's own take a number at a time here, and with it lose time or digits: by layout, one or the other.
        mean = z.mean(dims)
        centred = z - column(mean, z)
        return mean, centred.mul_(centred).mean(dims)


def track(norms: Sequence[NormState], means: Sequence[Tensor], variances: Sequence[Tensor], values: int) -> None:
    """Let the running statistics of ``norms`` take in those of a batch with ``values`` numbers in a channel, in place.

    A norm that stands twice takes them in twice, in order.
    """
    with torch.no_grad():
        rounds: dict[tuple[int, float | None], list[int]] = {}
        seen: dict[int, int] = {}
        for k, norm in enumerate(norms):
            if norm.tracks:
                turn = seen[id(norm.mean)] = seen.get(id(norm.mean), -1) + 1
                rounds.setdefault((turn, norm.momentum), []).append(k)
        for (_, momentum), members in rounds.items():
            counts = [count for count in [norms[k].count for k in members] if count is not None]
            if counts:
                torch._foreach_add_(counts, 1)
            factors = [momentum] if momentum is not None else [1.0 / float(c) for c in counts]
            unbiased = torch._foreach_mul([variances[k] for k in members], values / (values - 1))
            for place, factor in enumerate(factors):
                chosen = members if momentum is not None else members[place : place + 1]
                _blend([norms[k].mean for k in chosen], [means[k] for k in chosen], factor)
                some = unbiased if momentum is not None else unbiased[place : place + 1]
                _blend([norms[k].var for k in chosen], some, factor)


def _blend(running: Sequence[Tensor | None], fresh: Sequence[Tensor], factor: float) -> None:
    stored = [r for r in running if r is not None]
    torch._foreach_lerp_(stored, [f.to(s.dtype) for f, s in zip(fresh, stored, strict=True)], factor)
