"""The run store: trials a second into SQLite and PostgreSQL, and how long a run of 10,000 trials takes to go on.

Run it from the project's root: ``python -m benchmarks.store``. It writes STORE.md beside itself. The PostgreSQL is the
real one of the tests, on this machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

from spacec_random.strategy import RandomOptions, RandomSearch

import spacec
from benchmarks.report import arguments, machine, publish
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.record import RunInfo, RunStore, TrialRow
from spacec.search.runner import search
from spacec.search.tabular import Tabular
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured
from tests.store.postgres import Server

TRIALS = 10_000
WRITTEN = 4_000
GROUPS = (1, 16, 256)
AIM = "Aims (issue 7): 2,000 trials a second into SQLite; a run of 10,000 trials goes on in under 2 s."
SPACE = spacec.loads("""
space points(width = 8, classes = 3)
input  x: [width]
output y: [classes]
def op = a: linear | b: linear >> tanh | c: linear >> relu | d: linear >> gelu
net = op * 12 >> linear(classes)
""")


def benchmark() -> Benchmark:
    """Any number, by the architecture."""

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured:
        return Measured({"score": float(sum(map(ord, arch.text())))}, 60.0)

    return Benchmark("letters", SPACE.table, (Measure("score", "max"),), lookup, {}, "this script")


def rate(place: Path | str, group: int) -> float:
    """Trials a second; each is written when it is asked for and when it is rated, in a transaction of its group."""
    texts = [arch.text() for arch in SPACE.sample(64, seed=0)]
    with RunStore(place, job="benchmark" if isinstance(place, str) else "") as store:
        recorder = store.start(RunInfo("search", 0, SPACE.name, SPACE.digest, SPACE.text, ""))
        start = time.perf_counter()
        for first in range(0, WRITTEN, group):
            rows = [TrialRow(n, texts[n % 64], costs={"params": 1.0}) for n in range(first, first + group)]
            for row in rows:
                recorder.trial(row)
            recorder.flush()
            for row in rows:
                recorder.trial(replace(row, status="done", told=first // group, metrics={"score": 1.0}, seconds=60.0))
            recorder.flush()
        return WRITTEN / (time.perf_counter() - start)


def going_on(folder: Path, runs: int) -> dict[str, float]:
    """Seconds to open a run of :data:`TRIALS` trials, to go on from its last checkpoint, and from its record alone."""
    config = SearchConfig(trials=TRIALS, asynchronous=True, parallel=16, max_failures=None)
    options = RandomOptions(mode="trials", samples=TRIALS)

    def run(resume: bool) -> float:
        start = time.perf_counter()
        search(SPACE, RandomSearch(options), Tabular(benchmark(), {}, ""), config, folder, resume=resume)
        return time.perf_counter() - start

    def opened() -> float:
        start = time.perf_counter()
        with RunStore.of(folder, readonly=True) as store:
            assert len(store.trials(store.runs()[-1]["id"])) == TRIALS, "all are there"
        return time.perf_counter() - start

    def replayed() -> float:
        (folder / files.TRIALS).unlink()
        return run(resume=True)

    searched = run(resume=False)
    return {
        "searched, all of it": searched,
        "opened, all trials read": median(opened() for _ in range(runs)),
        "gone on from its last checkpoint": median(run(resume=True) for _ in range(runs)),
        "gone on from its record alone, every trial asked and told again": median(replayed() for _ in range(runs)),
    }


def main() -> None:
    options = arguments(__doc__ or "", runs=3).parse_args()
    facts = machine()
    rows = ["| trials in a transaction | SQLite, trials/s | PostgreSQL, trials/s |", "| ---: | ---: | ---: |"]
    with tempfile.TemporaryDirectory() as name, Server.new() as server:
        for group in GROUPS:
            file = median(rate(Path(name) / f"{group}-{k}.sqlite", group) for k in range(options.runs))
            other = median(rate(server.url(), group) for _ in range(options.runs))
            rows.append(f"| {group} | {file:,.0f} | {other:,.0f} |")
        found = going_on(Path(name) / "run", options.runs)
    rows += ["", f"| a run of {TRIALS:,} trials over a table | seconds |", "| --- | ---: |"]
    rows += [f"| {what} | {seconds:.2f} |" for what, seconds in found.items()]
    about = [
        AIM,
        f"Medians of {options.runs}. Each trial is written twice: when asked for, and when rated.",
        options.note,
    ]
    publish("STORE", "The run store", facts, about, rows)


if __name__ == "__main__":
    main()
