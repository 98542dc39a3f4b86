"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import StrategyDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_strategies() -> list[StrategyDescriptor]:
    return [
        StrategyDescriptor(
            "fairnas",
            "a supernet whose candidates are trained equally often, step by step, searched by NSGA-II",
            "spacec_oneshot.fairnas:FairNas",
        ),
        StrategyDescriptor(
            "spos", "a supernet of uniform single paths, searched by evolution", "spacec_oneshot.spos:Spos"
        ),
        StrategyDescriptor(
            "spos-evolution",
            "evolution by generations under limits, of SPOS: a searcher of trained supernets",
            "spacec_oneshot.evolution:SposEvolution",
        ),
        StrategyDescriptor(
            "bignas",
            "a supernet by the sandwich rule: the largest network teaches the others, every step",
            "spacec_oneshot.bignas:BigNas",
        ),
        StrategyDescriptor(
            "ofa",
            "a supernet by progressive shrinking: the largest network first, then kernels, depths and widths",
            "spacec_oneshot.ofa:Ofa",
        ),
    ]
