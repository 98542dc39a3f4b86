"""The checks of a strategy that proposes trials: asked and told in the order in which trials end.

Nothing is trained: ratings are made up (:mod:`spacec.testing.exchange`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.checkpoint import begin
from spacec.search.context import SearchContext
from spacec.search.record import NullRecorder
from spacec.search.strategy import Strategy, Trial
from spacec.search.wiring import input_types, output_types
from spacec.testing.conformance.model import Complaints
from spacec.testing.conformance.runs import Subject
from spacec.testing.conformance.trees import first_difference
from spacec.testing.exchange import Exchange, made_up, text_of

WORKERS = 3

Fails = Callable[[int], bool]


def check_trials(subject: Subject, complaints: Complaints, folder: Path) -> None:
    """Side by side; again, and again from its state in the middle; with trials that fail; where all fail."""
    whole = _tried(subject, complaints, "asynchronous")
    if whole is None or not whole.asked:
        return
    _check_kept(whole, complaints)
    _check_answer(whole, complaints, "asynchronous")
    if not complaints.found.keys() & {"seeds", "resume", "state"}:  # else the fault is told of
        _check_replay(subject, whole, complaints, folder)
    some = _tried(subject, complaints, "failed trials", lambda number: number % 2 == 0)
    none = _tried(subject, complaints, "failed trials", lambda number: True)
    for exchange in (some, none):
        if exchange is not None:
            _check_answer(exchange, complaints, "failed trials")


def _set_up(subject: Subject, fails: Fails = lambda number: False) -> Exchange:
    space, task = subject.space, subject.task
    task = task.adapt(input_types(space.flat), output_types(space.flat))
    ctx = SearchContext(space, task, subject.config, subject.trial, torch.device("cpu"), NullRecorder())
    strategy = subject.make()
    begin(ctx, strategy)
    return Exchange(strategy, made_up(ctx, fails), WORKERS, subject.config.trials or 100)


def _tried(
    subject: Subject, complaints: Complaints, check: str, fails: Fails = lambda number: False
) -> Exchange | None:
    exchange = _set_up(subject, fails)
    try:
        exchange.run()
    except Exception as error:  # whatever a strategy raises is what the report says
        complaints.add(check, f"asked and told as trials end, it failed: {type(error).__name__}: {error}")
        return None
    return exchange


def _check_kept(exchange: Exchange, complaints: Complaints) -> None:
    places = {result.number: place for place, result in enumerate(exchange.told)}
    for trial, known in zip(exchange.asked, exchange.known, strict=True):
        if trial.resume is None:
            continue
        place = places.get(trial.resume, known)
        why = (
            _why_not(exchange.told[place].trial, exchange.told[place].failed, trial)
            if place < known
            else "not told yet"
        )
        if why:
            complaints.add("kept trials", f"a trial goes on from trial {trial.resume}, {why}")


def _why_not(earlier: Trial, failed: bool, trial: Trial) -> str:
    if failed:
        return "which failed"
    if not earlier.keep:
        return "which was not kept"
    if earlier.arch != trial.arch:
        return "which has another architecture"
    if earlier.budget is None or trial.budget is None or trial.budget <= earlier.budget:
        return f"to {trial.budget} epochs in all, after {earlier.budget}"
    return ""


def _check_answer(exchange: Exchange, complaints: Complaints, check: str) -> None:
    failed = sum(result.failed for result in exchange.told)
    told = f"after {len(exchange.told)} trials, {failed} of which failed,"
    try:
        found = exchange.strategy.derive()
        exchange.strategy.ctx.space.validate(found)
    except SpacecError as error:
        first = error.diagnostics[0]
        if first.code != "E0821" or failed < len(exchange.told):
            complaints.add(check, f"{told} it has no answer: {first.headline}")
    except Exception as error:  # whatever a strategy raises is what the report says
        complaints.add(check, f"{told} deriving fails: {type(error).__name__}: {error}")


def _check_replay(subject: Subject, whole: Exchange, complaints: Complaints, folder: Path) -> None:
    """The same exchange again, and cut in its middle, where trials are running."""
    again = _set_up(subject)
    again.run()
    if place := _differs(whole, again):
        complaints.add("replay", "asked and told again in the same order, it asks for other trials", place)
        return
    half = _set_up(subject)
    half.run(max(1, len(whole.told) // 2))
    fresh = _set_up(subject)
    _carry(half.strategy, fresh.strategy, folder)
    rest = half.go_on_with(fresh.strategy)
    try:
        rest.run()
    except Exception as error:  # whatever a strategy raises is what the report says
        complaints.add("replay", f"from its state in the middle of trials it fails: {type(error).__name__}: {error}")
        return
    if place := _differs(whole, rest):
        complaints.add("replay", "from its state in the middle of trials it goes on otherwise", place)


def _carry(old: Strategy, new: Strategy, folder: Path) -> None:
    """State and generators, through a file."""
    path = folder / "middle.pt"
    files.write_tensors(path, {**old.ctx.randomness(), "strategy": old.state_dict()})
    state = files.read_tensors(path)
    new.ctx.load_randomness(state)
    new.load_state_dict(state["strategy"])


def _differs(a: Exchange, b: Exchange) -> str | None:
    mine, theirs = (
        {
            "trial": [text_of(t) for t in x.asked],
            "told": [r.number for r in x.told],
            "strategy": x.strategy.state_dict(),
        }
        for x in (a, b)
    )
    return first_difference(mine, theirs)
