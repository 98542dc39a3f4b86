"""What is common to the processes of a search, what is a process's own, and the maps between the two.

Outside a network tensors are *common*: every process holds the same. Inside they are its *own*: of its samples only.
Four maps lead from one to the other; each is the transpose of another, so a pass can be differentiated any number of
times, and its derivatives are those of one process with the whole batch::

    enter   common -> own      itself                    transpose: total
    total   own -> common      the sum over processes    transpose: enter
    share   common -> own      the process's samples     transpose: whole
    whole   own -> common      the samples of all        transpose: share

(Enter and total are f and g of Shoeybi et al., Megatron-LM, 2019, sec. 3, here for samples.) Messages are sent in the
order of the program and of its derivative, which is the same on all processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.ranks import REFUSED, Ranks


@dataclass(frozen=True)
class Part:
    """Which samples of a batch are this process's: ``sizes[r]`` in a row are those of process ``r``.

    A process without samples runs the first one beside the others, for nobody: its output is left out, its gradient is
    zero and it counts in no statistics.
    """

    ranks: Ranks
    sizes: tuple[int, ...]

    @staticmethod
    def of(ranks: Ranks, samples: int) -> Part:
        """As even as can be, the first ones one more."""
        least, more = divmod(samples, ranks.size)
        return Part(ranks, tuple(least + (r < more) for r in range(ranks.size)))

    @property
    def samples(self) -> int:
        return sum(self.sizes)

    @property
    def count(self) -> int:
        """Samples of this process."""
        return self.sizes[self.ranks.rank]

    @property
    def held(self) -> int:
        """Samples that it runs: at least one."""
        return max(1, self.count)

    @property
    def start(self) -> int:
        return sum(self.sizes[: self.ranks.rank]) if self.count else 0

    def rows(self, tensor: Tensor, per_sample: int = 1) -> Tensor:
        """The rows of a tensor of the whole batch that this process runs, ``per_sample`` for each of its samples."""
        return tensor.narrow(0, self.start * per_sample, self.held * per_sample)


def enter(ranks: Ranks, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Common tensors as own ones."""
    return list(_Enter.apply(ranks, *tensors)) if tensors else []  # type: ignore[no-untyped-call]  # torch's


def total(ranks: Ranks, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Own tensors, of one shape everywhere, summed over the processes."""
    return list(_Total.apply(ranks, *tensors)) if tensors else []  # type: ignore[no-untyped-call]  # torch's


def share(part: Part, tensor: Tensor) -> Tensor:
    """Own samples of a common tensor."""
    found: Tensor = _Share.apply(part, tensor)  # type: ignore[no-untyped-call]  # torch's
    return found


def whole(part: Part, tensor: Tensor) -> Tensor:
    """The samples of all processes of own tensors; as many rows for each sample as they have here."""
    if tensor.dim() == 0 or tensor.shape[0] % part.held:
        raise refused(f"an output of shape {tuple(tensor.shape)} has no axis of samples, of which {part.held} ran")
    per_sample = tensor.shape[0] // part.held
    rows = Part(part.ranks, tuple(n * per_sample for n in part.sizes))
    found: Tensor = _Whole.apply(rows, tensor[: rows.count])  # type: ignore[no-untyped-call]  # torch's
    return found


class _Enter(Function):
    @staticmethod
    def forward(ctx: Any, ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.ranks = ranks
        ctx.set_materialize_grads(False)
        return tuple(t.view_as(t) for t in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        return (None, *_spread(gradients, lambda found: total(ctx.ranks, found)))


class _Total(Function):
    @staticmethod
    def forward(ctx: Any, ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.ranks = ranks
        ctx.set_materialize_grads(False)
        return tuple(summed(ranks, tensors))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        return (None, *_spread(gradients, lambda found: enter(ctx.ranks, found)))


class _Share(Function):
    @staticmethod
    def forward(ctx: Any, part: Part, tensor: Tensor) -> Tensor:
        ctx.part = part
        return part.rows(tensor).clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, whole(ctx.part, gradient)


class _Whole(Function):
    @staticmethod
    def forward(ctx: Any, part: Part, tensor: Tensor) -> Tensor:
        ctx.part = part
        return gathered(part.ranks, tensor, part.sizes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        own = share(ctx.part, gradient)
        return None, own[: ctx.part.count]


def _spread(given: Sequence[Tensor | None], work: Callable[[list[Tensor]], list[Tensor]]) -> tuple[Tensor | None, ...]:
    """``work`` on those that are there; the others stay away."""
    found = iter(work([g for g in given if g is not None]))
    return tuple(None if g is None else next(found) for g in given)


def summed(ranks: Ranks, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The sum over processes of each tensor, to the same bits on all of them; one message for each kind of number."""
    found: dict[int, Tensor] = {}
    kinds = dict.fromkeys((t.dtype, t.device) for t in tensors)
    for kind in kinds:
        places = [i for i, t in enumerate(tensors) if (t.dtype, t.device) == kind]
        flat = torch.cat([tensors[i].reshape(-1) for i in places])
        with ranks.together():
            dist.all_reduce(flat)
        parts = flat.split_with_sizes([tensors[i].numel() for i in places])
        found |= {i: p.view(tensors[i].shape) for i, p in zip(places, parts, strict=True)}
    return [found[i] for i in range(len(tensors))]


def gathered(ranks: Ranks, tensor: Tensor, sizes: Sequence[int]) -> Tensor:
    """Rows of all processes, ``sizes[r]`` of process ``r``, one after the other."""
    most = max(sizes)
    padded = tensor.new_zeros((most, *tensor.shape[1:]))
    padded[: tensor.shape[0]] = tensor
    found = [torch.empty_like(padded) for _ in sizes]
    with ranks.together():
        dist.all_gather(found, padded)
    return torch.cat([rows[:n] for rows, n in zip(found, sizes, strict=True)])


def refused(headline: str) -> SpacecError:
    """E0856: several processes cannot do this together."""
    return SpacecError(Diagnostic(REFUSED, headline, help="run it in one process"))
