"""How many different networks a space has: counted exactly, bounded, and drawn uniformly."""

from __future__ import annotations

from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Literal

from spacec.facade.architectures import Architectures
from spacec.facade.identity import Identity
from spacec.facade.sampling import Sampling
from spacec.space.architecture import Architecture
from spacec.space.sample import compiled_for

if TYPE_CHECKING:
    from spacec.space.distinct import Distinct
    from spacec.space.notions import Interval

Notion = Literal["derivations", "live", "networks", "expressions"]


class Distinctness(Architectures, Identity, Sampling):
    """Architectures up to what they denote; the notions are those of docs/algebra.md."""

    def count(self, owner: str | None = None, where: bool | str = True, distinct: bool | Notion = False) -> int:
        """Exact number of valid architectures; of one owner's part; or, with ``where=False``, before constraints.

        ``where="params <= 2M"`` counts under further constraints, see :meth:`where`. ``distinct=True`` (the same as
        ``"networks"``) counts the networks that :meth:`canonical` tells apart; ``"live"`` what :meth:`live` tells
        apart; ``"expressions"`` networks whose equal ops of equal inputs are one, with weights or without.

        Raises :class:`SpacecError`: E0510 where the constraints couple too much to count; E0514 where distinct
        architectures are not counted exactly, which :meth:`distinct_bounds` bounds.
        """
        from spacec.space.notions import count_distinct, refuse_part

        if distinct is False or distinct == "derivations":
            return super().count(owner, where)
        refuse_part(owner is not None or where is False)
        space = self.where(where) if isinstance(where, str) else self
        return count_distinct(space.distinct_networks, "networks" if distinct is True else distinct)

    @cached_property
    def distinct_networks(self) -> Distinct:
        """The networks of the space, taken apart into structures; what is found of them is kept."""
        from spacec.space.distinct import Distinct

        return Distinct(self.networks)

    def distinct_bounds(self, samples: int = 300) -> Interval:
        """Two numbers between which the number of different networks is for certain, and why.

        They are equal where it is known exactly. Else as many networks as there are different certificates among
        ``samples`` uniform architectures, and at most as many as there are architectures.
        """
        from spacec.space.notions import bounds

        return bounds(self.distinct_networks, samples)

    def sample(
        self, n: int = 1, seed: int = 0, *, replace: bool = True, weighted: bool = False, distinct: bool = False
    ) -> list[Architecture]:
        """``n`` valid architectures, uniform and independent; with ``distinct`` uniform over different networks.

        ``replace=False``: all different, every ordered choice of ``n`` alike; E0521 where there are fewer.
        ``weighted``: with a probability proportional to the product of the prior weights of what is decided (without
        priors: all candidates of a decision alike); together with ``replace=False`` each next one among those not
        drawn yet. ``distinct``: the networks of the architectures are independent and uniform over those that
        :meth:`canonical` tells apart. Raises :class:`SpacecError`: E0511 where there is no valid architecture, E0514
        where networks are not counted exactly, or where ``distinct`` is combined with the others.
        """
        from spacec.space.notions import draw_networks, refuse_part

        if not distinct:
            return super().sample(n, seed, replace=replace, weighted=weighted)
        refuse_part(weighted or not replace)
        if n < 0:
            raise ValueError(f"{n} networks cannot be drawn")
        compiled_for(self.table)  # refuses a space without architectures
        return draw_networks(self.distinct_networks, n, Random(seed))
