"""The architectures of a space varied and compared, for evolutionary and local search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from spacec.facade.form import Form
from spacec.space import variation
from spacec.space.architecture import Architecture
from spacec.space.distance import Weights, distance, distances
from spacec.space.mutation import mutate_several, named, neighbour

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Variation(Form):
    """Architectures near to architectures. What is returned is valid: conditions and constraints hold."""

    def mutate(
        self,
        arch: Architecture,
        seed: int = 0,
        *,
        changes: int = 1,
        rate: float | None = None,
        within: str | Iterable[str] = (),
    ) -> Architecture:
        """An architecture that differs in so many active decisions (and what they make active).

        ``rate`` changes each active decision with this probability instead; ``within`` names the decisions, or owners
        of decisions, that may change. Raises :class:`SpacecError`: E0603 for an unknown name, E0511 where no valid
        change is found (of one decision anywhere, one of the space is drawn instead).
        """
        chosen = [within] if isinstance(within, str) else list(within)
        named(self.table, chosen)
        if changes == 1 and rate is None and not chosen:
            return variation.mutate(self.table, arch, seed)
        return mutate_several(self.table, arch, Random(seed), changes, rate, chosen)

    def crossover(self, a: Architecture, b: Architecture, seed: int = 0) -> Architecture:
        """An architecture that takes each decision from one of two parents."""
        return variation.crossover(self.table, a, b, seed)

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Every architecture one decision away, lazily."""
        return variation.neighbours(self.table, arch)

    def neighbour(self, arch: Architecture, seed: int = 0) -> Architecture:
        """One of :meth:`neighbours`, uniformly, without listing them.

        Raises :class:`SpacecError`: E0511 where there is none, E0510 where the space cannot be counted.
        """
        return neighbour(self.table, arch, Random(seed))

    def distance(self, a: Architecture, b: Architecture, weights: Weights = None, *, elements: bool = False) -> float:
        """How many decisions differ, in what they take or in whether they are active: a metric.

        ``weights``: numbers by decision or owner, or ``"candidates"``, the bits that a decision holds; ``elements``
        counts the elements in which picks differ. Raises :class:`SpacecError` (E0603) for a weight of an unknown name.
        """
        return distance(self.table, a, b, weights, elements)

    def distances(
        self,
        archs: Iterable[Architecture],
        others: Iterable[Architecture] | None = None,
        weights: Weights = None,
        *,
        elements: bool = False,
    ) -> NDArray[Any]:
        """All distances between architectures, or to others: float64, [architectures, others]."""
        from spacec.space.batch import Batch  # numpy comes with it

        batch = Batch.of(self.table, archs)
        return distances(batch, batch if others is None else Batch.of(self.table, others), weights, elements)

    def edit_distance(self, a: Architecture, b: Architecture) -> int:
        """Fewest vertices and wires to add, remove or relabel between the wirings of two architectures, exactly.

        0 where they are isomorphic. Raises :class:`SpacecError`: E0623 or E0634 where that is too much to search.
        """
        from spacec.space.edit_distance import edit_distance

        return edit_distance(self.table, self.graph, a, b)
