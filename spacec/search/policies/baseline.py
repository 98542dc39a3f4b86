"""The baseline that a reward is compared with: a moving average of rewards, corrected for its start.

    num <- m num + (1 - m) R,   den <- m den + (1 - m),   b = num / den

Williams' baseline must not depend on the action, so it is that of the rewards ``before``. Some released codes take the
reward in first (``with``: NAS-Bench-201, TabNAS), which scales the first advantages down; the first is then 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Order = Literal["before", "with"]


@dataclass
class MovingAverage:
    """``momentum``: the weight of what was before, below 1."""

    momentum: float
    order: Order = "before"
    total: float = 0.0
    weight: float = 0.0
    """The moving average of rewards is ``total / weight``: that of rewards over that of ones."""

    @property
    def value(self) -> float | None:
        """The average; ``None`` before the first reward."""
        return self.total / self.weight if self.weight else None

    def advantage(self, reward: float) -> float:
        """R - b; the average takes the reward in. 0 for the first reward."""
        before = reward if self.value is None else self.value
        self.total = self.momentum * self.total + (1 - self.momentum) * reward
        self.weight = self.momentum * self.weight + (1 - self.momentum)
        return reward - (self.total / self.weight if self.order == "with" else before)

    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total, "weight": self.weight}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.total, self.weight = float(state["total"]), float(state["weight"])
