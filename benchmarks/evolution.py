"""Random search and regularised evolution over the table of NAS-Bench-201: the best validation accuracy by queries.

    python -m benchmarks.evolution

Needs the distributions spacec-evolution, spacec-random and spacec-tables[nas-bench-201], as `make` installs them.
A run is recorded in EVOLUTION.md beside this file, with its picture and its numbers (evolution.svg, evolution.csv).
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from spacec_evolution.strategy import RegularisedEvolution
from spacec_random.strategy import RandomSearch
from spacec_tables.nas_bench_201 import open_nas_bench_201

import spacec
from benchmarks.report import HERE, ROOT, arguments, machine, publish
from spacec.search.config import SearchConfig
from spacec.search.incumbents import Quartiles, by_trial, quartiles
from spacec.search.repeat import Curve, repeat
from spacec.search.report.charts import Series, line_chart
from spacec.search.strategy import Strategy
from spacec.search.tabular import Tabular

RUNS, QUERIES, SEED = 100, 300, 0
FIRST_SHOWN = 15
"""Queries that the picture leaves out: the first ones would press all others into a line."""
TOLD = (25, 50, 100, 150, 200, 250, 300)
EXPECTED = {"random": "near 91.25", "evolution 50/10": "91.55 to 91.61", "evolution 10/3": "91.55 to 91.61"}

Numbers = Mapping[str, list[tuple[int, Quartiles]]]


def strategies() -> dict[str, Strategy]:
    """Fresh ones, by the name under which they are told."""
    return {
        "random": RandomSearch({"mode": "trials"}),
        "evolution 50/10": RegularisedEvolution({"population": 50, "sample": 10}),
        "evolution 10/3": RegularisedEvolution({"population": 10, "sample": 3}),
    }


def run(name: str, task: Tabular, space: spacec.Space, runs: int, queries: int) -> list[Curve]:
    config = SearchConfig(trials=queries, seed=SEED)
    with tempfile.TemporaryDirectory() as folder:
        return repeat(space, lambda: strategies()[name], task, config, runs, Path(folder) / "run")


def picture(numbers: Numbers, runs: int, best: float) -> str:
    """Medians with their quartiles, and the best of the table."""
    series = [
        Series(
            name,
            tuple((float(n), q.median) for n, q in rows if n > FIRST_SHOWN),
            band=tuple((float(n), q.low, q.high) for n, q in rows if n > FIRST_SHOWN),
        )
        for name, rows in numbers.items()
    ]
    last = max(n for rows in numbers.values() for n, _ in rows)
    series.append(Series("best of the table", ((FIRST_SHOWN + 1.0, best), (float(last), best))))
    title = f"NAS-Bench-201, CIFAR-10: median of {runs} runs, with quartiles"
    return line_chart(series, title, "queries", "best validation accuracy (%)", size=(640.0, 380.0)).render()


def tables(found: Mapping[str, list[Curve]], numbers: Numbers, best: float, runs: int, queries: int) -> list[str]:
    told = [n for n in TOLD if n <= queries]
    lines = [
        "![Best validation accuracy by queries](evolution.svg)",
        "",
        "Median over the runs of the best validation accuracy (%) after so many queries:",
        "",
        f"| strategy | {' | '.join(map(str, told))} |",
        f"|---|{'---:|' * len(told)}",
    ]
    for name, rows in numbers.items():
        at = dict(rows)
        lines.append(f"| {name} | {' | '.join(f'{at[n].median:.3f}' for n in told)} |")
    lines += [
        "",
        f"After {queries} queries, beside the median that other projects' runs lead one to expect, and the median of",
        "the hours that training the queried cells would have taken:",
        "",
        "| strategy | lower quartile | median | upper quartile | expected | runs that found the best | hours |",
        "|---|---:|---:|---:|---|---:|---:|",
    ]
    for name, curves in found.items():
        last = quartiles([c.best[-1] for c in curves])
        reached = sum(c.best[-1] == best for c in curves)
        hours = quartiles([c.seconds[-1] for c in curves]).median / 3600
        shown = f"{last.low:.3f} | {last.median:.3f} | {last.high:.3f} | {EXPECTED[name]}"
        lines.append(f"| {name} | {shown} | {reached} of {runs} | {hours:.0f} |")
    return lines


def write_numbers(numbers: Numbers, file: Path) -> None:
    """Quartiles after every query."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(["strategy", "queries", "lower_quartile", "median", "upper_quartile"])
        for name, rows in numbers.items():
            writer.writerows([name, n, f"{q.low:.4f}", f"{q.median:.4f}", f"{q.high:.4f}"] for n, q in rows)


def main(runs: int, queries: int, note: str) -> None:
    facts = machine()
    space = spacec.load(ROOT / "grammars" / "nas_bench_201.space")
    task = Tabular(open_nas_bench_201(space.table, None), {"dataset": "cifar10"}, "val_acc")
    best = max(task.benchmark.query(arch).metrics["val_acc"] for arch in space.enumerate())
    start = time.process_time()
    found = {name: run(name, task, space, runs, queries) for name in strategies()}
    spent = time.process_time() - start
    numbers = {name: by_trial([c.best for c in curves]) for name, curves in found.items()}
    (HERE / "evolution.svg").write_text(picture(numbers, runs, best), encoding="utf-8")
    write_numbers(numbers, HERE / "evolution.csv")
    about = (
        f"{runs} runs of {queries} queries of each strategy, seeds {SEED} to {SEED + runs - 1}; {spent:.0f} s of CPU.",
        "Made by `python -m benchmarks.evolution`; quartiles after every query are in [evolution.csv](evolution.csv).",
        f"Data: {task.benchmark.source}; CIFAR-10, validation accuracy after 200 epochs, mean over the table's seeds.",
        f"The best of the 15,625 cells has {best:.4f} %.",
        note,
    )
    title = "Regularised evolution and random search over NAS-Bench-201"
    publish("EVOLUTION", title, facts, about, tables(found, numbers, best, runs, queries))


if __name__ == "__main__":
    parser = arguments("random search and evolution over NAS-Bench-201", RUNS)
    parser.add_argument("--queries", type=int, default=QUERIES, help="queries of a run")
    given = parser.parse_args()
    main(given.runs, given.queries, given.note)
