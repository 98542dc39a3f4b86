"""What every script here shares: processes that are timed, the machine in words, and the page that a run leaves.

The scripts are modules, run from the project's root: ``python -m benchmarks.NAME``. None of them fails for being slow.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from spacec.lower.processor import processor

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def child(*arguments: str) -> tuple[float, str]:
    """CPU seconds of a Python process, user and system time together, and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None, "the output is a pipe"
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime, printed


def arguments(what: str, runs: int) -> argparse.ArgumentParser:
    """The options that a script of measurements has: ``--runs`` and ``--note``."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--runs", type=int, default=runs, help="runs of each measurement")
    parser.add_argument("--note", default="", help="a line about the circumstances")
    return parser


def machine() -> str:
    """Processor, cores, present load, system and versions."""
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    python = f"Python {platform.python_version()}, torch {version('torch')}"
    return f"{processor()}, {os.cpu_count()} cores{load}; {platform.system()}, {python}"


def commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def publish(name: str, title: str, facts: str, about: Sequence[str], body: Sequence[str]) -> None:
    """Write ``NAME.md`` beside the scripts, and print it.

    ``facts`` is :func:`machine` as it was before the measurements; ``about`` are lines on what was measured and how
    (empty ones are left out), ``body`` the tables.
    """
    lines = [f"# {title}", "", f"Machine: {facts}.", f"Commit {commit()}.", *filter(None, about), "", *body, ""]
    text = "\n".join(lines)
    (HERE / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
