"""RobustDARTS' criterion: how fast the dominant eigenvalue grows, smoothed over epochs.

With l(i) the eigenvalue after epoch i and h = window // 2::

    s(c) = mean of l(i), max(0, c - h) <= i <= c + h          known after epoch e = c + h (an even window ends there)
    after epoch e:  c = e - h,  b = c - delta,  if b >= start
    s(c) / s(b) > factor  =>  the search has gone too far; b is the epoch whose architecture is kept

These are the released code's numbers and its order of epochs (``EVLocalAvg``), with an eigenvalue after each epoch.
The ratio says how far the curvature grew only where both averages are positive; it never exceeds otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Criterion:
    """``window`` epochs of an average, ``delta`` epochs between the two compared, of which none is before ``start``."""

    window: int = 5
    delta: int = 4
    factor: float = 1.3
    start: int = 10

    @property
    def reach(self) -> int:
        """How many epochs before the present one the kept epoch lies."""
        return self.window // 2 + self.delta

    def kept(self, epoch: int) -> int | None:
        """The epoch that is kept if the criterion is met after ``epoch``; ``None`` before there is one."""
        found = epoch - self.reach
        return found if found >= self.start else None

    def growth(self, eigenvalues: Sequence[float], earliest: int = 0) -> float:
        """s(c) / s(b) after the last of the eigenvalues of epochs 0, 1, … where that is too much; 0 where it is not.

        ``earliest``: the first epoch that may be kept, where it is later than ``start``.
        """
        epoch = len(eigenvalues) - 1
        kept = self.kept(epoch)
        if kept is None or kept < earliest:
            return 0.0
        now, before = self.average(eigenvalues, epoch), self.average(eigenvalues, epoch - self.delta)
        return now / before if before > 0 and now > self.factor * before else 0.0

    def average(self, eigenvalues: Sequence[float], epoch: int) -> float:
        """The mean over the window that ends after ``epoch``."""
        taken = eigenvalues[max(0, epoch - self.window + 1) : epoch + 1]
        return sum(taken) / len(taken)
