"""Mean and variance of tensors that come one by one (Welford)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Running:
    """``mean`` and ``variance`` (unbiased; zero of a single value) of what was added, entry by entry, in doubles.

    An entry that was never counted has mean zero and ``count`` zero.
    """

    count: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.double))
    mean: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.double))
    _squares: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.double))

    def add(self, value: Tensor, counts: Tensor | None = None) -> None:
        """``counts``: which entries of ``value`` are values at all (boolean, of its shape); none for all."""
        value = value.detach().double().cpu()
        told = torch.ones_like(value) if counts is None else counts.double().cpu()
        self.count = self.count + told
        step = value - self.mean
        self.mean = self.mean + told * step / self.count.clamp(min=1)
        self._squares = self._squares + told * step * (value - self.mean)

    @property
    def variance(self) -> Tensor:
        return self._squares / (self.count - 1).clamp(min=1)
