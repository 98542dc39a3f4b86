"""One-shot search: train a supernet first, then search it with its shared weights.

Training: what a weight step runs is :meth:`OneShot.masks`, which a subclass overrides; nothing else is learnt.
Search: a *searcher*, any strategy that rates architectures one by one, asks for trials, which are rated with the
weights of the supernet: on ``batches`` validation batches, after norms were re-estimated for the architecture on
``recalibrate`` training batches (a setting of the search). What it finds is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from spacec.search.asking import checked
from spacec.search.context import SearchContext
from spacec.search.objectives import Front
from spacec.search.options import Options as OptionsBase
from spacec.search.options import option
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Path, Strategy, Trial, TrialResult
from spacec.space.architecture import Architecture
from spacec_oneshot.searcher import make_searcher


@dataclass(frozen=True)
class OneShotOptions(OptionsBase):
    """How the trained supernet is searched. A subclass states its paper's searcher as the default of ``search``, and of
    ``search_options``, which is that searcher's alone: another has none but those that are given."""

    search: str = option("spos-evolution", "who searches the trained supernet: a strategy that rates one by one")
    search_options: str = option("", "the searcher's options, as population=20,generations=5")
    batches: int | None = option(None, "validation batches of a rating; none for all", low=1)


class OneShot(Strategy):
    """See the module. ``searcher`` is made with the strategy, so that its options are checked before anything runs."""

    Options: ClassVar[type[OptionsBase]] = OneShotOptions
    tiny: ClassVar[Mapping[str, object]] = {
        "search_options": "population=3,generations=2,top=2,mutations=1,crossovers=1",
        "batches": 1,
    }
    options: Any

    def __init__(self, options: OptionsBase | Mapping[str, object] | None = None) -> None:
        """Raises :class:`SpacecError` for a searcher that is not installed (E0710), that cannot search a trained
        supernet (E0880), and for its options (E0701 and so on)."""
        super().__init__(options)
        o, usual = self.options, {f.name: f.default for f in fields(self.options)}
        theirs = o.search != usual["search"] and o.search_options == usual["search_options"]
        self.searcher = make_searcher(self.name, o.search, "" if theirs else o.search_options)

    def unsupported(self, space: SpaceLike) -> str:
        return self.searcher.unsupported(space)

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.searcher.setup(ctx)

    def masks(self, step: int) -> Sequence[Path]:
        """One path, drawn uniformly."""
        return [self.path(self.ctx.sample())]

    def path(self, arch: Architecture, weight: float = 1.0, teacher: int | None = None, ratio: float = 0.0) -> Path:
        """A forward of ``arch`` on its labels by ``weight``, and on what path ``teacher`` predicted by ``ratio``."""
        return Path(self.ctx.mask_of(arch), weight, teacher, ratio)

    def propose(self, n: int) -> Sequence[Trial]:
        """The searcher's trials, with shared weights. Raises :class:`SpacecError` (E0824) where they are none."""
        shared = {"weights": "shared", "budget": None, "batches": self.options.batches}
        digest, proposed = self.ctx.space.digest, self.searcher.propose(n)
        return [replace(trial, **shared) for trial in checked(self.searcher.name, digest, proposed, n, 0)]

    def observe(self, results: Sequence[TrialResult]) -> None:
        self.searcher.observe(results)

    def derive(self) -> Architecture:
        return self.searcher.derive()

    def front(self) -> Front | None:
        return self.searcher.front()

    def state_dict(self) -> dict[str, Any]:
        return {"searcher": self.searcher.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.searcher.load_state_dict(state["searcher"])

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "searcher": self.searcher.describe()}
