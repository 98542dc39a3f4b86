r"""Loss, entropy and their difference, by whether a sample is classified correctly.

With logits z, p = softmax(z) and the true class y, per sample: loss -log p_y, entropy H = -sum_j p_j log p_j, and

    loss - H = sum_j p_j z_j - z_y ,

the cost that the edges into the output carry together (Xie, Hu et al., AISTATS 2021). It is not positive where the
sample is classified correctly, as -log p_max <= H.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from spacec.search.task import Batch, OutLike

GROUPS = ("correct", "wrong", "total")
QUANTITIES = ("loss", "entropy", "loss - entropy")
COUNT = "count"


def classified(out: OutLike, batch: Batch) -> tuple[Tensor, Tensor] | None:
    """Logits ``(N, K)`` and classes ``(N,)`` of the first output, where it is a classifier's; else ``None``.

    Classes are axis 1 of the prediction ``(B, K, ...)``, K > 1, and the target is whole numbers ``(B, ...)``; each
    position is a sample. What a mask leaves out, and targets that are no class (-100), do not count.
    """
    z, y = out.prediction.detach(), batch.target
    if z.dim() < 2 or z.shape[1] < 2 or y.is_floating_point() or y.dtype == torch.bool:
        return None
    if y.shape != z.shape[:1] + z.shape[2:]:
        return None
    counts = (y >= 0) & (y < z.shape[1])
    mask = batch.mask(next(iter(batch.targets)))
    if mask is not None:
        counts &= mask.expand_as(y) > 0
    return z.movedim(1, -1)[counts].double(), y[counts]


class Samples:
    """Sums over samples, by group."""

    def __init__(self) -> None:
        self._sums = {group: torch.zeros(len(QUANTITIES), dtype=torch.double) for group in GROUPS}
        self._counts = dict.fromkeys(GROUPS, 0)

    def add(self, z: Tensor, y: Tensor) -> None:
        """Logits ``(N, K)`` and classes ``(N,)``."""
        logs = z.log_softmax(1)
        p = logs.exp()
        loss = -logs.gather(1, y[:, None])[:, 0]
        cost = (p * z).sum(1) - z.gather(1, y[:, None])[:, 0]
        values = torch.stack([loss, -(p * logs).sum(1), cost], 1).cpu()
        right = (z.argmax(1) == y).cpu()
        for group, rows in zip(GROUPS, (right, ~right, torch.ones_like(right)), strict=True):
            self._sums[group] += values[rows].sum(0)
            self._counts[group] += int(rows.sum())

    def rows(self) -> Mapping[tuple[str, str], float]:
        """Means and counts by (quantity, group); a group without samples has a count only."""
        found: dict[tuple[str, str], float] = {}
        for group, count in self._counts.items():
            found[COUNT, group] = count
            if count:
                means = (self._sums[group] / count).tolist()
                found |= {(name, group): mean for name, mean in zip(QUANTITIES, means, strict=True)}
        return found
