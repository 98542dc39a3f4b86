"""Distributions over the architectures of a space: of a cost over all of them, and those that decide each decision by
itself, under the constraints of the space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from spacec.facade.form import Form
from spacec.space import distribution
from spacec.space.diagram import LIMIT
from spacec.space.factorised import Probabilities
from spacec.space.sample import sample_batch
from spacec.space.values import Number

if TYPE_CHECKING:
    from spacec.space.batch import Batch
    from spacec.space.chances import Chances, Vectors


DRAWN = 20_000_000
"""Decisions and amounts that an estimate looks at: spaces with very many are judged from fewer samples."""
LEAST = 100
"""Samples that an estimate draws whatever they cost."""


class Distributions(Form):
    """What is distributed over the valid architectures.

    Probabilities are given by decision: of its candidates, or of each element of a subset (coins, given its
    bounds). A decision that is not named is uniform. They are named by decision and not by mask slot, since a
    slot's vector has *absent* among its candidates and a subset is no slot.
    """

    def feasible_probability(self, probabilities: Probabilities | None = None) -> Any:
        """P(V): how probable it is that what is drawn decision by decision satisfies the constraints; exact.

        Fractions give a fraction. Tensors pass through, so the result is differentiable in them; with
        arrays of shape [candidates, n], n distributions are done at once. 1 where there are no constraints.
        Raises :class:`SpacecError`: E0510 where the constraints couple too much, E0607 for probabilities that do not
        fit.
        """
        from spacec.space.chances import feasible_probability

        return feasible_probability(self.table, probabilities)

    def feasible_log_gradient(self, logits: Mapping[str, Any] | None = None) -> Vectors:
        """The gradient of log P(V) in the logits, without torch: of the softmax of a decision's candidates, or of the
        sigmoid of each element of a subset; by decision, all of them. Raises as :meth:`feasible_probability`; E0511
        where P(V) is 0.
        """
        from spacec.space.chances import Chances, softmax

        return Chances(self.table, softmax(self.table, logits or {})).log_gradient

    def feasible(self, probabilities: Probabilities | None = None) -> Chances:
        """The distribution restricted to the valid architectures: P(V), marginals, gradients, scores and samples.

        Real numbers only; exact where all are whole numbers and fractions.
        """
        from spacec.space.chances import Chances

        return Chances(self.table, probabilities)

    def sample_from(self, probabilities: Probabilities | None = None, n: int = 1, seed: int = 0) -> Batch:
        """``n`` architectures from the distribution given that they are valid, without rejection; E0511 if none is."""
        from spacec.space.chances import Chances
        from spacec.space.factorised import factorised

        return Chances(self.table, factorised(self.table, probabilities, exact=False)).sample(n, seed)

    def distribution(
        self,
        name: str,
        bins: int | Sequence[Number] = 20,
        *,
        samples: int = 10_000,
        seed: int = 0,
        work: int = LIMIT,
        **sizes: int,
    ) -> distribution.Distribution:
        """How many valid architectures have which cost: per bin, quantiles, mean and variance, least and largest.

        ``bins``: a number of equal ones, or their edges. ``sizes`` gives free input sizes (``H=64``).

        Exact where that takes up to ``work`` steps; else shares and quantiles are estimated from uniform samples, with
        intervals, and ``estimated`` is true. Raises :class:`SpacecError`: E0512 for an unknown cost or a missing size,
        E0511 where there is no valid architecture.
        """

        def draw(n: int) -> list[Number]:
            from spacec.space.cost_batch import costs_of  # numpy, for the estimate only

            n = min(n, max(LEAST, DRAWN // (len(self.decisions) + len(self.table.costs[name]) + 1)))
            return [Fraction(x) for x in costs_of(self.table, sample_batch(self.table, n, seed), name, sizes).tolist()]

        return distribution.distribution(self.table, name, draw, bins, sizes, samples, work)

    def quantile(self, name: str, share: float | Fraction, **sizes: int) -> Number:
        """The least cost that this share of the valid architectures does not exceed; see :meth:`distribution`."""
        return self.distribution(name, 1, **sizes).quantile(share)
