"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import CommandDescriptor, StrategyDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_strategies() -> list[StrategyDescriptor]:
    return [
        StrategyDescriptor(
            "zarts",
            "ZARTS: zero-order search by MGS, RS or GLD (Wang et al., NeurIPS 2022)",
            "spacec_zarts.strategy:ZARTS",
        )
    ]


@hookimpl
def spacec_commands() -> list[CommandDescriptor]:
    return [CommandDescriptor("landscape", "draw the loss around a search's path", "spacec_zarts.command:landscape")]
