"""TabNAS: Rejection Sampling for Neural Architecture Search on Tabular Datasets (Yang et al., NeurIPS 2022).

A policy p(y; theta), one softmax for each layer's size (each decision), searches for the best architecture of the set
V = {y: T(y) <= T0}. Rewards that mix the cost into the quality (``reward=absolute``, ``power``, ``one-sided``) miss
bottlenecks, each of whose sizes does badly beside most sizes of the others. So the reward is the quality Q alone, and
what breaks the limit is thrown away: for y in V, theta ascends by Adam

    J(y) = stopgrad(Q(y) - b) * log( p(y) / P(V) )

where b is the moving average of rewards, this one included. Without P(V) the gradient is not that of the expected
reward of what is kept. P(V) comes exactly from the decision diagram of the space (:mod:`spacec.space.chances`), or is
estimated as the paper does (:mod:`spacec_tabnas.chance`); where no draw of the estimate is valid, no step is made.

With a supernet (``mode=shared``), a layer of k units is the first k units of the widest one, as elastic sizes are. For
the first 25 % of the epochs weights are trained on layers of random sizes, and the policy not at all.

Figures of the paper's toy problem, by its public notebook: Adam at 0.1, momentum 0.9, logits that start at 0, one
architecture a step, N = 5 draws. Those of its data sets are not public.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from spacec.search.bounds import comparison
from spacec.search.context import SearchContext
from spacec.search.options import option
from spacec.search.policies.factorised import FactorisedPolicy, fresh_policy
from spacec.search.policies.rewards import RewardOptions, check_reward, rewarded
from spacec.search.policies.strategy import PolicyOptions, PolicyStrategy
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Path, Trial, TrialResult
from spacec.search.trial_strategy import Member
from spacec.space.architecture import Architecture
from spacec_tabnas.chance import estimated_log_feasible


@dataclass(frozen=True)
class TabNASOptions(PolicyOptions):
    """The figures are those of the paper's toy problem."""

    arch_lr: float = option(0.1, "rate of Adam for the logits", low=0)
    baseline: Literal["before", "with"] = option("with", "rewards before this one, or with it, as the paper's")
    arch_warmup: float = option(
        0.25, "shared: share of the steps that only train weights, on random sizes", low=0, high=1
    )
    start: float = option(0.0, "deviation of the logits at the start", low=0)
    target: float | None = option(None, "T0: the most that an architecture may cost; none: what the space says", low=0)
    cost: str = option("params", "T: a cost of the space")
    reward: Literal["rejection", "absolute", "power", "one-sided"] = option(
        "rejection", "nothing beyond T0 is kept; or rivals: Q + beta |T/T0 - 1|, Q (T/T0)^beta, Q max(1, T/T0)^beta"
    )
    beta: float = option(-1.0, "what the cost weighs in a rival reward")
    chance: Literal["auto", "exact", "sampled", "released", "none"] = option(
        "auto", "P(V): exact; from draws; from draws as the notebook sums them; left out; auto: exact where countable"
    )
    draws: int = option(5, "N: draws of an estimate of P(V)", low=1)
    last_draws: int | None = option(None, "N at the end of the search, reached linearly; none for draws", low=1)
    skip: bool = option(False, "a draw that is thrown away is a step without effect, as the paper's; else draw again")
    answer: Literal["likely", "rated"] = option("likely", "the most probable; or, of trials, the best within T0")


class TabNAS(PolicyStrategy):
    """See the module. ``drawn`` counts the draws of trials; ``kept`` is the best trial within the target."""

    name = "tabnas"
    help = "a policy that learns from rewards under a hard limit on cost"
    Options = TabNASOptions
    tiny: ClassVar[Mapping[str, object]] = {"finalists": 2, "start": 0.5, "bonus": 0.1}
    options: TabNASOptions

    policy: FactorisedPolicy
    shaped: RewardOptions
    drawn: int
    kept: Member | None
    latest: list[Architecture | None]
    """What the architecture step has drawn, for the weight step after it."""

    def unsupported(self, space: SpaceLike) -> str:
        if self.options.chance != "exact" or fresh_policy(space.table, self.options.start, 0).exact:
            return ""
        return (
            "its constraints couple too much to be counted, so P(V) is not known exactly (chance=sampled estimates it)"
        )

    def setup(self, ctx: SearchContext) -> None:
        shape = "none" if self.options.reward == "rejection" else self.options.reward
        self.shaped = RewardOptions(shape, self.options.beta, self.options.cost, self.options.target)
        check_reward(self.shaped, ctx, f"strategy '{self.name}'")
        super().setup(ctx)
        self.drawn, self.kept, self.latest = 0, None, []

    def make_policy(self, ctx: SearchContext) -> FactorisedPolicy:
        policy = fresh_policy(self._limited(ctx).table, self.options.start, ctx.seed)
        if policy.exact or self.options.chance == "exact":
            policy.log_feasible()  # raises where no architecture is within the limits, or P(V) is not known
        elif self.options.chance == "auto":
            ctx.recorder.event("sampled P(V)", f"the constraints cannot be counted; {self.options.draws} draws a step")
        return policy

    def _limited(self, ctx: SearchContext) -> SpaceLike:
        """The space, within the target where what lies beyond is thrown away."""
        if self.options.reward != "rejection" or self.options.target is None:
            return ctx.space
        ctx.require_cost(self.options.cost)
        return ctx.space.where(comparison(ctx, self.options.cost, "<=", self.options.target), "target")

    def candidate(self) -> Architecture | None:
        """A draw of the policy within V; ``None`` for one beyond it, where these are not drawn anew."""
        arch: Architecture | None
        if self.options.skip:
            arch = self.policy.propose(self.ctx.rng)
            arch = arch if self.policy.valid(arch) else None
        else:
            arch = self.policy.draw(self.ctx.rng)
        self.latest.append(arch)
        return arch

    def reward(self, quality: float, arch: Architecture) -> float:
        return rewarded(self.shaped, self.ctx, quality, arch)

    def log_probability(self, arch: Architecture) -> Tensor | None:
        """log p(y) / P(V); ``None`` where the estimate of P(V) is 0."""
        feasible = self.log_feasible()
        return None if feasible is None else self.policy.log_drawn(arch) - feasible

    def log_feasible(self) -> Tensor | float | None:
        """log P(V) by ``chance``; ``None`` where none of the draws of its estimate is valid."""
        chance = self.options.chance
        if chance == "none" or not self.policy.limited:
            return 0.0
        if chance == "exact" or (chance == "auto" and self.policy.exact):
            return self.policy.log_feasible()
        return estimated_log_feasible(self.policy, self.draws_now, self.ctx.rng, released=chance == "released")

    @property
    def draws_now(self) -> int:
        """N of this step."""
        first = self.options.draws
        last = first if self.options.last_draws is None else self.options.last_draws
        ctx = self.ctx
        share = ctx.step / max(1, ctx.epochs * ctx.steps) if self.uses_supernet else self.told / self.most
        return round(first + (last - first) * min(1.0, share))

    # a supernet: one draw trains the weights and moves the policy

    def masks(self, step: int) -> Sequence[Path]:
        """The path of what the architecture step has drawn, as in the paper's iteration; where there was none, anew."""
        if self.latest and not self.warm:
            arch = self.latest[-1]
            found: Sequence[Path] = () if arch is None else [Path(self.ctx.mask_of(arch))]
        else:
            found = super().masks(step)
        self.latest = []
        return found

    # trials

    def propose(self, n: int) -> Sequence[Trial]:
        """Up to ``n`` trials; with ``skip``, ``samples`` counts what is thrown away too."""
        if self.uses_supernet or not self.options.skip:
            return super().propose(n)
        found: list[Trial] = []
        while len(found) < n and self.drawn < self.most:
            self.drawn += 1
            arch = self.candidate()
            if arch is not None:
                found.append(self.ask(arch))
        if not self.asked:
            self.failure = f"all {self.drawn} draws were thrown away"
        return found

    def take(self, result: TrialResult, value: float | None) -> None:
        super().take(result, value)
        if value is None or not self._within(result.trial.arch):
            return
        if self.kept is None or self.metric.better(value, self.kept.value):
            self.kept = Member(result.trial.arch, value, result.number)

    def derive(self) -> Architecture:
        if self.uses_supernet or self.best is None:
            return super().derive()
        return self.policy.best() if self.options.answer == "likely" or self.kept is None else self.kept.arch

    def state_dict(self) -> dict[str, Any]:
        kept = None if self.kept is None else self.kept.state()
        return {**super().state_dict(), "drawn": self.drawn, "kept": kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.drawn = int(state["drawn"])
        self.kept = None if state["kept"] is None else self.member(state["kept"])

    def _within(self, arch: Architecture) -> bool:
        target = self.options.target
        return target is None or self.ctx.cost(arch, self.options.cost) <= target
