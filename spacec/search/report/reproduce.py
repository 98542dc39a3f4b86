"""Command lines that repeat a run: those recorded, else those that the record implies, with every option stated."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import join
from typing import Any

from spacec.search.report.gather import RunData, described

GRAMMAR = "space.space"
_OWN_FLAGS = ("seed", "device")


def commands(data: RunData) -> list[str]:
    """One command per line, quoted for a POSIX shell."""
    recorded = [e["message"] for run in data.runs for e in run["events"] if e["kind"] == "command"]
    return list(dict.fromkeys(recorded)) or [_command(run) for run in data.runs]


def _command(run: Mapping[str, Any]) -> str:
    search = run["kind"] == "search"
    whole = {name: value for name, value in run["config"].items() if name != "trial"}
    config = run["config"].get("search", whole)
    words = ["spacec", run["kind"], GRAMMAR, *_options("-p", run["header"])]
    words += ["--task", str(run["task"].get("name", "")), *_options("-t", run["task"].get("options", {}))]
    if search:
        words += ["--strategy", str(run["strategy"].get("name", ""))]
        words += _options("-o", run["strategy"].get("options", {}))
        for name, told in described(run).items():
            words += ["--probe", name, *_options("-P", {f"{name}.{k}": v for k, v in told.get("options", {}).items()})]
    else:
        words += ["--arch", next((a["text"] for a in run["architectures"] if a["role"] == "trained"), "")]
    words += _options("-o", _told(config))
    words += _options("-O", _told(run["config"].get("trial", {})))
    words += ["--seed", str(run["seed"]), "--out", f"runs/again-{run['name'] or run['kind']}"]
    return join(words)


def _told(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those that have an option of their own."""
    return {name: value for name, value in config.items() if name not in _OWN_FLAGS}


def _options(flag: str, values: Mapping[str, Any]) -> list[str]:
    return [word for name, value in values.items() for word in (flag, f"{name}={_text(value)}")]


def _text(value: object) -> str:
    """A value as the command line spells it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return ",".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)
