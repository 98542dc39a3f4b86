"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import StrategyDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_strategies() -> list[StrategyDescriptor]:
    return [
        StrategyDescriptor(
            "tunas",
            "TuNAS: a policy beside shared weights, with a reward that aims at a cost (Bender et al., CVPR 2020)",
            "spacec_tunas.strategy:Tunas",
        ),
    ]
