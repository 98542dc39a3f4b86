"""The checks of one pair, each a function of what its searches showed."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from spacec.diagnostics.model import SpacecError
from spacec.facade import Space
from spacec.search import files
from spacec.search.config import SearchConfig, settings_for, strategy_config
from spacec.search.options import options_help, parse_options
from spacec.search.progress import Progress, ProgressFn
from spacec.search.runner import SearchResult
from spacec.search.strategy import Strategy
from spacec.search.task import Task
from spacec.search.trainer import TrainConfig
from spacec.testing.conformance.memory import census
from spacec.testing.conformance.model import CHECKS, Complaints, Report
from spacec.testing.conformance.runs import Killed, Subject, excluding, global_randomness, killer, outcome
from spacec.testing.conformance.trees import changed, first_difference, leaves
from spacec.testing.conformance.trials import check_trials
from spacec.testing.conformance.watch import Watch
from spacec.testing.synthetic import Synthetic

TINY: Mapping[str, object] = {
    "epochs": 2,
    "steps": 3,
    "batch_size": 4,
    "eval_batches": 1,
    "arch_from": 0,
    "arch_every": 1,
    "trials": 8,
    "device": "cpu",
}
"""The runner's settings for a check, over those of the strategy."""
RATE = 0.1
"""The largest rate of the weights: papers' rates for batches of a thousand diverge on batches of four."""
TRIAL = TrainConfig(epochs=1, steps=1, batch_size=4)


def check(
    space: Space,
    strategy: type[Strategy],
    options: Mapping[str, object] | None = None,
    config: Mapping[str, object] | None = None,
    *,
    task: Task | None = None,
    softmax: bool = True,
) -> Report:
    """Run every check of :data:`~spacec.testing.conformance.CHECKS` on a pair; about fifteen training steps.

    ``options`` of the strategy default to its ``tiny`` ones; ``config`` goes over :data:`TINY`; ``task`` defaults to
    made-up samples that fit any space. ``softmax=False`` is for a strategy whose ``probabilities`` need sum to one
    neither by slot nor by node (:attr:`SearchContext.nodes`). Nothing is raised for a pair that fails.
    """
    start = time.monotonic()
    chosen = dict(strategy.tiny if options is None else options)
    task = task or Synthetic()
    settings = strategy_config(settings_for(strategy.config, task), {**TINY, **(config or {})})
    if "recalibrate" not in (config or {}):
        settings = replace(settings, recalibrate=min(settings.recalibrate, 1))
    if "lr" not in (config or {}):
        settings = replace(settings, lr=min(settings.lr, RATE))
    subject = Subject(space, strategy, chosen, settings, TRIAL, task)
    complaints = Complaints(strategy.name, space.name)
    _check_options(subject, complaints)
    if why := subject.make().unsupported(space):
        return Report(strategy.name, space.name, complaints.failures, why, seconds=time.monotonic() - start)
    pair = _Pair(subject, complaints, softmax)
    with tempfile.TemporaryDirectory(prefix="spacec-conformance-") as folder:
        pair.run(Path(folder))
    seconds = time.monotonic() - start
    return Report(strategy.name, space.name, complaints.failures, notes=tuple(pair.notes), seconds=seconds)


def require(
    space: Space,
    strategy: type[Strategy],
    options: Mapping[str, object] | None = None,
    config: Mapping[str, object] | None = None,
    **how: Any,
) -> Report:
    """:func:`check`, for a test: raises :class:`AssertionError` with every sentence of a pair that fails."""
    report = check(space, strategy, options, config, **how)
    if not report.ok:
        raise AssertionError(str(report))
    return report


@dataclass
class _Pair:
    """The searches of a pair, in the order in which one builds on another."""

    subject: Subject
    complaints: Complaints
    softmax: bool
    notes: list[str] = field(default_factory=list)
    checkpoints: dict[int, Any] = field(default_factory=dict)
    """What the whole run wrote, by the epoch that came next."""

    def run(self, folder: Path) -> None:
        strategy = self.subject.make()
        watch = Watch(strategy, self.complaints, self.subject.space, "derived")
        with global_randomness(1):
            whole = self._whole(strategy, watch, folder)
        if whole is None:
            return
        decides = bool(self.subject.space.decisions)
        if decides and watch.learns and strategy.uses_supernet and not watch.learnt:
            self.complaints.add("architecture step", "no step of the search changed an architecture parameter")
        self._check_derived(whole)
        with global_randomness(2):
            self._check_resume(outcome(whole, strategy), folder / "killed")
            self._check_other_seed(watch.start)
        self._check_constraints(whole)
        if whole.trials:
            check_trials(self.subject, self.complaints, folder)

    def _whole(self, strategy: Strategy, watch: Watch, folder: Path) -> SearchResult | None:
        def told(now: Progress) -> None:
            watch.told(now)
            self._check_state(strategy, folder)
            if now.phase != "search":
                return
            self._check_probabilities(strategy)
            if now.step == 0 and now.epoch > 0:
                self.checkpoints.setdefault(now.epoch, files.read_tensors(folder / "whole" / files.CHECKPOINT))
            kept = leaves([self.checkpoints, watch.start])
            counted.count(t for _, t in kept if isinstance(t, torch.Tensor))

        with census() as counted:
            result = self._tried("support", self.subject, strategy, told, folder / "whole")
        if result is not None and (growth := counted.growth()) is not None:
            self.complaints.add("memory", growth)
        return result

    def _tried(
        self, check: str, subject: Subject, strategy: Strategy, told: ProgressFn, out_dir: Path | None = None
    ) -> SearchResult | None:
        try:
            return subject.run(strategy, told, out_dir)
        except Exception as error:  # whatever a strategy raises is what the report says
            if not self.complaints.found:
                self.complaints.add(check, f"the search failed: {type(error).__name__}: {error}")
            return None

    def _check_derived(self, result: SearchResult) -> None:
        space, arch = self.subject.space, result.architecture
        if space.architecture(arch.text()) != arch:
            self.complaints.add("derived", f"its text {arch.text()} reads as another architecture")
        network = space.network(arch, seed=0)
        ctx = result.context
        batch = ctx.stream("weights", "conformance").batch(0, 0)
        for training in (True, False):
            network.train(training)
            with torch.no_grad():
                out = ctx.wiring.wrap(network(*ctx.wiring.batch_arguments(batch)))
            bad = [name for name, t in out.outputs.items() if not bool(t.isfinite().all())]
            if bad:
                self.complaints.add("derived", f"the network of {arch.text()} gives no finite numbers", bad[0])

    def _check_state(self, strategy: Strategy, folder: Path) -> None:
        state, path = strategy.state_dict(), folder / "state.pt"
        try:
            files.write_tensors(path, state)
            read = files.read_tensors(path)
        except Exception as error:  # torch's pickler raises what the state's classes raise
            self.complaints.add("state", f"its state is not read back with weights_only: {error}")
            return
        if (place := first_difference(state, read)) is not None:
            self.complaints.add("state", "what a file gives back differs", place)

    def _check_resume(self, expected: Mapping[str, Any], out_dir: Path) -> None:
        """One run, killed after every epoch and in the middle of its trials, against the whole one."""
        moments = [("search", epoch, 0) for epoch in sorted(self.checkpoints)]
        moments += [("trials", 0, 1)] if expected["trials"] > 1 else []
        resume = False
        for moment in [*moments, None]:
            strategy = self.subject.make()
            try:
                result = self.subject.run(strategy, killer(moment), out_dir, resume)
            except Killed:
                resume = True
                if moment is not None and moment[0] == "search" and self._differs_at(moment[1], out_dir):
                    return
            except Exception as error:  # whatever a strategy raises is what the report says
                self.complaints.add("resume", f"a search killed at {moment} failed: {type(error).__name__}: {error}")
                return
            else:
                if (place := first_difference(expected, outcome(result, strategy))) is not None:
                    self._blame("the result of a search that was killed and resumed is another one", place)
                return

    def _differs_at(self, epoch: int, out_dir: Path) -> bool:
        place = first_difference(self.checkpoints[epoch], files.read_tensors(out_dir / files.CHECKPOINT))
        if place is not None:
            self._blame(f"the checkpoint after epoch {epoch - 1} is another one", place)
        return place is not None

    def _blame(self, message: str, place: str) -> None:
        """Tell a search that forgets from one whose seed does not decide everything."""
        repeated = []
        for seed in (3, 4):
            strategy = self.subject.make()
            with global_randomness(seed):
                repeated.append(outcome(self.subject.run(strategy, killer(None)), strategy))
        if (differs := first_difference(*repeated)) is not None:
            self.complaints.add("seeds", "two searches of one seed differ", differs)
            self.notes.append("resume: not judged, since one seed gives several results")
        else:
            self.complaints.add("resume", message, place)

    def _check_other_seed(self, start: Mapping[str, Any]) -> None:
        other = self.subject.with_config(seed=self.subject.config.seed + 1)
        strategy = other.make()
        watch = Watch(strategy, self.complaints, other.space, "derived")
        with suppress(Killed):
            other.run(strategy, _kill)
        if start and not changed(start, watch.start):
            self.complaints.add("seeds", "searches of two seeds start from the same weights", next(iter(start)))

    def _check_constraints(self, whole: SearchResult) -> None:
        found = excluding(self.subject.space, whole.architecture)
        if found is None:
            self.notes.append(f"constraints: none was found that excludes {whole.architecture.text()} alone")
            return
        narrowed, _ = found
        subject = replace(self.subject, space=narrowed).with_config(epochs=1, steps=1)
        if why := subject.make().unsupported(narrowed):
            self.notes.append(f"constraints: {why}")
            return
        strategy = subject.make()
        watch = Watch(strategy, self.complaints, narrowed, "constraints")
        self._tried("constraints", subject, strategy, watch.told)

    def _check_probabilities(self, strategy: Strategy) -> None:
        before = strategy.ctx.randomness()
        found = strategy.probabilities()
        if first_difference(found, strategy.probabilities()) or first_difference(before, strategy.ctx.randomness()):
            self.complaints.add("probabilities", "asking for them twice gives others, or draws from the generators")
        strategy.ctx.load_randomness(before)
        slots = {slot.id: slot for slot in strategy.ctx.slots}
        if found and (missing := sorted(slots.keys() ^ found.keys())):
            self.complaints.add("probabilities", "not every slot has an entry, or one is no slot", missing[0])
            return
        for name, given in found.items():
            values = list(given)
            if len(values) != slots[name].size:
                message = f"{len(values)} numbers for the {slots[name].size} candidates"
                self.complaints.add("probabilities", message, name)
            elif not all(isfinite(p) and p >= 0 for p in values):
                self.complaints.add("probabilities", f"{values} are not all finite and at least 0", name)
            elif self.softmax and not _sums_to_one(name, found, strategy.ctx.nodes):
                self.complaints.add("probabilities", f"they sum to {sum(values)}, not to one", name)


def _sums_to_one(slot: str, found: Mapping[str, Sequence[float]], nodes: Sequence[Sequence[str]]) -> bool:
    """Of the slot, or, where edges into a node are weighed against each other, of all of that node."""
    groups = [(slot,), *(node for node in nodes if slot in node)]
    return any(abs(sum(sum(found[s]) for s in group) - 1) <= 1e-4 for group in groups)


def _check_options(subject: Subject, complaints: Complaints) -> None:
    """Defaults and the tiny ones, through the record's JSON and through the texts of the help."""
    cls = subject.strategy.Options
    for strategy in (subject.strategy(), subject.make()):
        described = json.loads(json.dumps(strategy.describe()))
        if described["name"] != strategy.name:
            complaints.add("options", f"describe() names it '{described['name']}'")
        try:
            again = parse_options(cls, described["options"])
        except SpacecError as error:
            complaints.add("options", f"describe() does not read back: {error}")
            continue
        if asdict(again) != asdict(strategy.options):
            differs = first_difference(asdict(again), asdict(strategy.options)) or ""
            complaints.add("options", "describe() reads back as other options", differs)
    texts = {o.name: o.default for o in options_help(cls) if o.default != "(required)"}
    try:
        shown = asdict(parse_options(cls, texts))
    except SpacecError as error:
        complaints.add("options", f"the defaults that the help shows are not accepted: {error}")
        return
    if (place := first_difference(asdict(subject.strategy().options), shown)) is not None:
        complaints.add("options", "the default that the help shows is another one", place)


def _kill(now: Progress) -> None:
    raise Killed


__all__ = ["CHECKS", "TINY", "SearchConfig", "check", "require"]
