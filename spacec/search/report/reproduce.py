"""Command lines that repeat a run: those recorded, else those that the record implies."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import join
from typing import Any

from spacec.search.report.gather import RunData

GRAMMAR = "space.space"


def commands(data: RunData) -> list[str]:
    """One command per line, quoted for a POSIX shell."""
    recorded = [e["message"] for run in data.runs for e in run["events"] if e["kind"] == "command"]
    return list(dict.fromkeys(recorded)) or [_command(run) for run in data.runs]


def _command(run: Mapping[str, Any]) -> str:
    words = ["spacec", run["kind"], GRAMMAR]
    for name, value in run["header"].items():
        words += ["-p", f"{name}={value}"]
    words += ["--task", str(run["task"].get("name", ""))]
    if run["kind"] == "search":
        words += ["--strategy", str(run["strategy"].get("name", ""))]
    else:
        words += ["--arch", next((a["text"] for a in run["architectures"] if a["role"] == "trained"), "")]
    words += ["--out", f"runs/again-{run['name'] or run['kind']}", "--seed", str(run["seed"])]
    return join(words)
