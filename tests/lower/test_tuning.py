"""Choosing a schedule by measurement, with clocks that tests wind; what is measured leaves no trace."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spacec.lower.kernels.table import Implementation, OpSite, Window
from spacec.lower.masks import OneHot
from spacec.lower.schedule import PLAIN, Schedule, Trial
from spacec.lower.supernet import Supernet
from spacec.lower.tuning import store
from spacec.lower.tuning.choosing import Budget, choose, guarded, in_pairs, in_turns
from spacec.lower.tuning.sites import measure_site
from spacec.lower.tuning.tune import GUARD, Effort, tuned
from tests.lower.helpers import inputs_of, supernet_of
from tests.lower.spaces import cell_space, pick_space


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of schedules alone: generated kernels stay where other tests have built them."""
    folder = tmp_path / "schedules"
    monkeypatch.setattr(store, "cache_folder", lambda name: folder)
    return folder


def never() -> bool:
    return False


def test_alternatives_take_turns_and_who_is_far_behind_is_not_run_again() -> None:
    calls: list[str] = []
    times = {"a": iter([3.0, 2.5, 2.5]), "b": iter([9.0]), "c": iter([4.0, 1.0, 1.5])}

    def run(name: str) -> Callable[[], str]:
        return lambda: name

    def clock(run: Callable[[], object]) -> float:
        calls.append(str(run()))
        return next(times[calls[-1]])

    found = in_turns({name: run(name) for name in times}, clock, 3, never)
    assert calls == ["a", "b", "c", "a", "c", "c"]
    assert found == (Trial("a", 2.5), Trial("b", 9.0), Trial("c", 1.0))
    times.update({name: iter([1.0]) for name in times})
    assert len(in_turns({name: run(name) for name in times}, clock, 3, lambda: True)) == 3


def test_networks_are_compared_round_by_round_so_that_a_slow_spell_decides_nothing() -> None:
    """What takes 0.8 of the first stays so while all runs at half its speed, with one lucky moment of the first."""
    times = {"plain": iter([1.0, 2.0, 2.0, 0.5, 2.0]), "fast": iter([0.8, 1.6, 1.6, 1.6, 1.6]), "slow": iter([9.0])}

    def run(name: str) -> Callable[[], str]:
        return lambda: name

    def clock(run: Callable[[], object]) -> float:
        return next(times[str(run())])

    found = {t.name: t.seconds for t in in_pairs({name: run(name) for name in times}, clock, 5, never)}
    assert found == pytest.approx({"plain": 0.5, "fast": 0.4, "slow": 4.5})


@pytest.mark.parametrize(("took", "turns"), [(0.25, 8), (5.0, 3)])
def test_short_runs_take_more_turns(took: float, turns: int) -> None:
    runs: list[str] = []
    in_pairs({"a": lambda: runs.append("a")}, lambda run: took if run() is None else 0.0, 3, never, lasting=2.0)
    assert len(runs) == 1 + turns, "one before that is not timed"


def test_what_is_faster_by_noise_only_is_not_chosen() -> None:
    def timed(**times: float) -> tuple[Trial, ...]:
        return tuple(Trial(name, seconds) for name, seconds in times.items())

    assert choose(timed(library=1.0, native=0.5), "library").name == "native"
    noise = choose(timed(library=1.0, native=0.98), "library")
    assert (noise.name, noise.reason) == ("library", "native takes 0.98 of its time, which is noise")
    assert choose(timed(library=1.0, native=2.0), "library").name == "library"
    assert choose(timed(steady=1.0, native=0.99), "library").name == "native", "the library is no alternative here"
    assert guarded(timed(plain=1.0, chosen=1.04), "chosen", "plain").name == "chosen"
    slow = guarded(timed(plain=1.0, chosen=1.06), "chosen", "plain")
    assert (slow.name, slow.reason) == ("plain", "chosen took 1.06 of the time of plain")


def test_a_budget_is_spent_by_shares() -> None:
    times = iter([0.0, 4.0, 6.0, 11.0])
    budget = Budget(10.0, lambda: next(times))
    assert [budget.spent(0.5), budget.spent(0.5), budget.spent()] == [False, True, True]


def test_parts_of_a_site_are_chosen_apart_and_needed_ones_displace_the_library() -> None:
    site = OpSite("conv", (4, 4), 1, (6, 6), "float64", "contiguous", "cpu", Window((3, 3), (1, 1), (1, 1), (1, 1), 4))
    calls: list[str] = []

    def mine(window: Window, gradient: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
        calls.append("mine")
        return F.conv2d(gradient, weight.flip(2, 3), None, 1, window.padding, 1, window.groups)

    def clock(run: Callable[[], object]) -> float:
        calls.clear()
        run()
        return 1.0 if calls else 2.0

    def everywhere(site: OpSite) -> bool:
        return True

    own = Implementation("mine", "conv", mine, everywhere, part="input")
    found = measure_site(site, 3, (own,), clock, never)
    assert (found.chosen, found.count) == ("library|mine|library", 3)
    assert [t.name for t in found.trials] == ["input library", "input mine", "library", "library|mine|library"]

    def whole(window: Window, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, weight, bias, window.stride, window.padding, window.dilation, window.groups)

    exact = Implementation("exact", "conv", whole, everywhere, needed=everywhere)
    assert measure_site(site, 1, (exact,), clock, never).chosen == "exact"


def state(net: Supernet) -> list[Tensor]:
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    return [t.clone() for t in (*net.state_dict().values(), *gradients, torch.get_rng_state())]


@pytest.mark.parametrize("goal", ["fast", "launches"])
def test_tuning_leaves_no_trace_and_its_schedule_computes_the_same(goal: str, cache: Path) -> None:
    toy = pick_space()
    net = supernet_of(toy)
    x = inputs_of(toy)
    mask = {s.id: torch.rand(len(s.labels), dtype=torch.float64, requires_grad=True) for s in toy.table.slots}
    heard: list[object] = []
    net.get_submodule("stem_0.conv_0").register_forward_hook(lambda *given: heard.append(given))
    net.eval()
    net(*x, mask=mask).prediction.sum().backward()
    given = [m.grad.clone() for m in mask.values() if m.grad is not None]
    before, spoken, python = state(net), len(heard), random.getstate()
    expected = net(*x, mask=mask).prediction
    chosen = net.tune(*x, mask=mask, goal=goal, budget=0.5)  # type: ignore[arg-type]  # one of the two
    spoken += 1
    assert not net.training
    torch.testing.assert_close(state(net), before, rtol=0, atol=0)
    torch.testing.assert_close([m.grad for m in mask.values() if m.grad is not None], given, rtol=0, atol=0)
    assert (len(heard), random.getstate()) == (spoken, python)
    assert net.schedule == chosen
    assert chosen.goal == goal
    assert {"device", "threads", "torch", "spacec"} <= chosen.place.keys()
    torch.testing.assert_close(net(*x, mask=mask).prediction, expected, rtol=1e-10, atol=1e-10)
    assert len(list(cache.glob("*.json"))) == 1
    told: list[str] = []
    assert supernet_of(toy).tune(*x, mask=mask, goal=goal, told=told.append) == chosen  # type: ignore[arg-type]  # as above
    assert told == ["from the cache"]


class Clock:
    """Says of every pass what the test wants: by turns, which it sees by the number of timings."""

    def __init__(self, times: Iterator[float]) -> None:
        self.times = times

    def __call__(self, run: Callable[[], object]) -> float:
        return next(self.times)


def test_what_is_slower_than_the_plain_form_in_the_end_is_not_taken() -> None:
    toy = cell_space()
    (x,) = inputs_of(toy)

    def falling() -> Iterator[float]:
        """Every alternative seems faster than the one before; against the plain form that turns."""
        yield from (1000.0 - k for k in range(7))
        while True:
            yield from (1.0, 5.0)

    net = supernet_of(toy)
    effort = Effort(budget=0.0, clock=Clock(falling()), known=(), fresh=True)
    found = tuned(net, (x,), None, "fast", effort)
    assert found.plain
    last = found.measured[-1]
    assert (last.subject, last.chosen) == (GUARD, "plain")
    assert last.reason == "chosen took 5.00 of the time of plain"


def test_masks_of_every_kind_can_be_tuned_for_and_other_goals_are_refused() -> None:
    toy = cell_space()
    (x,) = inputs_of(toy)
    net = supernet_of(toy)
    mask = {s.id: OneHot(F.one_hot(torch.tensor(2), 4).double()) for s in toy.table.slots}
    effort = Effort(budget=0.0, clock=lambda run: 1.0)
    assert tuned(net, (x,), mask, "fast", effort).plain, "all alike: the plain form"
    assert tuned(net, (x,), {s.id: 1 for s in toy.table.slots}, "fast", effort).plain
    with pytest.raises(ValueError, match="no goal is called 'quick'; there are fast, launches"):
        net.tune(x, goal="quick")  # type: ignore[arg-type]  # that is what is told
    with pytest.raises(ValueError, match="input 'image' must be"):
        net.tune(x[:, :2])


def test_stored_schedules_are_whole_or_left_aside_with_a_word(cache: Path) -> None:
    question = {"space": "toy", "batch": 8}
    schedule = Schedule(("mixes",), "channels_last")
    assert store.load(question) is None
    store.save(question, schedule)
    assert store.load(question) == schedule
    assert store.load({**question, "batch": 9}) is None
    path = store.path_of(question)
    for text in ("{", "[]", json.dumps({"question": {}, "schedule": schedule.to_json()})):
        path.write_text(text, encoding="utf-8")
        with pytest.warns(UserWarning, match="is left aside"):
            assert store.load(question) is None
    store.save(question, PLAIN)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.load(question) == PLAIN
    assert [p.name for p in cache.iterdir()] == [path.name]


def test_a_disk_that_refuses_costs_the_answer_only(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="the schedule is not stored"):
        store.save({"space": "toy"}, PLAIN)
