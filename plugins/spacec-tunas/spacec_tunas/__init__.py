"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import StrategyDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_strategies() -> list[StrategyDescriptor]:
    return [
        StrategyDescriptor(
            "tunas",
            "a policy trained beside shared weights, with a reward that aims at a cost",
            "spacec_tunas.strategy:Tunas",
        ),
    ]
