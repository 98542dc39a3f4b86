"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import StrategyDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_strategies() -> list[StrategyDescriptor]:
    return [
        StrategyDescriptor(
            "eoinas",
            "EoiNAS: sampled paths, the least important candidate dropped stage by stage (Zhou et al., IEEE TNNLS)",
            "spacec_eoinas.eoinas:EoiNAS",
        ),
        StrategyDescriptor(
            "ssa",
            "SSA: ProxylessNAS in an adaptive search scope (after arXiv 2206.02098)",
            "spacec_eoinas.ssa:SSA",
        ),
    ]
