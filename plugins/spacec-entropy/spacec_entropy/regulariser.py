"""The architecture-entropy regulariser (Jing, Chen & Xu, *An architecture entropy regularizer for differentiable neural
architecture search*, Neural Networks, 2023)::

    L_arch    = L_val + lambda(e) mean over edges of H2(softmax(alpha_edge))        H2(p) = -sum p log2 p
    lambda(e) = last + (first - last) (1 + cos(pi e / E)) / 2                         first = -0.2, last = 0.2

With a negative weight the entropy is raised (all candidates are explored), with a positive one lowered (one candidate
is decided on). Where architecture steps begin later (``arch_from``), ``e`` and ``E`` are counted from there, as in the
released variants with warm-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import cos, log, pi

import torch
from torch import Tensor

from spacec.search.gradient import GradientOptions, GradientStrategy
from spacec.search.options import option
from spacec.search.strategy import Phase
from spacec.search.task import OutLike


@dataclass(frozen=True)
class EntropyOptions(GradientOptions):
    """Options of :class:`EntropyRegulariser`; join them to those of the strategy that it is mixed into."""

    entropy_first: float = option(-0.2, "weight of the mean entropy at the first architecture step")
    entropy_last: float = option(0.2, "weight that a cosine approaches at the end of the search")


def entropy(logits: Tensor) -> Tensor:
    """Entropy of ``softmax(logits)`` in bits: ``(n,)`` to a scalar between 0 and log2 n, with finite gradients."""
    logs = logits.log_softmax(0)
    return -(logs.exp() * logs).sum() / log(2.0)


def mean_entropy(logits: Iterable[Tensor]) -> Tensor:
    """The mean of :func:`entropy` over edges. A scalar."""
    return torch.stack([entropy(a) for a in logits]).mean()


def entropy_weight(epoch: int, epochs: int, first: float = -0.2, last: float = 0.2) -> float:
    """lambda after ``epoch`` of ``epochs`` epochs with architecture steps: a half cosine from ``first`` to ``last``."""
    return last + (first - last) * (1.0 + cos(pi * epoch / max(1, epochs))) / 2.0


class EntropyRegulariser(GradientStrategy):
    """Adds the term to the architecture loss of any :class:`~spacec.search.gradient.GradientStrategy`.

    Put it before the strategy among the bases, and its options before the strategy's::

        @dataclass(frozen=True)
        class MyOptions(EntropyOptions, DARTSOptions): ...

        class Mine(EntropyRegulariser, DARTS):
            Options = MyOptions

    The edges are the slots with logits; weights of edges against each other (``pick(edges = 1)``) are none.
    """

    options: EntropyOptions

    def extra_loss(self, out: OutLike, phase: Phase) -> Tensor | None:
        other = super().extra_loss(out, phase)
        if phase == "weights":
            return other
        term = self.entropy_weight() * self.mean_entropy()
        return term if other is None else other + term

    def entropy_weight(self) -> float:
        """lambda of the present epoch."""
        start = self.ctx.config.arch_from
        epoch, epochs = max(0, self.ctx.epoch - start), self.ctx.epochs - start
        return entropy_weight(epoch, epochs, self.options.entropy_first, self.options.entropy_last)

    def mean_entropy(self) -> Tensor:
        """In bits, over the slots of operations. A scalar that carries gradient to the logits."""
        return mean_entropy(self.logits[slot.id] for slot in self.logits.slots if not slot.edges)
