"""Runs are killed at moments drawn at random and taken up again; their end is compared with an undisturbed one.

A moment is a time, drawn uniformly over what the undisturbed run took, or an event in the run directory: a file that
is half written, a checkpoint that has just been replaced, a record that has just grown. A run may be killed again and
again. After every kill the record can be read and a report be written; what was recorded then is there at the end.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from spacec.search import files
from spacec.search.report.write import write_report
from tests.kills.cases import Case
from tests.kills.processes import Nursery, Running, cold
from tests.kills.snapshot import Rows, Snapshot, difference, lost, rows_of, snapshot

Kind = Literal["time", "half a file", "a checkpoint replaced", "the record grown"]
EVENTS: tuple[Kind, ...] = ("half a file", "a checkpoint replaced", "the record grown")
TURN = 0.0002
"""Seconds between two looks at the directory."""


@dataclass(frozen=True)
class Moment:
    """``at``: seconds from the start, or how many events of the kind come first."""

    kind: Kind
    at: float

    def __str__(self) -> str:
        return f"{self.at:.3f} s" if self.kind == "time" else f"{self.kind}, number {self.at:.0f}"


@dataclass(frozen=True)
class Kill:
    """``moment`` at which it was killed, after ``seconds``, with so many ``rows`` recorded."""

    moment: Moment
    seconds: float
    rows: int


@dataclass
class Outcome:
    """A run that was killed and went on; ``failure`` says what is wrong with its end."""

    case: str
    kills: list[Kill] = field(default_factory=list)
    failure: str = ""


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: its end, how long it took and how often each kind of event occurred."""

    end: Snapshot
    seconds: float
    events: dict[Kind, int]


Start = Callable[[Sequence[str], Path], Running]


def undisturbed(case: Case, folder: Path, start: Start) -> Whole:
    """Raises :class:`AssertionError` with what the run printed where it fails."""
    out, log = folder / "run", folder / "log"
    began, watch = time.monotonic(), _Watch(out)
    running = start(case.start(out), log)
    while not running.ended():
        watch.look()
        time.sleep(TURN)
    seconds = time.monotonic() - began
    assert running.status() == 0, f"{case.name}: {log.read_text(errors='replace')[-2000:]}"
    return Whole(snapshot(out), seconds, dict(watch.seen))


def disturbed(case: Case, whole: Whole, folder: Path, start: Start, rng: random.Random, kills: int) -> Outcome:
    """Kill a run up to ``kills`` times, let it end, and judge that end."""
    out, log = folder / "run", folder / "log"
    found = Outcome(case.name)
    recorded: list[Rows] = []
    while True:
        moment = _moment(whole, rng) if len(found.kills) < kills else None
        running = start(case.resume(out) if _begun(out) else case.start(out), log)
        seconds = _until(running, out, moment)
        status = running.status()
        if status == 0:
            break
        if moment is None or status != -9:
            found.failure = f"ended with status {status}: {log.read_text(errors='replace')[-1500:]}"
            return found
        rows = rows_of(out)
        found.kills.append(Kill(moment, seconds, sum(map(len, rows.values()))))
        recorded.append(rows)
        if failure := _reported(out):
            found.failure = failure
            return found
    found.failure = _judged(whole, snapshot(out), recorded, out)
    return found


def _begun(out: Path) -> bool:
    """Whether there is a run to go on with; one killed while its directory was made starts anew."""
    return (out / files.CONFIG).exists()


def _moment(whole: Whole, rng: random.Random) -> Moment:
    kinds = [kind for kind in EVENTS if whole.events.get(kind)]
    if kinds and rng.random() < 0.6:
        kind = rng.choice(kinds)
        return Moment(kind, rng.randint(1, whole.events[kind]))
    return Moment("time", rng.uniform(0.0, whole.seconds))


def _until(running: Running, out: Path, moment: Moment | None) -> float:
    """Wait for the moment and kill, or for the end; the seconds until then."""
    began, watch = time.monotonic(), _Watch(out)
    while moment is not None and not running.ended():
        watch.look()
        now = time.monotonic() - began if moment.kind == "time" else watch.seen[moment.kind]
        if now >= moment.at:
            running.kill()
            break
        time.sleep(TURN)
    running.status()
    return time.monotonic() - began


class _Watch:
    """Counts what happens in a directory."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.seen: dict[Kind, int] = dict.fromkeys(EVENTS, 0)
        self._parts: set[str] = set()
        self._whole = self._checkpoints()
        self._size = self._record()

    def look(self) -> None:
        names = self._names(self.out)
        fresh = {name for name in names if name.endswith(files.PART)} - self._parts
        self._parts |= fresh
        self.seen["half a file"] += len(fresh)
        whole = self._checkpoints()
        self.seen["a checkpoint replaced"] += sum(whole[name] != self._whole.get(name) for name in whole)
        size = self._record()
        self.seen["the record grown"] += size != self._size
        self._whole, self._size = whole, size

    def _names(self, folder: Path) -> list[str]:
        try:
            return os.listdir(folder)
        except FileNotFoundError:
            return []

    def _checkpoints(self) -> dict[str, int]:
        return {n: i for n in self._names(self.out) if n.endswith(".pt") and (i := self._node(n)) is not None}

    def _record(self) -> tuple[int | None, ...]:
        return tuple(self._node(f"{files.STORE}{end}", size=True) for end in ("", "-wal", "-journal"))

    def _node(self, name: str, size: bool = False) -> int | None:
        try:
            found = os.stat(self.out / name)
        except FileNotFoundError:
            return None
        return found.st_size if size else found.st_ino


def _reported(out: Path) -> str:
    """Whether a report of what there is can be written; of a copy, since what a killed writer left is not ours."""
    if not rows_of(out).get("runs"):
        return ""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "run"
        shutil.copytree(out, copy)
        page = write_report(copy).read_text(encoding="utf-8")
    return "" if page.endswith("</html>\n") else "the report after a kill is not whole"


def _judged(whole: Whole, end: Snapshot, recorded: Sequence[Rows], out: Path) -> str:
    for rows in recorded:
        if missing := lost(rows, end.rows):
            return f"recorded before a kill and lost: {missing}"
    if parts := [p.name for p in out.rglob("*") if files.PART in p.name or p.name.endswith("-journal")]:
        return f"left behind: {', '.join(parts)}"
    return difference(whole.end, end)


def warm(nursery: Nursery) -> Start:
    """How to start from a nursery."""
    return lambda arguments, log: nursery.start(arguments, log)


def cold_start(arguments: Sequence[str], log: Path) -> Running:
    """How a person starts."""
    return cold(arguments, log)
