"""Records in files: whole after a kill, readable anywhere, and never taken for what they are not."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from spacec.search.files import StorageError
from spacec.search.record import CUT_OFF, RunStore, TrialRow
from spacec.search.store.schema import SCHEMA_VERSION, TABLES
from spacec.search.store.sqlite import log_ahead
from tests.store.records import INFO, fill, old_record, whole

ROOT = Path(__file__).resolve().parents[2]


def code(error: pytest.ExceptionInfo[StorageError]) -> str:
    return error.value.diagnostics[0].code


def child(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs ``script`` with the tests' modules at hand."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


WRITER = """
import os, sys
from pathlib import Path
from spacec.search.lock import locked
from spacec.search.record import RunStore, TrialRow
from tests.store.records import INFO, fill
folder = Path(sys.argv[1])
with locked(folder), RunStore.of(folder) as store:
    recorder = store.start(INFO)
    fill(recorder)
    recorder.trial(TrialRow(2, "0123abcd:c"))  # of a transaction that never comes
    print("written", flush=True)
    sys.stdin.readline()
    for number in range(3, 9):
        recorder.trial(TrialRow(number, "0123abcd:d"))
    recorder.flush()
    print("more", flush=True)
    sys.stdin.readline()
"""


def started(folder: Path) -> subprocess.Popen[str]:
    process = child(WRITER, folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


def digests(folder: Path) -> dict[str, str]:
    files = (p for p in folder.iterdir() if p.suffix != ".sqlite-shm")  # SQLite's index of the log, made by readers
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_record_is_read_while_it_is_written_and_after_its_writer_was_killed(tmp_path: Path) -> None:
    with started(tmp_path) as writer, RunStore.of(tmp_path, readonly=True) as early:
        (run,) = early.runs()
        assert early.status(run) == "running"
        assert [t["number"] for t in early.trials(1)] == [0, 1]
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "more\n"
        assert len(early.trials(1)) == 9
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        before = digests(tmp_path)
        assert "run.sqlite-wal" in before
        with RunStore.of(tmp_path, readonly=True) as late:
            assert len(late.trials(1)) == 9
            assert late.status(late.runs()[0]) == CUT_OFF
        assert digests(tmp_path) == before
    with RunStore.of(tmp_path) as store:
        recorder = store.reopen("search")
        assert recorder is not None
        assert len(recorder.trials()) == 9
        recorder.close("done")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.lock", "run.sqlite"]


READER = """
import os, sys
from pathlib import Path
from spacec.search.record import RunStore
if os.getuid() == 0:
    os.setuid(65534)  # the superuser may write anywhere
folder = Path(sys.argv[1])
assert not os.access(folder, os.W_OK)
with RunStore.of(folder, readonly=True) as store:
    print(len(store.trials(1)), store.status(store.runs()[0]))
"""


@pytest.mark.parametrize("left", ["closed", "killed", "version 1", "marked"])
def test_a_folder_that_cannot_be_written_is_read(tmp_path: Path, left: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    if left == "version 1":
        old_record(folder, 1)
    elif left == "killed":
        with started(folder) as writer:
            writer.kill()
        (folder / "run.sqlite-shm").unlink()
    else:
        with RunStore(folder / "run.sqlite") as store:
            fill(store.start(INFO))
    if left == "marked":  # as another program may leave it: to be written ahead, with no log there
        with closing(sqlite3.connect(folder / "run.sqlite")) as db:
            db.execute("PRAGMA journal_mode = WAL")
    before = digests(folder)
    for parent in (tmp_path, *list(tmp_path.parents)[:-2]):
        if parent.stat().st_uid == os.getuid():
            parent.chmod(parent.stat().st_mode | 0o055)
    folder.chmod(0o555)
    try:
        with child(READER, folder) as reader:
            said, _ = reader.communicate()
    finally:
        folder.chmod(0o755)
    assert said == ("2 interrupted\n" if left == "version 1" else f"2 {CUT_OFF}\n")
    assert digests(folder) == before


@pytest.mark.parametrize("version", [1, 2])
def test_a_record_of_an_earlier_version_is_read_as_it_is_and_brought_up_to_go_on(tmp_path: Path, version: int) -> None:
    path = old_record(tmp_path, version)
    before = path.read_bytes()
    with RunStore.of(tmp_path, readonly=True) as store:
        read = whole(store)
        assert store.version == version
        assert [store.status(r) for r in store.runs()] == ["interrupted", CUT_OFF]
    with RunStore.of(tmp_path) as store:
        assert whole(store) == read
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.sqlite"]
    with RunStore.of(tmp_path) as store:
        recorder = store.reopen("search")
        assert recorder is not None
        trials = recorder.trials()
        recorder.reading("p", "t", 1, {("a", "c"): 2.5})
        recorder.trial(TrialRow(2, "0123abcd:c", told=2))
        recorder.close("done")
    assert trials == [
        TrialRow(0, "0123abcd:a", budget=3, status="done", metrics={"accuracy": 0.5}, seconds=1.25, told=0),
        TrialRow(1, "0123abcd:b", "shared", status="failed", seconds=0.5, told=1, error="ValueError: no"),
    ]
    with RunStore.of(tmp_path, readonly=True) as store:
        assert store.version == SCHEMA_VERSION
        assert [len(store.readings(1)), len(store.trials(1))] == [version, 3]
        again = whole(store)[0]
        assert {**again, "readings": 0, "trials": 0, "status": 0, "reason": 0} == {
            **read[0], "readings": 0, "trials": 0, "status": 0, "reason": 0,
        }  # fmt: skip


def test_a_record_brought_up_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    def shape(path: Path) -> dict[str, set[tuple[object, ...]]]:
        with closing(sqlite3.connect(path)) as db:
            return {
                t.name: {row[1:] for row in db.execute(f"SELECT * FROM pragma_table_info('{t.name}') ORDER BY name")}
                for t in TABLES
            }

    def named(path: Path) -> dict[str, dict[object, object]]:
        """Columns by name: type, whether it may be empty, place in the key."""
        return {
            t: {c[1]: (c[2], c[3] or c[5] > 0, c[5]) for c in ((0, *c) for c in cs)} for t, cs in shape(path).items()
        }

    RunStore(tmp_path / "new.sqlite").close()
    for version in (1, 2):
        with RunStore(old_record(tmp_path, version)) as store:
            store.backend.bring_up()
        assert named(tmp_path / "run.sqlite") == named(tmp_path / "new.sqlite")


def newer(path: Path) -> None:
    RunStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, distance REAL)")
        db.execute("PRAGMA user_version = 2")


def cut(path: Path, at: float) -> None:
    with RunStore(path) as store:
        recorder = store.start(INFO)
        fill(recorder)
        for step in range(2000):
            recorder.metric("search", 1, step, {"loss": 1.0})
        recorder.close("done")
    os.truncate(path, int(path.stat().st_size * at))


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize(
    ("make", "expected", "words"),
    [
        (lambda p: p.write_text("no database at all, but long enough to be read as one" * 20), "E0813", "not a run"),
        (newer, "E0814", f"version {SCHEMA_VERSION + 1}"),
        (foreign, "E0813", "another program"),
        (lambda p: cut(p, 0.3), "E0813", "malformed"),
        (lambda p: cut(p, 0.01), "E0813", "not a run record"),
    ],
    ids=["text", "newer", "foreign", "cut", "almost nothing left"],
)
def test_other_files_are_refused_and_left_as_they_are(
    tmp_path: Path, make: Callable[[Path], object], expected: str, words: str, readonly: bool
) -> None:
    path = tmp_path / "run.sqlite"
    make(path)
    before = path.read_bytes()
    with pytest.raises(StorageError) as error, RunStore(path, readonly=readonly) as store:
        store.export()
    assert code(error) == expected
    assert words in str(error.value)
    assert path.read_bytes() == before


def test_a_record_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as error:
        RunStore(tmp_path / "run.sqlite", readonly=True)
    assert code(error) == "E0810"
    (tmp_path / "run.sqlite").touch()
    with RunStore(tmp_path / "run.sqlite", readonly=True) as begun:
        assert begun.runs() == []
    assert os.listdir(tmp_path) == ["run.sqlite"]


def test_a_file_system_that_shares_no_memory_gets_a_journal(tmp_path: Path) -> None:
    """SQLite's own form of such a file system: no shared memory, so no write-ahead log."""
    with closing(sqlite3.connect(f"file:{tmp_path}/x.sqlite?vfs=unix-dotfile", uri=True)) as db:
        log_ahead(db)
        found = db.execute("PRAGMA journal_mode").fetchone()[0], db.execute("PRAGMA synchronous").fetchone()[0]
    assert found == ("delete", 2)


FULL = """
import resource, sys
from pathlib import Path
from spacec.search.files import StorageError
from spacec.search.record import RunStore
from tests.store.records import INFO, fill
path = Path(sys.argv[1])
with RunStore(path) as store:
    recorder = store.start(INFO)
    fill(recorder)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        for step in range(100_000):
            recorder.metric("search", 1, step, {"loss": 1.0})
    except StorageError as error:
        print(error.diagnostics[0].code, error.diagnostics[0].headline)
    print(len(store.trials(1)), flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    recorder.flush()
    print(len(store.metrics(1, "search")))
"""


def test_a_full_disk_is_a_diagnostic_and_what_was_held_back_is_written_once_there_is_room(tmp_path: Path) -> None:
    with child(FULL, tmp_path / "run.sqlite") as writer:
        said, _ = writer.communicate()
    told, trials, metrics = said.splitlines()
    assert told.startswith(f"E0810 cannot write '{tmp_path / 'run.sqlite'}'")
    assert trials == "2"
    assert int(metrics) > 3
    assert (int(metrics) - 3) % 500 == 0
    with closing(sqlite3.connect(tmp_path / "run.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_what_a_full_disk_broke_off_is_whole_elsewhere(tmp_path: Path) -> None:
    """The log of a writer that died beside a full disk, copied to where there is room."""
    with started(tmp_path) as writer:
        writer.kill()
    away = tmp_path / "away"
    away.mkdir()
    for name in ("run.sqlite", "run.sqlite-wal"):
        shutil.copy(tmp_path / name, away)
    with RunStore.of(away, readonly=True) as store:
        assert len(store.trials(1)) == 2


def test_trials_of_one_group_are_in_one_transaction(tmp_path: Path) -> None:
    with RunStore(tmp_path / "run.sqlite") as store, RunStore(tmp_path / "run.sqlite", readonly=True) as reader:
        recorder = store.start(INFO)
        for number in range(2000):
            recorder.trial(TrialRow(number, "0123abcd:a"))
        assert reader.trials(recorder.run) == []
        recorder.sync()
        assert len(reader.trials(recorder.run)) == 2000


def test_rows_read_back_as_they_were_written() -> None:
    with RunStore(None) as store:
        recorder = store.start(INFO)
        fill(recorder)
        fill(recorder)
        (run,) = whole(store)
        rows = recorder.trials()
    assert run["metrics"] == [
        {"phase": "search", "epoch": 0, "step": -1, "name": "far", "value": float("inf")},
        {"phase": "search", "epoch": 0, "step": -1, "name": "loss", "value": 0.25},
        {"phase": "search", "epoch": 0, "step": -1, "name": "odd", "value": None},
    ]
    assert run["probabilities"] == [
        {"epoch": 0, "slot": "net.B", "values": [1.0, 0.0]},
        {"epoch": 0, "slot": "net.b", "values": [0.25, 0.75]},
    ]
    assert rows == [
        TrialRow(0, "0123abcd:a", budget=3, tag={"rung": [1, 2]}, keep=True, asked=1.5),
        TrialRow(1, "0123abcd:b", resume=0, status="failed", told=0, error="x\\x00y\\udcff", traceback="é\n"),
    ]
    assert run["readings"] == [{"probe": "p", "name": "t", "epoch": 0, "place": ("a", "b"), "value": 1.5}]
    assert len(run["events"]) == 2  # type: ignore[arg-type]  # a list


def test_an_interrupted_transaction_leaves_nothing(tmp_path: Path) -> None:
    """A row that a table cannot hold, after one that it can."""
    with RunStore(tmp_path / "run.sqlite") as store:
        recorder = store.start(INFO)
        recorder.metric("search", 0, 0, {"loss": 1.0})
        recorder.metric("search", 0, 1, {"loss": 1.0})
        recorder._rows[-1][1]["phase"] = None
        with pytest.raises(StorageError):
            recorder.flush()
        assert store.metrics(recorder.run) == []


def test_processes_that_open_a_new_record_at_once_find_one(tmp_path: Path) -> None:
    """Whoever is first makes the tables, and the others take them as they are."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom spacec.search.record import RunStore\n"
        "while time.time() < float(sys.argv[2]): pass\n"
        "with RunStore(Path(sys.argv[1])) as store: assert store.runs() == []\n"
    )
    start = str(time.time() + 4.0)
    for_one = [sys.executable, "-c", code, str(tmp_path / "run.sqlite"), start]
    children = [subprocess.Popen(for_one, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for child in children:
        _, told = child.communicate(timeout=60)
        assert child.returncode == 0, told
