"""Rewards of an architecture's quality Q and its cost T, where T0 is the cost that is asked for.

    absolute    Q + beta |T/T0 - 1|          TuNAS: Bender et al., CVPR 2020, section 4, equation 3; beta < 0
    power       Q (T/T0)^beta                MnasNet: Tan et al., CVPR 2019, equation 2, one exponent (soft)
    one-sided   Q max(1, T/T0)^beta          MnasNet, its hard form: nothing is gained below T0

TabNAS (Yang et al., NeurIPS 2022, section 5) compares its rejection with these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.options import Options, option
from spacec.space.architecture import Architecture

Shape = Literal["none", "absolute", "power", "one-sided"]


def absolute(quality: float, ratio: float, beta: float) -> float:
    """Q + beta |T/T0 - 1|; ``ratio`` is T/T0."""
    return quality + beta * abs(ratio - 1.0)


def power(quality: float, ratio: float, beta: float) -> float:
    """Q (T/T0)^beta, where ``ratio`` > 0."""
    return float(quality * ratio**beta)


def one_sided(quality: float, ratio: float, beta: float) -> float:
    """Q max(1, T/T0)^beta."""
    return float(quality * max(1.0, ratio) ** beta)


SHAPES: Mapping[Shape, Callable[[float, float, float], float]] = {
    "none": lambda quality, ratio, beta: quality,
    "absolute": absolute,
    "power": power,
    "one-sided": one_sided,
}


@dataclass(frozen=True)
class RewardOptions(Options):
    """How a cost enters the reward."""

    reward: Literal["none", "absolute", "power", "one-sided"] = option(
        "none", "how the cost enters: Q, Q + beta |T/T0 - 1|, Q (T/T0)^beta, Q max(1, T/T0)^beta"
    )
    beta: float = option(-0.1, "what the cost weighs, by the formula of the reward")
    cost: str = option("params", "T: a cost of the space")
    target: float | None = option(None, "T0: the cost asked for; the rewards with a cost need it", low=0)


def check_reward(options: RewardOptions, ctx: SearchContext, owner: str) -> None:
    """Raise E0893 for a reward that lacks its target or a metric of which more is better, E0512 for an unknown cost."""
    if options.reward == "none":
        return
    if not options.target:
        headline = f"{owner} has reward={options.reward} and no target above 0"
        help = f"give the {options.cost} that are asked for: -o target=1e6"
        raise SpacecError(Diagnostic("E0893", headline, help=help))
    metric = ctx.task.metrics[0]
    if options.reward != "absolute" and metric.direction == "min":
        headline = f"reward={options.reward} multiplies what is better the larger it is, and {metric.name} is not"
        raise SpacecError(Diagnostic("E0893", headline, help="take reward=absolute, or another metric"))
    ctx.require_cost(options.cost)


def rewarded(options: RewardOptions, ctx: SearchContext, quality: float, arch: Architecture) -> float:
    """The reward of ``arch``. Raises E0893 where T/T0 has no power, or one that is no finite number."""
    if options.reward == "none" or options.target is None:
        return quality
    cost = float(ctx.cost(arch, options.cost))
    try:
        return SHAPES[options.reward](quality, cost / options.target, options.beta)
    except (ZeroDivisionError, OverflowError) as error:
        headline = (
            f"{options.cost} of '{arch.text()}' are {cost:g}, and reward={options.reward} is not finite there "
            f"(target={options.target:g}, beta={options.beta:g})"
        )
        help = "take reward=absolute, or a beta nearer to 0; or a `where` that leaves such architectures out"
        raise SpacecError(Diagnostic("E0893", headline, help=help)) from error
