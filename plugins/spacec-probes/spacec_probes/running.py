"""Mean and variance of tensors that come one by one (Welford)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Running:
    """``mean`` and ``variance`` (unbiased; zero of a single one) of what was added, in double precision."""

    count: int = 0
    mean: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.double))
    _squares: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.double))

    def add(self, value: Tensor) -> None:
        value = value.detach().double().cpu()
        self.count += 1
        step = value - self.mean
        self.mean = self.mean + step / self.count
        self._squares = self._squares + step * (value - self.mean)

    @property
    def variance(self) -> Tensor:
        return self._squares / max(1, self.count - 1)
