"""Strategies and executors that do not keep the protocol: what they did is told of, and the record stays sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spacec.diagnostics.model import SpacecError
from spacec.search.executor import Here, Rated
from spacec.search.runner import search
from spacec.search.strategy import Trial
from tests.search import toy
from tests.search.test_tabular import SPACE
from tests.search.test_trials import Chain, config, rows, table


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("4 trials where there is room for 3", lambda trials: [*trials, trials[0]]),
        ("NoneType in the place of a list", lambda trials: None),
        ("trial 1 is no Trial", lambda trials: [trials[0], "b"]),
        ("arch of trial 0 is no Architecture", lambda trials: [replace(trials[0], arch=trials[0].arch.text())]),
        ("arch of trial 0 is of another space", lambda trials: [replace(trials[0], arch=toy.EVERY[0])]),
        ("budget of trial 0 is -1", lambda trials: [replace(trials[0], budget=-1)]),
        ("batches of trial 0 is 1.5", lambda trials: [replace(trials[0], batches=1.5)]),
        ("budget of trial 0 is 1000000000000", lambda trials: [replace(trials[0], budget=10**12)]),
        ("an earlier trial, is 0", lambda trials: [replace(trials[0], resume=0)]),
        ("split of trial 0 is no text", lambda trials: [replace(trials[0], split=3)]),
        ("tag of trial 0 is not JSON", lambda trials: [replace(trials[0], tag=float("nan"))]),
        ("tag of trial 0 is not JSON", lambda trials: [replace(trials[0], tag={1})]),
    ],
)
def test_what_is_no_trial_is_told_of_and_not_recorded(
    tmp_path: Path, what: str, change: Callable[[Sequence[Trial]], Any]
) -> None:
    class Wrong(Chain):
        def propose(self, n: int) -> Any:
            return change(super().propose(n))

    with pytest.raises(SpacecError) as error:
        search(SPACE, Wrong(), table(), config(False, 3), tmp_path / "run")
    found = error.value.diagnostics[0]
    assert (found.code, found.headline) == ("E0824", "strategy 'chain' asks for what is no trial")
    assert what in found.notes[0]
    assert rows(tmp_path / "run") == []


class Altering(Here):
    """Rates as it should, and then alters what it gives back."""

    alter: Callable[[list[Rated]], list[Rated]]

    def collect(self) -> list[Rated]:
        return self.alter(super().collect())


def altering(alter: Callable[[list[Rated]], list[Rated]]) -> Altering:
    made = Altering()
    made.alter = alter
    return made


def test_ratings_that_come_twice_count_once(tmp_path: Path) -> None:
    search(SPACE, Chain(), table(), config(True, 3), tmp_path / "sound")
    earlier: list[Rated] = []

    def twice(found: list[Rated]) -> list[Rated]:
        late = [replace(old, metrics={"score": 1e9}) for old in earlier]
        earlier.extend(found)
        return [*found, *late, *(replace(again, metrics={"score": -1.0}) for again in found)]

    search(SPACE, Chain(), table(), config(True, 3), tmp_path / "twice", executor=altering(twice))
    assert rows(tmp_path / "twice", clock=False) == rows(tmp_path / "sound", clock=False)


def test_a_rating_of_what_nobody_asked_for_is_told_of(tmp_path: Path) -> None:
    executor = altering(lambda found: [replace(r, number=r.number + 100) for r in found])
    with pytest.raises(SpacecError, match="nobody asked for: number 100") as error:
        search(SPACE, Chain(), table(), config(True, 3), tmp_path / "run", executor=executor)
    assert error.value.diagnostics[0].code == "E0825"


@pytest.mark.parametrize(
    ("metrics", "why"),
    [({}, "it has no score"), ({"score": "good"}, "its metrics are no numbers"), ({"score": float("inf")}, "is inf")],
)
def test_ratings_without_numbers_are_failures(tmp_path: Path, metrics: Any, why: str) -> None:
    executor = altering(lambda found: [replace(r, metrics=metrics, error="") for r in found])
    result = search(SPACE, Chain(), table(), config(False, 3), tmp_path / "run", executor=executor)
    assert result.trials == Chain.limit
    found = rows(tmp_path / "run")
    assert {row["status"] for row in found} == {"failed"}
    assert all(why in row["error"] for row in found)
