"""How one decision is drawn, given what was decided before it.

A candidate is drawn by a softmax. A pick takes a subset S of the elements, of ``low`` to ``high`` of them, with

    P(S) = exp(sum of the scores of S) / Z,      Z the sum of that over all subsets of an allowed size

whose Z is a sum of elementary symmetric polynomials, exact in O(n high). Without bounds it is an independent coin
sigmoid(score) for every element (ENAS' skips); one of n is a softmax (an ENAS cell's input); and k of n is that of k
draws of a softmax given that they differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from random import Random
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from spacec.space.values import Value


class Law(Protocol):
    """A distribution over the values of a decision; what is a tensor is a scalar with gradient."""

    def log_probability(self, value: Value) -> Tensor: ...
    def entropy(self) -> Tensor:
        """In nats."""
        ...

    def chances(self) -> Tensor:
        """Of each candidate, or element, that it is taken: ``(n,)``."""
        ...

    def draw(self, rng: Random) -> Value: ...
    def likeliest(self) -> Value: ...


@dataclass(frozen=True)
class Softmax:
    """``logits``: ``(n,)``, of the candidates."""

    logits: Tensor

    def log_probability(self, value: Value) -> Tensor:
        assert isinstance(value, int)
        return self.logits.log_softmax(0)[value]

    def entropy(self) -> Tensor:
        logs = self.logits.log_softmax(0)
        return -(logs.exp() * logs).sum()

    def chances(self) -> Tensor:
        return self.logits.softmax(0)

    def draw(self, rng: Random) -> int:
        weights = self.chances().tolist()
        return rng.choices(range(len(weights)), weights=weights)[0]

    def likeliest(self) -> int:
        return int(self.logits.argmax())


@dataclass(frozen=True)
class Subset:
    """``scores``: ``(n,)``, of the elements; ``low`` to ``high`` of them are taken."""

    scores: Tensor
    low: int
    high: int

    @property
    def free(self) -> bool:
        """Whether every subset is allowed: then each element is a coin."""
        return self.low == 0 and self.high >= len(self.scores)

    def log_probability(self, value: Value) -> Tensor:
        assert isinstance(value, tuple)
        return self.scores[list(value)].sum() - self._log_normaliser(self.scores)

    def entropy(self) -> Tensor:
        return self._log_normaliser(self.scores) - (self.chances() * self.scores).sum()

    def chances(self) -> Tensor:
        if self.free:
            return self.scores.sigmoid()
        with torch.enable_grad():  # d log Z / d score
            scores = self.scores if self.scores.requires_grad else self.scores.detach().requires_grad_()
            above = self._log_normaliser(scores)
            (found,) = torch.autograd.grad(above, scores, create_graph=self.scores.requires_grad)
        return found

    def draw(self, rng: Random) -> tuple[int, ...]:
        scores = self.scores.tolist()
        if self.free:
            return tuple(e for e, p in enumerate(self.scores.sigmoid().tolist()) if rng.random() < p)
        rows = [row.tolist() for row in _sizes(self.scores.detach(), self.high)]
        sizes = rows[-1][self.low :]
        left = self.low + rng.choices(range(len(sizes)), weights=[exp(x - max(sizes)) for x in sizes])[0]
        taken: list[int] = []
        for e in reversed(range(len(scores))):
            if left == 0:
                break
            if left > e or rng.random() < exp(rows[e][left - 1] + scores[e] - rows[e + 1][left]):
                taken.append(e)
                left -= 1
        return tuple(reversed(taken))

    def likeliest(self) -> tuple[int, ...]:
        scores = self.scores.tolist()
        ranked = sorted(range(len(scores)), key=lambda e: -scores[e])
        worth = sum(s > 0 for s in scores)
        return tuple(sorted(ranked[: min(self.high, max(self.low, worth))]))

    def _log_normaliser(self, scores: Tensor) -> Tensor:
        if self.free:
            return F.softplus(scores).sum()
        return _sizes(scores, self.high)[-1][self.low :].logsumexp(0)


def _sizes(scores: Tensor, high: int) -> Sequence[Tensor]:
    """After each element, the logarithm of the sum over the subsets of k of those so far, for k up to ``high``."""
    rows = [scores.new_zeros(1)]
    for score in scores:
        last = rows[-1]
        more = last + score
        both = torch.logaddexp(last[1:], more[:-1])
        rows.append(torch.cat([last[:1], both, more[-1:]])[: high + 1])
    return rows
