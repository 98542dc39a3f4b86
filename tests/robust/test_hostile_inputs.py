"""Whatever the file, a diagnostic within bounded time and memory: :mod:`tests.robust.hostile` has the files.

A third runs through the command line, each in a process of its own whose time and memory are measured; the others run
here. On an idle machine each takes under two seconds; the limit leaves room for a busy one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spacec.diagnostics.model import SpacecError
from spacec.driver import Session
from spacec.syntax.read import decoded
from tests.robust.hostile import CASES

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 6.0
MEGABYTES = 500
CHILDREN = [name for name, case in CASES.items() if case.child]
HERE = [name for name, case in CASES.items() if not case.child and len(case.write()) <= 4_000_000]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What ``check`` made of every file that is run as a command."""
    folder = tmp_path_factory.mktemp("hostile")
    files = []
    for number, name in enumerate(CHILDREN):
        text = CASES[name].write()
        files.append(folder / f"{number}.space")
        files[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
    command = [sys.executable, str(Path(__file__).with_name("limits.py")), "check", *map(str, files)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    return dict(zip(CHILDREN, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", CHILDREN)
def test_as_a_command(name: str, outcomes: dict[str, dict[str, object]]) -> None:
    found, code = outcomes[name], CASES[name].code
    assert found["code"] == (1 if code else 0), str(found["out"])[:500]
    assert f"error[{code}]" in str(found["out"]) or not code, str(found["out"])[:500]
    assert "internal error" not in str(found["out"])
    assert float(str(found["seconds"])) < SECONDS
    assert float(str(found["megabytes"])) < MEGABYTES


@pytest.mark.parametrize("name", HERE)
def test_in_process(name: str) -> None:
    written, code = CASES[name].write(), CASES[name].code
    data = written if isinstance(written, bytes) else written.encode()
    start = time.process_time()
    found, shown = (), ""
    try:
        Session.default().compile(decoded("hostile.space", data))
    except SpacecError as error:
        found, shown = tuple(d.code for d in error.diagnostics), str(error)
    assert len(shown) < 1_000_000
    assert (code in found) if code else not found, found[:5]
    assert len(found) <= 101
    assert time.process_time() - start < SECONDS
