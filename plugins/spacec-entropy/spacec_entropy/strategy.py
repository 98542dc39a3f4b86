"""DARTS with the architecture-entropy regulariser: see :mod:`spacec_entropy.regulariser`.

Order 2 adds the term's own gradient to that of the unrolled validation loss, of which the term is part: it depends on
the logits alone, so the virtual step of the weights does not enter it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spacec_darts.strategy import DARTS, DARTSOptions

from spacec.search.context import SearchContext
from spacec_entropy.regulariser import EntropyOptions, EntropyRegulariser


@dataclass(frozen=True)
class DartsAEROptions(EntropyOptions, DARTSOptions):
    """DARTS' options and the regulariser's."""


class DartsAER(EntropyRegulariser, DARTS):
    """See the module."""

    name = "darts-aer"
    help = "DARTS-AER: DARTS with an architecture-entropy regulariser (Jing et al., Neural Networks 2023)"
    Options = DartsAEROptions
    options: DartsAEROptions

    def diagnostics(self, ctx: SearchContext) -> Mapping[str, float]:
        return {"entropy": float(self.mean_entropy().detach()), "entropy_weight": self.entropy_weight()}
