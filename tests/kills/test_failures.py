"""What can befall a search short of being killed: no room, no memory, no numbers, code that raises.

Nothing recorded is lost; the search goes on, or stops with a reason, and goes on when the cause is mended.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from spacec.search import files
from spacec.search.record import RunStore
from tests.kills.cases import TASK, TRAINING, Case, case
from tests.kills.processes import Nursery
from tests.kills.snapshot import difference, lost, rows_of, snapshot

OPS = Path(__file__).with_name("poison.py")
SPACE = """space small(C = 4, classes = 3)
input  image:  [2, 6, 6]
output logits: [classes]
def edge = conv3: conv(3) >> bn | skip: identity{more}
net = conv(3, C) >> edge * 3 >> global_pool >> linear(classes)
"""
TRIALS = ("--strategy", "evolution", "-o", "population=2", "-o", "sample=2", "-o", "samples=40", "-o", "trial_epochs=1")
SUPERNET = ("--strategy", "darts", "-o", "epochs=2", "-o", "steps=2", "-o", "batch_size=4", "-o", "arch_from=0")
ROOM = 200 << 20
"""Bytes that a process may take beside what it has when it is started."""


def _ended(nursery: Nursery, arguments: Sequence[str], folder: Path, **limits: int) -> tuple[int, str]:
    log = folder / "log"
    log.unlink(missing_ok=True)
    status = nursery.start(arguments, log, limits).status()
    return status, log.read_text(errors="replace")


def _with(folder: Path, *ops: str) -> tuple[str, ...]:
    """The start of a command line for a space whose edges may also be one of ``ops``."""
    space = folder / "s.space"
    space.write_text(SPACE.format(more="".join(f" | {op}" for op in ops)))
    return ("search", str(space), "--ops", str(OPS), *TASK, "--out", str(folder / "run"))


def _trials(run: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    with RunStore(run / files.STORE) as store:
        found = store.runs()[0]
        return found, store.trials(found["id"])


SAYS = {
    "unruly": "no way through for",
    "poison": "the loss is nan",
    "tensors": "can't allocate memory",
    "objects": "MemoryError",
}
"""Ops that fail, and what the error of a trial with one of them says."""


def test_trials_that_fail_are_results_and_keep_their_tracebacks(nursery: Nursery, tmp_path: Path) -> None:
    command = (*_with(tmp_path, *SAYS), *TRIALS, *TRAINING, "--train", "--no-compare", "-o", "max_failures=40")
    status, log = _ended(nursery, command, tmp_path, room=ROOM)
    assert status == 0, log
    run, trials = _trials(tmp_path / "run")
    assert (run["status"], len(trials)) == ("done", 40)
    seen = set()
    for trial in trials:
        bad = {op for op in SAYS if op in trial["architecture"]}
        assert bool(trial["error"]) == bool(bad) == (not trial["metrics"])
        why = {op for op in bad if SAYS[op] in trial["error"]}
        assert bool(why) == bool(bad)
        assert trial["traceback"].startswith("Traceback") == bool(bad and why != {"poison"})
        assert "unruly" not in why or "in _inner" in trial["traceback"]
        seen |= why
    assert seen == set(SAYS)
    assert not all(trial["error"] for trial in trials)


@pytest.mark.parametrize(("op", "says"), [("poison", "E0820"), ("unruly", "no way through for"), ("hoard", "memory")])
def test_a_supernet_that_fails_stops_with_its_reason(op: str, says: str, nursery: Nursery, tmp_path: Path) -> None:
    status, log = _ended(nursery, (*_with(tmp_path, op), *SUPERNET), tmp_path, room=ROOM)
    run, _ = _trials(tmp_path / "run")
    assert (status, run["status"]) == (1, "failed")
    assert says in run["reason"]
    assert says in log


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, dict[str, int]]]:
    """A folder without much room: a file system of its own where one may be mounted, else limits of the process."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True
    ).returncode  # fmt: skip
    if mounted != 0:
        yield folder, {"file": 60_000}
        return
    try:
        yield folder, {}
    finally:
        subprocess.run(["umount", str(folder)], check=True)


LARGE: dict[str, Case] = {
    "darts": case("darts", "-p", "C=24", epochs=4),
    "evolution": case("evolution", "--train", "--no-compare", "-p", "C=24", *TRAINING, trials=8),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_full_disk_stops_with_its_reason_and_the_run_goes_on_where_there_is_room(
    name: str, nursery: Nursery, tmp_path: Path, small_disk: tuple[Path, dict[str, int]]
) -> None:
    folder, limits = small_disk
    found, run = LARGE[name], folder / "run"
    status, log = _ended(nursery, found.start(tmp_path / "whole"), tmp_path)
    assert status == 0, log
    status, log = _ended(nursery, found.start(run), tmp_path, **limits)
    assert (status, "E0810" in log, "disk is full" in log) == (1, True, True), log
    assert not list(run.rglob("*.part"))
    recorded = rows_of(run)
    if not limits:
        subprocess.run(["mount", "-o", "remount,size=100m", str(folder)], check=True)
    status, log = _ended(nursery, found.resume(run) if recorded.get("runs") else found.start(run), tmp_path)
    assert status == 0, log
    end = snapshot(run)
    assert not lost(recorded, end.rows)
    assert not difference(snapshot(tmp_path / "whole"), end)
