"""Exponentiated gradient: mirror descent on the simplex with the entropy as mirror map.

    p' = argmin over q in the simplex of  lr <g, q> + KL(q || p)                        (proximal form)
       = p exp(-lr g) / Z                                                              (closed form)

The logarithm of a point is kept beside it, so that no entry underflows to a zero from which it could not come back,
and no gradient is too large: ``log p' = log_softmax(log p - lr g)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import overload

import torch
from torch import Tensor


def mirror_step(logs: Tensor, gradient: Tensor, rate: float) -> Tensor:
    """One step from the point whose logarithm is ``logs`` ``(n,)`` against ``gradient`` ``(n,)``; a logarithm too."""
    return (logs - rate * gradient).log_softmax(0)


class ExponentiatedGradient(torch.optim.Optimizer):
    """Trains points of simplices by :func:`mirror_step`.

    Each of ``simplices`` lists the parameters whose entries sum to one between them: one vector, or several. The
    parameters are points, not logarithms; entries must be positive, but need not sum to one before the first step.
    """

    def __init__(self, simplices: Iterable[Sequence[Tensor]], lr: float) -> None:
        super().__init__([{"params": list(points)} for points in simplices], {"lr": lr})
        for group in self.param_groups:
            for point in group["params"]:
                self.state[point]["log"] = point.detach().log()

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of every simplex; a parameter without gradient has the gradient zero."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            points: list[Tensor] = group["params"]
            logs = torch.cat([self.state[p]["log"] for p in points])
            gradient = torch.cat([torch.zeros_like(p) if p.grad is None else p.grad for p in points])
            moved = mirror_step(logs, gradient, group["lr"])
            for point, log in zip(points, torch.split(moved, [len(p) for p in points]), strict=True):
                self.state[point]["log"] = log.clone()
                point.copy_(log.exp())
        return loss
