"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import StrategyDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_strategies() -> list[StrategyDescriptor]:
    return [
        StrategyDescriptor(
            "snas", "SNAS: concrete relaxation, single level (Xie et al., ICLR 2019)", "spacec_snas.snas:SNAS"
        ),
        StrategyDescriptor(
            "dsnas", "DSNAS: one sampled path, single level (Hu et al., CVPR 2020)", "spacec_snas.dsnas:DSNAS"
        ),
        StrategyDescriptor(
            "gdas", "GDAS: hard Gumbel-softmax, one path runs (Dong & Yang, CVPR 2019)", "spacec_snas.gdas:GDAS"
        ),
    ]
