"""REINFORCE: Williams, Simple Statistical Gradient-Following Algorithms (Machine Learning 8, 1992).

A factorised policy pi(a | V; theta) decides each decision by itself (:mod:`spacec.search.policies.factorised`); its
architectures are rated one by one, and theta follows

    (R - b) * grad log pi(a | V; theta)

by Adam, where the baseline b is a moving average of the rewards so far (momentum 0.9, corrected for its start). The
factorised policy, Adam at 0.01, and the momentum are those of NAS-Bench-201 (Dong and Yang, ICLR 2020), section 5.
There the reward itself enters the baseline that is taken from it (``baseline=with``); Williams' baseline must not
depend on the action, so here it is that of the rewards before.

By trials, the method of the benchmark, the answer is the best ever rated; trials may run side by side: each result
moves the policy as it is then, and who asks draws from that. ``mode=shared`` reads rewards from a supernet, whose paths
the policy draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from spacec.search.options import option
from spacec.search.policies.strategy import PolicyOptions, PolicyStrategy


@dataclass(frozen=True)
class ReinforceOptions(PolicyOptions):
    mode: Literal["trials", "shared"] = option("trials", "train each architecture alone, or rate with shared weights")


class Reinforce(PolicyStrategy):
    """See the module."""

    name = "reinforce"
    help = "a distribution over architectures that learns from rewards"
    Options = ReinforceOptions
    tiny: ClassVar[Mapping[str, object]] = {"samples": 4}
    options: ReinforceOptions
