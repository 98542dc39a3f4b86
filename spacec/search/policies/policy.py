"""A policy pi(a; theta): a distribution over the architectures of a space whose parameters follow rewards.

REINFORCE (Williams, Machine Learning 8, 1992) ascends the expected reward J = E_{a ~ pi}[R(a)] by

    grad J = E_{a ~ pi}[(R(a) - b) grad log pi(a; theta)]        for any b that does not depend on a

so all that a controller of any kind has to give are draws and the logarithm of their probability.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from torch import Tensor

from spacec.space.architecture import Architecture


class Policy(ABC):
    """Base of policies over the valid architectures of one space."""

    @abstractmethod
    def parameters(self) -> list[Tensor]:
        """What learns: leaves that require grad."""

    @abstractmethod
    def draw(self, rng: Random) -> Architecture:
        """A valid architecture, by its probability. Raises :class:`SpacecError` (E0511) where none is found."""

    @abstractmethod
    def log_probability(self, arch: Architecture) -> Tensor:
        """log pi(arch): a scalar with gradient to :meth:`parameters`.

        Only decisions that ``arch`` makes count. It is that of the draw given that it is valid, where the policy knows
        how probable that is.
        """

    @abstractmethod
    def entropy(self, arch: Architecture) -> Tensor:
        """The sum of the entropies, in nats, of the decisions that ``arch`` makes: a scalar with gradient."""

    @abstractmethod
    def best(self) -> Architecture:
        """The valid architecture that it holds for the most probable; draws nothing."""

    @abstractmethod
    def probabilities(self) -> Mapping[str, Sequence[float]]:
        """By mask slot, for the record; empty for a policy that has none of a slot by itself."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain data, for a checkpoint."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become as it was when ``state`` was taken."""
