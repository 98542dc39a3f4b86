"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import StrategyDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_strategies() -> list[StrategyDescriptor]:
    return [
        StrategyDescriptor(
            "cream",
            "Cream: the best paths so far teach those that are drawn (Peng et al., NeurIPS 2020)",
            "spacec_cream.strategy:Cream",
        )
    ]
