"""Searches that are killed: a short form of ``make kills``; and that the comparison would see what is wrong."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest
import torch

from spacec.search import files
from tests.kills.cases import TRAINING, case, cases
from tests.kills.harness import Whole, disturbed, undisturbed, warm
from tests.kills.processes import Nursery
from tests.kills.snapshot import difference, lost, rows_of, snapshot

KILLS = 3
"""Of each search; a run may end before its moment comes."""
SHORT = {
    "darts": case("darts", epochs=4),
    "evolution": case("evolution", "--train", "--no-compare", *TRAINING, trials=8),
}


@pytest.fixture(scope="module")
def wholes(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Whole]]:
    """Undisturbed runs, and where they are."""
    found = {}
    for name, short in SHORT.items():
        folder = tmp_path_factory.mktemp(name)
        found[name] = folder / "run", undisturbed(short, folder, warm(nursery))
    return found


@pytest.mark.parametrize("name", SHORT)
def test_a_killed_search_ends_as_one_that_was_not(
    name: str, nursery: Nursery, wholes: dict[str, tuple[Path, Whole]], tmp_path: Path
) -> None:
    kills = 0
    for seed in range(12):
        if kills >= KILLS:
            break
        folder = tmp_path / str(seed)
        folder.mkdir()
        outcome = disturbed(SHORT[name], wholes[name][1], folder, warm(nursery), random.Random(seed), kills=2)
        assert not outcome.failure, f"{[str(kill.moment) for kill in outcome.kills]}: {outcome.failure}"
        kills += len(outcome.kills)
    assert kills >= KILLS


def test_every_installed_strategy_is_killed() -> None:
    from spacec.hooks import installed

    assert {c.name for c in cases()} >= set(installed().names("spacec_strategies"))


def test_the_watch_sees_every_kind_of_event(wholes: dict[str, tuple[Path, Whole]]) -> None:
    assert all(count > 0 for _, whole in wholes.values() for count in whole.events.values())


def test_what_a_kill_could_spoil_is_seen(wholes: dict[str, tuple[Path, Whole]], tmp_path: Path) -> None:
    run, whole = wholes["evolution"]
    same = _copied(run, tmp_path / "same")
    assert not difference(whole.end, snapshot(same))
    weights = _copied(run, tmp_path / "weights")
    state = files.read_tensors(weights / files.WEIGHTS)
    first = next(name for name, tensor in state.items() if tensor.is_floating_point())
    state[first] = torch.nextafter(state[first], torch.full_like(state[first], torch.inf))
    files.write_tensors(weights / files.WEIGHTS, state)
    assert first in difference(whole.end, snapshot(weights))
    rows = _copied(run, tmp_path / "rows")
    db = sqlite3.connect(rows / files.STORE)
    with db:
        db.execute("DELETE FROM trials WHERE number = 3")
    db.close()
    assert "table trials" in difference(whole.end, snapshot(rows))
    assert "1 rows of trials" in lost(whole.end.rows, rows_of(rows))
    text = _copied(run, tmp_path / "text")
    (text / files.ARCHITECTURE_TEXT).write_text("another\n")
    assert files.ARCHITECTURE_TEXT in difference(whole.end, snapshot(text))


def _copied(run: Path, to: Path) -> Path:
    shutil.copytree(run, to)
    return to
