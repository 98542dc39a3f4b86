"""ENAS' controller: an LSTM that decides one thing after the other (Pham et al., ICML 2018, sections 2.2 to 2.4).

In each step the LSTM reads the embedding x of what was decided last, first a learned g, and gives a state h:

    candidates    logits  W_f h                          W_f and the embeddings E_f shared by a family of decisions
    picks         score of element j   v . tanh(W1 a_j + W2 h)
    both          C tanh(l / T), C over ``reduce`` for candidates; without C, l / T

a_j is the state behind the work of which element j is (:mod:`spacec_enas.order`), as the anchors of the authors' code;
an element that is nobody's work has a learned vector of its own, which also tells those of one work apart. A pick of
free size is a coin for each element, as the skips of the macro space, and one of bounded size a softmax of subsets
(:mod:`spacec_enas.laws`). After a pick x is the mean of the anchors taken; of one that may take none, their sum over
1 + their number. Where the newest anchor of a pick is the state itself, the pick is decided one step later, on g.

The probability of an architecture is the product of those of its active decisions. It is not that given the space's
constraints: what these forbid is drawn anew, and their probability is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spacec.search.policies.factorised import of_slot
from spacec.search.policies.policy import Policy
from spacec.space.activity import walk
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.constraints import all_satisfied
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.sample import accepted
from spacec.space.values import Value
from spacec_enas.laws import Law, Softmax, Subset
from spacec_enas.order import Plan

DRAWN = 100
"""Draws whose most probable stands for the best, where what looks best step by step is not valid."""
SHOWN = 16
"""Draws over which the probabilities that are shown are averaged."""


@dataclass(frozen=True)
class Shape:
    """``hidden`` units in each of ``layers``; weights start uniform within ``start``; logits are squashed as said.

    ``paired``: the coin of an element is a softmax of (-l, l), as in the authors' code, so sigmoid(2 l) for sigmoid(l).
    ``favoured``: labels whose candidates start with a bias of ``favour``, which learns, and have a fixed ``lead`` in
    the decisions of the first owner (of which the others lose as much), as in the authors' micro search.
    """

    hidden: int = 64
    layers: int = 1
    start: float = 0.1
    tanh: float | None = None
    reduce: float = 1.0
    temperature: float = 1.0
    paired: bool = False
    favoured: tuple[str, ...] = ()
    favour: float = 10.0
    lead: float = 0.25


@dataclass(frozen=True)
class Reading:
    """Of an architecture: log pi, the entropies of its decisions, and its skips' divergence (:meth:`Writer.read`)."""

    log_probability: Tensor
    entropy: Tensor
    divergence: Tensor


class Writer(Policy):
    """See the module."""

    def __init__(self, table: DecisionTable, plan: Plan, shape: Shape, generator: torch.Generator) -> None:
        self.table = table
        self.plan = plan
        self.shape = shape
        self.weights = _fresh(plan, shape, generator)
        self._first = table.decisions[0].owner if table.decisions else ""

    def parameters(self) -> list[Tensor]:
        return list(self.weights.values())

    @torch.no_grad()
    def draw(self, rng: Random) -> Architecture:
        return architecture_of(self.table, accepted(self.table, lambda: self._run(lambda d, law: law.draw(rng))))

    def log_probability(self, arch: Architecture) -> Tensor:
        return self.read(arch).log_probability

    def entropy(self, arch: Architecture) -> Tensor:
        return self.read(arch, entropy=True).entropy

    def read(self, arch: Architecture, *, entropy: bool = False, skip_target: float | None = None) -> Reading:
        """One pass over ``arch``, in which all is found that is asked for; the rest is 0.

        The divergence is KL(p || ``skip_target``), summed over the elements of a pick of free size, and the mean of
        those picks; p are their probabilities to be taken (Pham et al., section 3.2), with ``paired`` the sigmoid(l) of
        the authors' code, which is not what is drawn by.
        """
        logs, entropies, divergences = ([torch.zeros((), dtype=torch.float64)] for _ in range(3))

        def follow(decision: Decision, law: Law) -> Value:
            value = arch[decision.id]
            logs.append(law.log_probability(value))
            if entropy:
                entropies.append(law.entropy())
            if skip_target is not None and isinstance(law, Subset) and law.free:
                divergences.append(_divergence(law.scores / (2 if self.shape.paired else 1), skip_target))
            return value

        self._run(follow)
        mean = torch.stack(divergences).sum() / max(1, len(divergences) - 1)
        return Reading(torch.stack(logs).sum(), torch.stack(entropies).sum(), mean)

    @torch.no_grad()
    def best(self) -> Architecture:
        """Likeliest decision by decision; where that is not valid, the most probable of :data:`DRAWN` draws."""
        found = self._run(lambda decision, law: law.likeliest())
        if all_satisfied(self.table, found):
            return architecture_of(self.table, found)
        rng = Random(0)
        drawn = dict.fromkeys(self.draw(rng) for _ in range(DRAWN))
        return max(drawn, key=lambda arch: float(self.log_probability(arch)))

    @torch.no_grad()
    def probabilities(self) -> dict[str, list[float]]:
        """By mask slot: of its decisions where they are active, averaged over the same :data:`SHOWN` draws each time.

        Constraints apart; a decision that none of them makes is uniform.
        """
        sums = {d.id: torch.zeros(_size(d), dtype=torch.float64) for d in self.table.decisions}
        counts = dict.fromkeys(sums, 0)
        rng = Random(0)

        def noted(decision: Decision, law: Law) -> Value:
            sums[decision.id] += law.chances()
            counts[decision.id] += 1
            return law.draw(rng)

        for _ in range(SHOWN):
            self._run(noted)
        given = {d.id: (sums[d.id] / counts[d.id] if counts[d.id] else _even(d)).tolist() for d in self.table.decisions}
        return {slot.id: of_slot(slot, given) for slot in self.table.slots}

    def state_dict(self) -> dict[str, Any]:
        return {name: t.detach().clone() for name, t in self.weights.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        with torch.no_grad():
            for name, t in self.weights.items():
                t.copy_(state[name])

    def _run(self, choose: Callable[[Decision, Law], Value]) -> dict[str, Value]:
        """Every active decision is asked for, in the plan's order, and told to the LSTM."""
        thought = _Thought(self.weights, self.shape)

        def decide(decision: Decision) -> Value:
            rank = self.plan.rank[decision.id]
            if decision.kind == "subset":
                anchors = self._anchors(thought, decision)
                law: Law = Subset(self._scores(thought.think(), anchors, decision), decision.low, decision.high)
                value = choose(decision, law)
                thought.told(rank, _picked(anchors, value, decision))
                return value
            family = self.plan.families[decision.id]
            value = choose(decision, Softmax(self._logits(thought.think(), decision, family)))
            thought.told(rank, self.weights[f"embedding {family}"][value])
            return value

        return walk(self.plan.table, decide)

    def _logits(self, state: Tensor, decision: Decision, family: str) -> Tensor:
        found = self.weights[f"head {family}"] @ state
        if (bias := self.weights.get(f"bias {family}")) is not None:
            found = found + bias
        found = self._squashed(found, self.shape.reduce)
        if bias is not None and decision.owner == self._first:
            found = found + self.shape.lead * (2 * _favoured(decision, self.shape) - 1)
        return found

    def _anchors(self, thought: _Thought, decision: Decision) -> Tensor:
        """``(elements, hidden)``"""
        works = [thought.behind(rank, self.plan) for rank in self.plan.works[decision.id]]
        if any(work is not None and work == thought.waiting for work in works):
            thought.settle()
        rows = []
        for element, work in enumerate(works):
            own = self.weights["elements"][element]
            state = None if work is None else thought.states[work]
            if state is None:
                rows.append(own)
            else:
                rows.append(state + own if works.count(work) > 1 else state)
        return torch.stack(rows) if rows else torch.zeros(0, self.shape.hidden, dtype=torch.float64)

    def _scores(self, state: Tensor, anchors: Tensor, decision: Decision) -> Tensor:
        w1, w2, v = (self.weights[f"attention {name}"] for name in ("anchor", "state", "score"))
        found = self._squashed((anchors @ w1.T + w2 @ state).tanh() @ v, 1.0)
        free = decision.low == 0 and decision.high >= decision.size
        return 2 * found if free and self.shape.paired else found

    def _squashed(self, logits: Tensor, reduce: float) -> Tensor:
        found = logits / self.shape.temperature
        return found if self.shape.tanh is None else self.shape.tanh / reduce * found.tanh()


class _Thought:
    """The state of the LSTM within one architecture. ``waiting``: the decision that it was not yet told of."""

    def __init__(self, weights: Mapping[str, Tensor], shape: Shape) -> None:
        self.weights = weights
        self.h = self.c = [torch.zeros(shape.hidden, dtype=torch.float64)] * shape.layers
        self.next = weights["start"]
        self.waiting: int | None = None
        self.states: dict[int, Tensor] = {}
        """By rank of the decision, the state after it was told."""

    def told(self, rank: int, embedding: Tensor) -> None:
        """What was decided, for the next step."""
        self.next, self.waiting = embedding, rank

    def think(self) -> Tensor:
        """One step; the state ``(hidden,)``."""
        x, hs, cs = self.next, [], []
        for layer, (h, c) in enumerate(zip(self.h, self.c, strict=True)):
            i, f, o, g = (self.weights[f"lstm {layer}"] @ torch.cat([x, h])).chunk(4)
            c = i.sigmoid() * g.tanh() + f.sigmoid() * c
            x = o.sigmoid() * c.tanh()
            hs.append(x)
            cs.append(c)
        self.h, self.c = hs, cs
        if self.waiting is not None:
            self.states[self.waiting], self.waiting = x, None
        return x

    def settle(self) -> None:
        """Think of what was told last, and go on from the start's embedding."""
        self.think()
        self.next = self.weights["start"]

    def behind(self, rank: int | None, plan: Plan) -> int | None:
        """The last decision that was made among those of its owner up to ``rank``: it may itself be inactive."""
        if rank is None:
            return None
        decisions = plan.table.decisions
        owner = decisions[rank].owner
        made = [*self.states, *([] if self.waiting is None else [self.waiting])]
        return max((r for r in made if r <= rank and decisions[r].owner == owner), default=None)


def _picked(anchors: Tensor, value: Value, decision: Decision) -> Tensor:
    assert isinstance(value, tuple)
    total = anchors[list(value)].sum(0)
    return total / (len(value) + (decision.low == 0)) if value else total


def _divergence(scores: Tensor, target: float) -> Tensor:
    """KL of coins sigmoid(``scores``) from coins of ``target``, summed."""
    yes, no = F.logsigmoid(scores), F.logsigmoid(-scores)
    wanted = torch.tensor([target, 1 - target], dtype=scores.dtype).log()
    return (yes.exp() * (yes - wanted[0]) + no.exp() * (no - wanted[1])).sum()


def _fresh(plan: Plan, shape: Shape, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights, uniform within ``shape.start``: of the shared parts, and of each family of decisions."""
    n = shape.hidden
    sizes: dict[str, tuple[int, ...]] = {f"lstm {layer}": (4 * n, 2 * n) for layer in range(shape.layers)}
    sizes["start"] = (n,)
    if plan.works:
        sizes |= {"attention anchor": (n, n), "attention state": (n, n), "attention score": (n,)}
        sizes["elements"] = (plan.widest, n)
    for family, count in _families(plan).items():
        sizes[f"embedding {family}"] = sizes[f"head {family}"] = (count, n)
    found = {
        name: shape.start * (2 * torch.rand(size, generator=generator, dtype=torch.float64) - 1)
        for name, size in sizes.items()
    }
    if shape.favoured:
        by_family = {plan.families[d.id]: d for d in plan.table.decisions if d.kind != "subset"}
        found |= {f"bias {family}": shape.favour * _favoured(d, shape) for family, d in by_family.items()}
    return {name: t.requires_grad_() for name, t in found.items()}


def _families(plan: Plan) -> dict[str, int]:
    """Candidates of each family, in the order in which they are met."""
    return {plan.families[d.id]: len(d.labels) for d in plan.table.decisions if d.kind != "subset"}


def _favoured(decision: Decision, shape: Shape) -> Tensor:
    return torch.tensor([float(label in shape.favoured) for label in decision.labels], dtype=torch.float64)


def _size(decision: Decision) -> int:
    return decision.size if decision.kind == "subset" else len(decision.labels)


def _even(decision: Decision) -> Tensor:
    """The law of a decision of which nothing is known."""
    if decision.kind == "subset":
        return Subset(torch.zeros(decision.size, dtype=torch.float64), decision.low, decision.high).chances()
    return torch.full((len(decision.labels),), 1 / len(decision.labels), dtype=torch.float64)
