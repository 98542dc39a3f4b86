"""Kills over all strategies: ``make kills`` (``KILLS=200``), or ``python -m tests.kills.run --kills 200``.

Every kill goes into ``runs/kills/kills.json`` and, with ``--record``, into ``benchmarks/records/kills/`` and onto the
page ``benchmarks/KILLS.md``. The command ends with exit code 1 if any run ended otherwise than the undisturbed one; its
directory is then kept.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT, machine, publish
from spacec.search.files import write_json
from tests.kills.cases import Case, cases
from tests.kills.harness import Outcome, Whole, cold_start, disturbed, undisturbed, warm
from tests.kills.processes import Nursery

KEPT = ROOT / "runs/kills"
RECORD = ROOT / "benchmarks/records/kills/kills.json"
MOST = 5
"""Kills of one run."""
COLD = 10
"""One run in so many is started cold."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill searches at random moments and judge how they end.")
    parser.add_argument("--kills", type=int, default=200, help="kills in all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", default="", help="cases whose names hold this text")
    parser.add_argument("--record", action="store_true", help="write benchmarks/KILLS.md")
    given = parser.parse_args()
    facts, began = machine(), time.monotonic()
    chosen = [case for case in cases() if given.only in case.name]
    with Nursery() as nursery, tempfile.TemporaryDirectory(prefix="spacec-kills-") as folder:
        wholes = {case: _whole(case, Path(folder), nursery) for case in chosen}
        outcomes = _all(wholes, Path(folder), nursery, given.kills, random.Random(given.seed))
    failed = [outcome for outcome in outcomes if outcome.failure]
    found = {"seed": given.seed, "outcomes": [_plain(outcome) for outcome in outcomes]}
    KEPT.mkdir(parents=True, exist_ok=True)
    write_json(KEPT / "kills.json", found)
    if given.record:
        write_json(RECORD, found)
        _publish(facts, outcomes, wholes, time.monotonic() - began)
    print(f"{sum(len(o.kills) for o in outcomes)} kills in {len(outcomes)} runs, {len(failed)} ended otherwise")
    sys.exit(1 if failed else 0)


def _whole(case: Case, folder: Path, nursery: Nursery) -> Whole:
    place = Path(tempfile.mkdtemp(dir=folder))
    found = undisturbed(case, place, warm(nursery))
    print(f"{case.name}: {found.seconds:.2f} s undisturbed, {found.events}", flush=True)
    return found


def _all(wholes: dict[Case, Whole], folder: Path, nursery: Nursery, kills: int, rng: random.Random) -> list[Outcome]:
    """Runs of the cases in turn, until there are enough kills."""
    outcomes: list[Outcome] = []
    for number, (case, whole) in enumerate(itertools.cycle(wholes.items())):
        if sum(len(o.kills) for o in outcomes) >= kills:
            return outcomes
        place = Path(tempfile.mkdtemp(dir=folder))
        start = cold_start if number % COLD == COLD - 1 else warm(nursery)
        outcome = disturbed(case, whole, place, start, rng, rng.randint(1, MOST))
        outcomes.append(outcome)
        print(f"{case.name}: {len(outcome.kills)} kills: {outcome.failure or 'the same end'}", flush=True)
        if outcome.failure:
            shutil.copytree(place, KEPT / f"failed-{number}", dirs_exist_ok=True)
        shutil.rmtree(place)
    return outcomes


def _plain(outcome: Outcome) -> dict[str, Any]:
    return asdict(outcome)


def _publish(facts: str, outcomes: Sequence[Outcome], wholes: dict[Case, Whole], seconds: float) -> None:
    about = [
        "`make kills` searches a small space by every installed strategy, kills the process (SIGKILL) at random",
        "moments, takes the run up again, and compares its end with that of an undisturbed run: all rows of the record",
        "but their times, all tensors and all files, bit for bit. Nothing recorded before a kill may be missing, no",
        "half-written file may be left, and a report can be written after every kill.",
    ]
    kinds = Counter(kill.moment.kind for outcome in outcomes for kill in outcome.kills)
    total = sum(kinds.values())
    failed = sum(bool(outcome.failure) for outcome in outcomes)
    body = [
        f"**{total} kills in {len(outcomes)} runs, {failed} ended otherwise** ({seconds / 60:.0f} minutes).",
        "",
        "| search | undisturbed, s | runs | kills | the same end |",
        "|---|---:|---:|---:|---:|",
    ]
    for case, whole in wholes.items():
        mine = [outcome for outcome in outcomes if outcome.case == case.name]
        same, kills = sum(not o.failure for o in mine), sum(len(o.kills) for o in mine)
        body.append(f"| {case.name} | {whole.seconds:.2f} | {len(mine)} | {kills} | {same} |")
    body += ["", "| moment of the kill | kills |", "|---|---:|"]
    body += [f"| {kind} | {count} |" for kind, count in kinds.most_common()]
    publish("KILLS", "Kills", facts, about, body)


if __name__ == "__main__":
    main()
