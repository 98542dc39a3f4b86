"""``spacec plugins``: what is installed, from where, and what each contributes."""

from __future__ import annotations

from typing import Any

import click

from spacec.cli.output import table, tell, tell_json
from spacec.cli.spaces import json_option
from spacec.hooks import HOOKS, BenchmarkDescriptor, Plugin, Registry, installed
from spacec.hooks.descriptors import Contribution


@click.command()
@click.option("--all", "everything", is_flag=True, help="List what spacec itself registers, too.")
@json_option
def plugins(everything: bool, as_json: bool) -> None:
    """List installed plugins, what each contributes, and which could not be used and why.

    \b
    Example:
      spacec plugins --json
    """
    registry = installed()
    shown = [p for p in registry.plugins if everything or p.name != "spacec"]
    if as_json:
        tell_json(_as_json(registry, shown))
        return
    if not shown:
        tell("no plugins are installed (--all lists what spacec itself registers)")
    for plugin in shown:
        tell(f"{plugin.name} ({plugin.owner})")
        rows = [
            (_label(hook), item.name, _about(item)) for hook in HOOKS for item in plugin.contributions.get(hook, ())
        ]
        if rows:
            tell(table(rows))
    for problem in registry.problems:
        tell(f"not used: {problem}")


def _about(item: Contribution) -> str:
    """Its line of help; of a benchmark also the package that pip installs for it, or else the file that a user has."""
    needs = _needs(item)
    source = needs.get("extra") or needs.get("files")
    return f"{item.help}; from {source}" if source else item.help


def _needs(item: Contribution) -> dict[str, str]:
    """What a benchmark is read from: a package to install, files that a user has."""
    return {"extra": item.extra, "files": item.files} if isinstance(item, BenchmarkDescriptor) else {}


def _label(hook: str) -> str:
    return hook.removeprefix("spacec_")


def _as_json(registry: Registry, shown: list[Plugin]) -> dict[str, Any]:
    return {
        "plugins": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "contributions": {
                    _label(hook): [{"name": item.name, "help": item.help, **_needs(item)} for item in items]
                    for hook, items in plugin.contributions.items()
                },
            }
            for plugin in shown
        ],
        "problems": [
            {"name": p.plugin, "distribution": p.distribution, "version": p.version, "reason": p.reason}
            for p in registry.problems
        ],
    }
