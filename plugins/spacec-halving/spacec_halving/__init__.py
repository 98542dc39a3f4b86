"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import StrategyDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_strategies() -> list[StrategyDescriptor]:
    return [
        StrategyDescriptor(
            "asha", "promotes the best share of a rung at once, whoever waits", "spacec_halving.asha:Asha"
        ),
        StrategyDescriptor("hyperband", "brackets of successive halving", "spacec_halving.brackets:Hyperband"),
        StrategyDescriptor(
            "successive-halving",
            "trains many briefly, the best of them longer",
            "spacec_halving.brackets:SuccessiveHalving",
        ),
    ]
