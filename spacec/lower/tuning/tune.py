"""A schedule for a supernet, chosen by timing it here: see :func:`tuned`.

Everything is run on a copy of the supernet, with random states put back: weights, running statistics, gradients and
random numbers of the supernet itself are as if nothing had been measured.
"""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor

from spacec.diagnostics.model import SpacecError
from spacec.lower.bench.counting import count_calls
from spacec.lower.bench.machine import seconds
from spacec.lower.kernels.registry import IMPLEMENTATIONS
from spacec.lower.kernels.table import Implementation, OpSite
from spacec.lower.masks import Mask, OneHot, Paths, PerInstance
from spacec.lower.schedule import FAST, LAUNCHES, PLAIN, Goal, Layout, Measurement, Schedule
from spacec.lower.tuning import store
from spacec.lower.tuning.choosing import MARGIN, Budget, Choice, Clock, Run, choose, guarded, in_pairs
from spacec.lower.tuning.question import place_of, question_of
from spacec.lower.tuning.sites import alternatives, measure_site

if TYPE_CHECKING:
    from spacec.lower.supernet import Supernet

SECONDS = 120.0
"""What measuring may take, about: a step that was begun is ended."""
LEAST = 1e-3
"""Seconds of one timing: what takes less runs several times in it, and the least counts."""
ROUNDS = 4
LASTING = 0.6
"""Seconds for which a network runs by each alternative that is not far behind, where its rounds are short."""
CACHED = "from the cache"
"""What is told where nothing need be measured."""
NETWORK = "network"
GUARD = "network, against the plain form"
_OPTIONAL = ("stack", "separable", "fold_norms", "polyphase")
"""Passes that may cost more than they save; each is tried to be left out."""

Told = Callable[[str], None]
"""Is told what is measured next."""


@dataclass(frozen=True)
class Effort:
    """How a schedule is found: in how many ``budget`` seconds, by which clock and kernels, from the cache or anew."""

    budget: float = SECONDS
    fresh: bool = False
    told: Told = lambda text: None
    clock: Clock | None = None
    known: tuple[Implementation, ...] = IMPLEMENTATIONS


def tuned(net: Supernet, inputs: Sequence[Any], mask: Mask | None, goal: Goal, effort: Effort) -> Schedule:
    """The schedule for these inputs, mask and goal on their device, from the user's cache or by measuring.

    Raises :class:`SpacecError` where the supernet does not run this mask, and :class:`ValueError` for another goal.
    """
    if goal not in get_args(Goal):
        raise ValueError(f"no goal is called '{goal}'; there are {', '.join(get_args(Goal))}")
    question = question_of(net, inputs, mask, goal, effort.known)
    found = None if effort.fresh else store.load(question)
    if found is not None:
        effort.told(CACHED)
        return found
    device = _device(inputs)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.enable_grad():
        found = _Tuner(net, inputs, mask, goal, effort).schedule()
    store.save(question, found)
    return found


class _Tuner:
    def __init__(self, net: Supernet, inputs: Sequence[Any], mask: Mask | None, goal: Goal, effort: Effort) -> None:
        self.device = _device(inputs)
        self.net = _quiet(net)
        self.inputs = inputs
        self.mask = _own(mask) if mask is not None else _uniform(net, self.device)
        self.goal: Goal = goal
        self.effort = effort
        self.clock = effort.clock or (lambda run: _timed(run, self.device))
        self.budget = Budget(effort.budget, time.monotonic)
        self.kernels: dict[Layout, dict[str, str]] = {}
        self.measured: list[Measurement] = []
        self.left = 0

    def schedule(self) -> Schedule:
        start = LAUNCHES if self.goal == "launches" else FAST
        layouts = _layouts(self.inputs)
        for layout in layouts:
            self._sites(layout, start)
        candidates = self._candidates(layouts)
        name, found = self._network(candidates)
        found = self._without(name, found)
        found = self._guarded(found)
        measured = tuple(m for m in self.measured if m.subject not in found.kernels) + tuple(
            m for m in self.measured if m.subject in found.kernels
        )
        place = {**place_of(self.device), "seconds": round(time.monotonic() - self.budget.started)}
        place |= {"sites left unmeasured": self.left} if self.left else {}
        return replace(found, goal=self.goal, measured=measured, place=place)

    def _sites(self, layout: Layout, start: Schedule) -> None:
        """Choose the kernel of every site that the network meets in a layout; the heaviest first."""
        kernels = self.kernels[layout] = {}
        for site, count in _heaviest(self._met(replace(start, layout=layout))):
            if not alternatives(site, self.effort.known):
                continue
            known = next((m for m in self.measured if m.subject == site.signature), None)
            if known is None:
                if self.budget.spent(0.5):
                    self.left += 1
                    continue
                self.effort.told(site.signature)
                known = measure_site(site, count, self.effort.known, self.clock, lambda: self.budget.spent(0.5))
                self.measured.append(known)
            kernels[site.signature] = known.chosen

    def _met(self, schedule: Schedule) -> Counter[OpSite]:
        """The sites of a pass: by the schedule's passes, and by the plain graph, where sampled paths run."""
        found: Counter[OpSite] = Counter()
        for passes in dict.fromkeys((schedule.passes, ())):
            twin = self._twin(replace(schedule, passes=passes, otherwise="expected"))
            for mask in (self.mask, None):
                try:
                    twin(*self.inputs, mask=mask)
                except SpacecError:
                    if mask is not None:
                        raise
            for site, count in twin.sites().items():
                found[site] = max(found[site], count)
        return found

    def _candidates(self, layouts: Sequence[Layout]) -> dict[str, Schedule]:
        """What the network is timed with, by name."""
        passes = {"fast": FAST.passes, "launches": LAUNCHES.passes, "kernels alone": ()}
        if self.goal == "launches":
            del passes["kernels alone"]
        distinct = {steps: name for name, steps in reversed(passes.items())}
        found = {} if self.goal == "launches" else {"plain": PLAIN}
        for layout in layouts:
            for steps, name in reversed(distinct.items()):
                kernels = self.kernels[layout]
                found[f"{name}, {layout}"] = Schedule(steps, layout, kernels, otherwise="expected")
        return found

    def _network(self, candidates: Mapping[str, Schedule]) -> tuple[str, Schedule]:
        """The candidate with which the whole network takes least; of those with fewest calls, where calls count."""
        note = ""
        if self.goal == "launches":
            calls = {name: self._calls(schedule) for name, schedule in candidates.items()}
            fewest = min(calls.values())
            candidates = {name: schedule for name, schedule in candidates.items() if calls[name] == fewest}
            note = f"; {fewest:,} framework calls a pass, the plain form makes {self._calls(PLAIN):,}"
        self.effort.told(f"the network: {', '.join(candidates)}")
        runs = {name: self._step(schedule) for name, schedule in candidates.items()}
        trials = in_pairs(runs, self.clock, ROUNDS, lambda: self.budget.spent(0.8), LASTING)
        best = choose(trials, "plain", 0.0)
        self.measured.append(Measurement(NETWORK, 1, trials, best.name, best.reason + note))
        return best.name, candidates[best.name]

    def _without(self, name: str, found: Schedule) -> Schedule:
        """The schedule without those passes that cost more than they save."""
        for step in found.passes:
            if self.goal == "launches" or step.partition(":")[0] not in _OPTIONAL or self.budget.spent(0.8):
                continue
            other = replace(found, passes=tuple(p for p in found.passes if p != step))
            label = f"{name}, without {step}"
            runs = {name: self._step(found), label: self._step(other)}
            self.effort.told(f"the network: {label}")
            trials = in_pairs(runs, self.clock, ROUNDS, lambda: self.budget.spent(0.8), LASTING)
            best = choose(trials, name, MARGIN)
            self.measured.append(Measurement(f"pass {step}", 1, trials, best.name, best.reason))
            if best.name == label:
                name, found = label, other
        return found

    def _guarded(self, found: Schedule) -> Schedule:
        """The schedule, or the plain one where that is faster."""
        if found.plain:
            return found
        self.effort.told("the network, against the plain form")
        runs = {"plain": self._step(PLAIN), "chosen": self._step(found)}
        trials = in_pairs(runs, self.clock, ROUNDS, lambda: self.budget.spent(), LASTING)
        best = guarded(trials, "chosen", "plain")
        if self.goal == "launches" and best.name == "plain":
            best = Choice("chosen", f"{best.reason}; few calls were asked for, not least time here")
        self.measured.append(Measurement(GUARD, 1, trials, best.name, best.reason))
        return found if best.name == "chosen" else PLAIN

    def _calls(self, schedule: Schedule) -> int:
        twin = self._twin(schedule)
        self._loss(twin)  # makes the form
        return sum(calls.all for calls in count_calls(lambda: self._loss(twin)))

    def _step(self, schedule: Schedule) -> Run:
        twin = self._twin(schedule)

        def once() -> None:
            twin.zero_grad(set_to_none=True)
            self._loss(twin).backward()  # type: ignore[no-untyped-call]  # torch does not type it

        return once

    def _loss(self, twin: Supernet) -> Tensor:
        out = twin(*self.inputs, mask=self.mask)
        terms = [o.float().square().mean() for o in out.outputs.values()] + [v.float() for v in out.losses.values()]
        return torch.stack(terms).sum()

    def _twin(self, schedule: Schedule) -> Supernet:
        """A supernet of its own schedule, on the weights of the copy."""
        twin = copy.copy(self.net)
        twin.use(schedule)
        return twin


def _quiet(net: Supernet) -> Supernet:
    """A copy in training that nobody listens to."""
    found = net.clone().train()
    for module in found.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks):
            hooks.clear()
    return found


def _heaviest(met: Counter[OpSite]) -> list[tuple[OpSite, int]]:
    """Sites by their multiply-adds over a pass, most first."""

    def work(item: tuple[OpSite, int]) -> tuple[float, str]:
        site, count = item
        taps = math.prod(site.window.kernel) / site.window.groups if site.window else 1
        return -count * site.batch * math.prod(site.space) * site.channels[0] * site.channels[1] * taps, site.signature

    return sorted(met.items(), key=work)


def _layouts(inputs: Sequence[Any]) -> tuple[Layout, ...]:
    images = any(isinstance(x, Tensor) and x.dim() == 4 and x.device.type != "mps" for x in inputs)
    return ("contiguous", "channels_last") if images else ("contiguous",)


def _device(inputs: Sequence[Any]) -> torch.device:
    tensors = (t for x in inputs for t in (x if isinstance(x, tuple) else (x,)) if isinstance(t, Tensor))
    return next(tensors).device


def _uniform(net: Supernet, device: torch.device) -> Mask:
    dtype = next((p.dtype for p in net.parameters() if p.is_floating_point()), torch.float32)
    return {
        s.id: torch.full((s.size,), 1.0 / s.size, device=device, dtype=dtype).requires_grad_()
        for s in net.blueprint.slots.values()
    }


def _own(value: Any) -> Any:
    """A mask on tensors of its own, which ask for gradients as the given ones do."""
    match value:
        case Tensor():
            return value.detach().clone().requires_grad_(value.requires_grad)
        case OneHot():
            return replace(value, weights=_own(value.weights))
        case Paths():
            return replace(value, weights=_own(value.weights))
        case PerInstance():
            return PerInstance({name: _own(entry) for name, entry in value.masks.items()})
        case Mapping():
            return {name: _own(entry) for name, entry in value.items()}
    return value


def _timed(run: Run, device: torch.device) -> float:
    """The least of several runs where one is short."""
    found = [seconds(run, device)]
    while sum(found) < LEAST:
        found.append(seconds(run, device))
    return min(found)
