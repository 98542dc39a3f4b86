"""The front of a search with several objectives: into its run directory and record, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spacec.search import files
from spacec.search.objectives import Front
from spacec.search.pareto import front as best_of
from spacec.search.pareto import minimised
from spacec.search.record import Recorder, RunStore

ROLE = "front"
"""Of the architectures in the record, and of the event that says which way each objective goes."""


@dataclass(frozen=True)
class FrontRow:
    """An architecture of a front as the record has it: its text and its objectives by name."""

    architecture: str
    values: Mapping[str, float]


def save_front(front: Front, recorder: Recorder, out_dir: Path | None) -> None:
    """Record ``front``, the best in its first objective first, and write ``front.json``."""
    directions = {o.name: o.direction for o in front.objectives}
    recorder.event(ROLE, f"{len(front.points)} architectures on the front", {"objectives": directions})
    rows = [FrontRow(point.arch.text(), point.values) for point in front.points]
    for place, row in enumerate(rows):
        recorder.architecture(ROLE, place, row.architecture, row.values)
    if out_dir is not None:
        write_front(out_dir, directions, rows)


def write_front(out_dir: Path, directions: Mapping[str, str], rows: Sequence[FrontRow]) -> None:
    """Write ``front.json``."""
    objectives = [{"name": name, "direction": direction} for name, direction in directions.items()]
    points = [{"architecture": row.architecture, "values": dict(row.values)} for row in rows]
    files.write_json(out_dir / files.FRONT, {"version": 1, "objectives": objectives, "points": points})


def read_front(store: RunStore, runs: Iterable[int]) -> tuple[dict[str, str], list[FrontRow]]:
    """Directions by objective, and the front of the fronts of these runs; both empty where they have none."""
    directions: dict[str, str] = {}
    rows: dict[str, FrontRow] = {}
    for run in runs:
        for event in store.events(run):
            if event["kind"] == ROLE:
                directions = event["data"]["objectives"]
        found = (row for row in store.architectures(run) if row["role"] == ROLE)
        rows.update((row["text"], FrontRow(row["text"], row["costs"])) for row in found)
    return directions, joined(rows.values(), directions)


def joined(rows: Iterable[FrontRow], directions: Mapping[str, str]) -> list[FrontRow]:
    """The rows that no other beats, the best in the first objective first."""
    known = list(rows)
    points = [minimised([row.values[n] for n in directions], list(directions.values())) for row in known]
    return [known[k] for k in sorted(best_of(points), key=lambda k: (points[k], known[k].architecture))]
