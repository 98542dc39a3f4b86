"""A search on Ray as a user starts it: killed, gone on with, interrupted; what it leaves behind and prints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spacec.search import files
from spacec.search.record import RunStore

ROOT = Path(__file__).resolve().parents[3]
SEARCH = ("search", "grammars/nas_bench_201.space", "--benchmark", "nas-bench-201", "--strategy", "random")
OPTIONS = ("-o", "mode=trials", "-o", "asynchronous=true", "--queries", "20000")
ON_RAY = ("--executor", "ray", "-x", "workers=2")


def started(out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "spacec.cli.main", *SEARCH, *OPTIONS, *more, "--out", str(out)]
    pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipe)


def rated(out: Path) -> dict[int, dict[str, Any]]:
    """Trials in the store that have their rating."""
    if not (out / files.STORE).exists():
        return {}
    with RunStore(out / files.STORE) as store:
        found = store.trials(1) if store.runs() else []
    return {row["number"]: row for row in found if row["status"] != "running"}


def until(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.1)


def alive(pid: str) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_killed_resumed_and_interrupted(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = started(out, *ON_RAY)
    until(lambda: len(rated(out)) >= 20, 150)
    first.kill()
    first.communicate()
    before = rated(out)
    workers = {row["worker"].partition("/")[2] for row in before.values()}
    until(lambda: not any(map(alive, workers)), 60)

    second = started(out, *ON_RAY, "--resume")
    until(lambda: len(rated(out)) >= len(before) + 20, 150)
    os.killpg(second.pid, signal.SIGINT)
    printed, told = second.communicate(timeout=60)
    assert second.returncode == 130
    assert (printed, told.strip()) == ("", "interrupted")
    after = rated(out)
    assert {number: after[number] for number in before} == before, "what was recorded stays"
    workers = {row["worker"].partition("/")[2] for row in after.values()}
    assert not any(map(alive, workers))
    with RunStore(out / files.STORE) as store:
        assert [run["status"] for run in store.runs()] == ["interrupted"]
