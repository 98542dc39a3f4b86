"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import StrategyDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_strategies() -> list[StrategyDescriptor]:
    return [
        StrategyDescriptor(
            "enas",
            "an LSTM that writes architectures decision by decision and learns from shared weights",
            "spacec_enas.strategy:Enas",
        ),
    ]
