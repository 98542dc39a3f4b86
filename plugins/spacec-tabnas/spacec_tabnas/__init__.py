"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import BenchmarkDescriptor, StrategyDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_strategies() -> list[StrategyDescriptor]:
    return [
        StrategyDescriptor(
            "tabnas",
            "a policy that learns from rewards under a hard limit on cost",
            "spacec_tabnas.strategy:TabNAS",
        ),
    ]


@hookimpl
def spacec_benchmarks() -> list[BenchmarkDescriptor]:
    return [
        BenchmarkDescriptor(
            "tabnas-toy",
            "the nine networks of TabNAS' toy problem",
            "spacec_tabnas.toy:open_toy",
        ),
    ]
