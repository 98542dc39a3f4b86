"""Many run directories in one real PostgreSQL, through lost connections, and without a password anywhere."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from spacec.diagnostics.model import SpacecError
from spacec.search.files import StorageError
from spacec.search.record import CUT_OFF, RunStore, TrialRow
from spacec.search.store.alchemy import Alchemy
from spacec.search.store.place import assign, place_of
from spacec.search.store.schema import FILLED, SCHEMA_VERSION, tables_at
from spacec.search.store.sql import POSTGRESQL, create
from spacec.search.store.url import shown, without_passwords
from tests.store.postgres import PASSWORD, Server
from tests.store.records import INFO, fill, whole
from tests.store.test_file import child

Make = Callable[[], str]


def code(error: pytest.ExceptionInfo[SpacecError]) -> str:
    return error.value.diagnostics[0].code


def test_a_server_keeps_what_a_file_keeps(tmp_path: Path, database: Make) -> None:
    url = database()
    found = []
    for store in (RunStore(tmp_path / "run.sqlite"), RunStore(url, job="one")):
        with store:
            recorder = store.start(INFO)
            fill(recorder)
            fill(recorder)
            found.append((whole(store), recorder.trials(), store.metrics(recorder.run, "search", "loss")))
    assert found[0] == found[1]


def test_directories_share_a_database_and_see_their_own_runs(tmp_path: Path, database: Make) -> None:
    url = database()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assign(tmp_path / name, url)
        with RunStore.of(tmp_path / name, url) as store:
            recorder = store.start(INFO)
            recorder.metric("search", 0, -1, {"loss": ord(name)})
            recorder.close("done")
    with RunStore.of(tmp_path / "a", url) as store:
        (run,) = store.runs()
        assert [row["value"] for row in store.metrics(run["id"])] == [97.0]
        assert store.reopen("search") is not None
        with RunStore(url, readonly=True) as all_of_them:
            runs = all_of_them.runs()
            assert [all_of_them.status(run) for run in runs] == ["running", "done"]
            assert len({run["job"] for run in runs}) == 2
            assert all_of_them.export()["runs"][1]["metrics"][0]["value"] == 98.0
        store.discard()
        assert store.runs() == []
    with RunStore.of(tmp_path / "b", url, readonly=True) as store:
        assert len(store.metrics(store.runs()[0]["id"])) == 1


def test_a_copy_of_a_directory_cannot_go_on_beside_it(tmp_path: Path, database: Make) -> None:
    url = database()
    place = assign(tmp_path, url)
    with RunStore.of(tmp_path, url):
        with pytest.raises(StorageError) as error:
            RunStore(url, job=place.job)
        assert code(error) == "E0830"
        RunStore(url, job=place.job, readonly=True).close()
        RunStore(url, job="another").close()
    RunStore(url, job=place.job).close()


WRITER = """
import sys
from spacec.search.record import RunStore
from tests.store.records import INFO, fill
store = RunStore(sys.argv[1], job="killed")
fill(store.start(INFO))
print("written", flush=True)
sys.stdin.readline()
"""


def test_a_killed_writer_leaves_its_rows_and_its_lock_ends(database: Make) -> None:
    url = database()
    with RunStore(url, job="reader") as store, child(WRITER, url) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        store.job = ""
        assert store.status(store.runs()[0]) == "running"
        writer.kill()
        writer.wait()
        until = time.monotonic() + 20
        while store.status(store.runs()[0]) != CUT_OFF:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert len(store.trials(store.runs()[0]["id"])) == 2
    RunStore(url, job="killed").close()


def test_a_lost_connection_is_made_again_and_nothing_is_lost_or_doubled(database: Make, postgres: Server) -> None:
    with RunStore(database(), job="one") as store:
        recorder = store.start(INFO)
        for number in range(6):
            recorder.trial(TrialRow(number, "0123abcd:a"))
            recorder.event("note", f"trial {number}")
            if number == 2:  # an administrator ends the connection
                postgres.ask("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            if number == 4:  # the server goes away, and comes back a little later
                postgres.stop()
                threading.Timer(0.4, postgres.start).start()
            recorder.flush()
        assert [row.number for row in recorder.trials()] == list(range(6))
        assert [e["message"] for e in store.events(recorder.run)] == [f"trial {n}" for n in range(6)]
        assert store.status(store.runs()[0]) == "running"


class Wire:
    """A connection's way to the server, which :meth:`cut` breaks between a commit's arrival and the word of it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cuts = 0
        self.armed = False
        self._door = socket.create_server(("127.0.0.1", 0))
        self.own = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.port)) as server, suppress(OSError):
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    (server if source is client else client).sendall(data)
                    if self.armed and source is client and b"COMMIT" in data:
                        server.recv(65536)
                        self.armed = False
                        self.cuts += 1
                        return

    def close(self) -> None:
        self._door.close()


def test_rows_that_arrived_though_the_connection_was_lost_are_not_written_twice(
    database: Make, postgres: Server
) -> None:
    """The server says that a transaction is done, and the connection breaks before that is heard."""
    wire = Wire(postgres.port)
    with closing(wire), RunStore(database().replace(str(postgres.port), str(wire.own)), job="one") as store:
        recorder = store.start(INFO)
        recorder.event("note", "once")
        recorder.trial(TrialRow(0, "0123abcd:a"))
        wire.armed = True
        recorder.flush()
        assert wire.cuts == 1
        assert [e["message"] for e in store.events(recorder.run)] == ["once"]
        assert len(store.trials(recorder.run)) == 1


def test_a_server_that_stays_away_ends_the_run_with_a_reason_and_the_run_goes_on_later() -> None:
    with Server.new() as server:
        with RunStore(server.url(), job="one") as store:
            recorder = store.start(INFO)
            fill(recorder)
            assert isinstance(store.backend, Alchemy)
            store.backend.patience = 0.2
            server.stop()
            recorder.metric("search", 1, -1, {"loss": 1.0})
            with pytest.raises(StorageError, match="cannot be used") as error:
                recorder.flush()
            assert code(error) == "E0831"
        server.start()
        with RunStore(server.url(), job="one") as store:
            again = store.reopen("search")
            assert again is not None
            assert len(again.trials()) == 2
            again.close("done")


def test_tables_of_earlier_versions_are_brought_up(database: Make, postgres: Server) -> None:
    """No earlier version wrote to a server; the steps are those of files, and must hold there too."""
    for version in (1, 2):
        url = database()
        name = url.rpartition("/")[2]
        for statement in create(POSTGRESQL, version):
            postgres.ask(statement, name)
        postgres.ask(
            f"CREATE TABLE spacec_record (version INTEGER); INSERT INTO spacec_record VALUES ({version})", name
        )
        postgres.ask(
            "INSERT INTO runs VALUES (1, 'search', '', 'running', '', 0, NULL, 0, 's', 'd', 'g', 'h',"
            " '{}', '{}', '{}', '{}', '{}', '{}');"
            "INSERT INTO trials VALUES (1, 0, 'd:a', 'shared', NULL, '{\"x\": 1.0}', 0.5, 'no')",
            name,
        )
        with RunStore(url, readonly=True) as store:
            assert store.version == version
            assert store.readings(1) == []
            assert store.trials(1)[0]["told"] is None
        with RunStore(url) as store:
            recorder = store.reopen("search")
            assert recorder is not None
            expected = TrialRow(
                0, "d:a", "shared", status="failed", told=0, metrics={"x": 1.0}, seconds=0.5, error="no"
            )
            assert recorder.trials() == [expected]
            fill(recorder)
            assert store.version == SCHEMA_VERSION
    assert set(FILLED) <= set(range(2, SCHEMA_VERSION + 1))
    assert [t.name for t in tables_at(1)][-1] == "events"


def test_two_processes_may_make_the_tables_at_once(database: Make) -> None:
    url = database()
    script = "import sys; from spacec.search.record import RunStore; RunStore(sys.argv[1], job=sys.argv[2]).close()"
    both = [child(script, url, name) for name in "ab"]
    for process in both:
        process.communicate()
    assert [process.returncode for process in both] == [0, 0]


def test_a_database_of_another_program_is_left_alone(database: Make, postgres: Server) -> None:
    url = database()
    name = url.rpartition("/")[2]
    with pytest.raises(StorageError, match="it holds no runs"):
        RunStore(url, readonly=True)
    postgres.ask("CREATE TABLE runs (id INTEGER)", name)
    with pytest.raises(StorageError, match="of another program") as error:
        RunStore(url)
    assert code(error) == "E0813"
    assert postgres.ask("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'", name) == [(1,)]
    postgres.ask("CREATE TABLE spacec_record (version INTEGER); INSERT INTO spacec_record VALUES (99)", name)
    with pytest.raises(StorageError) as error:
        RunStore(url)
    assert code(error) == "E0814"


def test_no_password_is_shown_or_kept(tmp_path: Path, database: Make, postgres: Server,
                                      monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    url = database()
    assign(tmp_path, url)
    place = place_of(tmp_path)
    assert place is not None
    assert place.url == url.replace(":p%40ss%3Aw%2Frd", "")
    said = [(tmp_path / "store.json").read_text()]
    for wrong in (
        url.replace("w%2Frd", "w%2Frong"),
        url.replace("store_", "stare_"),
        url.replace("127.0.0.1", "none.invalid"),
    ):
        with pytest.raises(StorageError) as error:
            RunStore(wrong)
        said.append(str(error.value))
        assert code(error) == "E0831"
    with pytest.raises(StorageError) as error:
        RunStore.of(tmp_path, readonly=True)  # neither given nor in the environment
    said.append(str(error.value))
    for text in said:
        assert "ss%3A" not in text
        assert "ss:w" not in text
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with RunStore.of(tmp_path) as store:
        fill(store.start(INFO))
    assert "ss" not in "".join(map(str, postgres.ask("SELECT * FROM runs", url.rpartition("/")[2])))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:geheim@h:1/d", "postgresql://u@h:1/d"),
        ("postgresql://u@h/d?sslmode=require&password=geheim", "postgresql://u@h/d?sslmode=require"),
        ("postgresql://u:ge#he@im/geheim@h/d", "postgresql://u@h/d"),
        ("postgresql://u:geheim", "postgresql://u/"),
        ("postgresql://h:5432/d", "postgresql://h:5432/d"),
        ("postgresql:///d?host=/run", "postgresql:///d?host=/run"),
    ],
)
def test_the_form_of_a_url_that_may_be_shown(url: str, expected: str) -> None:
    assert shown(url) == expected
    assert without_passwords(["search", f"--store={url}", "-o", "a=b"]) == [
        "search",
        f"--store={expected}",
        "-o",
        "a=b",
    ]


@pytest.mark.parametrize(
    "url",
    ["mysql://u:geheim@h/d", "postgresql://u:geheim@h", "postgresql://u:ge#heim@h/d", "geheim", "postgresql://h:x/d"],
)
def test_what_is_no_store_is_refused_without_a_password(url: str) -> None:
    with pytest.raises(SpacecError) as error:
        RunStore(url)
    assert code(error) == "E0832"
    assert "heim" not in str(error.value)


def test_a_damaged_note_of_the_place_is_refused(tmp_path: Path) -> None:
    for text in ("[]", '{"url": 1, "job": "x"}', "{", json.dumps({"url": "postgresql://h/d"})):
        (tmp_path / "store.json").write_text(text)
        with pytest.raises(StorageError) as error:
            RunStore.of(tmp_path)
        assert code(error) == "E0813"
    assert os.listdir(tmp_path) == ["store.json"]
