"""The architectures of a space in bulk: drawn at random, listed in order, and as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from spacec.facade.form import Form
from spacec.space import algebra
from spacec.space.architecture import Architecture
from spacec.space.sample import Law, sample, sample_batch, sampler
from spacec.space.strata import Stratum, sample_stratified

if TYPE_CHECKING:
    from spacec.space.batch import Batch


class Sampling(Form):
    """Random and ordered sequences of architectures.

    A seed has one meaning: :meth:`sample`, :meth:`sample_batch` and :meth:`sampler` give the same architectures for it,
    however many are asked for, on every platform and under every version of Python and numpy. Where the constraints
    cannot be counted under, architectures are drawn by rejection, which a
    :class:`~spacec.space.sample.RejectionWarning` (W0520) tells with its acceptance rate. All raise
    :class:`SpacecError`: E0511 where no architecture is valid, or none is found by rejection.
    """

    def sample(self, n: int = 1, seed: int = 0, *, replace: bool = True, weighted: bool = False) -> list[Architecture]:
        """``n`` valid architectures, uniform and independent.

        ``replace=False``: all distinct, every ordered choice of ``n`` alike; E0521 where there are fewer. ``weighted``:
        with a probability proportional to the product of the prior weights of what is decided (without priors:
        all candidates of a decision alike); together with ``replace=False`` each next one among those not drawn yet.
        """
        return sample(self.table, n, seed, Law(weighted=weighted, distinct=not replace))

    def sample_batch(self, n: int, seed: int = 0, *, replace: bool = True, weighted: bool = False) -> Batch:
        """The architectures of :meth:`sample` as one array of codes, which is many times faster to compute with."""
        return sample_batch(self.table, n, seed, Law(weighted=weighted, distinct=not replace))

    def sampler(self, seed: int = 0, *, replace: bool = True, weighted: bool = False) -> Iterator[Architecture]:
        """The architectures of :meth:`sample` one after the other, without end.

        With ``replace=False`` it ends with the space: a random order of all architectures.
        """
        return sampler(self.table, seed, Law(weighted=weighted, distinct=not replace))

    def sample_decisions(self, n: int = 1, seed: int = 0) -> list[Architecture]:
        """``n`` valid architectures whose active decisions each take any of their values with the same probability.

        This is what drawing decision by decision gives, and what many call a random architecture. It is not uniform
        over architectures: large branches of a space are drawn no more often than small ones. Priors are not looked at.
        """
        return sample(self.table, n, seed, Law(weighted=True, priors=False))

    def sample_stratified(
        self,
        n: int,
        cost: str,
        *,
        cuts: Sequence[int | Fraction] | None = None,
        bins: int = 0,
        quantiles: int = 0,
        seed: int = 0,
        replace: bool = True,
        **sizes: int,
    ) -> tuple[Stratum, ...]:
        """``n`` random architectures of each part of the space by ``cost``, uniform in each, in order of cost.

        Parts are told by the bounds between them (``cuts``), as ``bins`` equally wide between the least and the largest
        cost, or as about ``quantiles`` parts of about the same size (by the costs of random architectures). A
        :class:`Stratum` has its bounds, its exact size, and a batch of what was drawn; one that cannot be counted is
        drawn from by rejection, has no size, and is warned of (W0520). ``sizes`` gives the input sizes that the cost is
        of. Raises :class:`SpacecError` (E0511, E0512), and ``ValueError`` unless exactly one kind of parts is given.
        """
        found = sample_stratified(self.table, n, cost, cuts, bins, quantiles, seed, sizes, Law(distinct=not replace))
        for stratum in found:
            if stratum.rejection is not None:
                stratum.rejection.warn()
        return found

    def batch(self, archs: Iterable[Architecture]) -> Batch:
        """These architectures as one array of codes, [architectures, decisions]; see :class:`Batch`.

        Raises :class:`SpacecError` (E0602 to E0605) for one that is not of this space.
        """
        from spacec.space.batch import Batch  # numpy is not needed to check or describe a space

        return Batch.of(self.table, archs)

    def enumerate(
        self, where: bool = True, start: int = 0, stop: int | None = None, step: int = 1
    ) -> Iterator[Architecture]:
        """The valid architectures at ranks ``range(start, stop, step)``, lazily; all of them by default.

        It may begin anywhere at no cost. ``where=False`` lists those before constraints. Raises
        :class:`SpacecError`: E0510 where they cannot be counted, E0520 for a start or stop beyond the count.
        """
        return algebra.enumerate_architectures(self.table, where, start, stop, step)

    def rank(self, arch: Architecture, where: bool = True) -> int:
        """The place of an architecture in the order of :meth:`enumerate`, from 0 to the count less one.

        Raises :class:`SpacecError` where it is no valid architecture of this space.
        """
        return algebra.rank(self.table, arch, where)

    def unrank(self, rank: int, where: bool = True) -> Architecture:
        """The architecture at a place. Raises :class:`SpacecError` (E0520, an ``IndexError``) outside the count."""
        return algebra.unrank(self.table, rank, where)

    def unrank_batch(self, ranks: Iterable[int], where: bool = True) -> Batch:
        """The architectures at many places, in the order given, as one array of codes. Raises as :meth:`unrank`."""
        return algebra.unrank_batch(self.table, ranks, where)
