"""What this plugin offers, as descriptors: importing this module imports neither Optuna nor torch."""

from __future__ import annotations

from spacec.hooks import StrategyDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_strategies() -> list[StrategyDescriptor]:
    return [StrategyDescriptor("optuna", "any sampler and pruner of Optuna", "spacec_optuna.strategy:OptunaSearch")]
