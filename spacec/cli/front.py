"""The front of a search with several objectives, as ``spacec search`` prints it."""

from __future__ import annotations

from pathlib import Path

from spacec.cli.output import table, tell

SHOWN = 30
"""Architectures that are printed; ``front.json`` has them all."""


def tell_front(out: Path) -> None:
    """Print the front of a run directory, if it has one."""
    from spacec.search import files

    path = out / files.FRONT
    if not path.exists():
        return
    front = files.read_json(path)
    names = [o["name"] for o in front["objectives"]]
    ways = ", ".join(f"{o['name']} ({'higher' if o['direction'] == 'max' else 'lower'})" for o in front["objectives"])
    points = front["points"]
    tell(f"\nfront         {len(points):,} architectures, none better than another in all of {ways}")
    rows = [(*(f"{p['values'][name]:,.6g}" for name in names), p["architecture"]) for p in points[:SHOWN]]
    tell(table([(*names, "architecture"), *rows]))
    if len(points) > SHOWN:
        tell(f"… and {len(points) - SHOWN:,} more in {path}")
