"""How fast architectures become arrays, distances and texts of other projects, on one core.

    python -m benchmarks.encodings [--runs 3] [--note TEXT]

Each measurement is CPU time of this process, the best of the runs. The run is recorded in ENCODINGS.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import spacec
from benchmarks.report import ROOT, arguments, machine, publish
from spacec.space.batch import Batch, concatenate

ROWS = 20_000
SCHEMES = ("onehot", "categorical", "adjacency", "path", "graph", "tokens")
TARGET = 50_000
"""Architectures per second that issue 4 asks of every batched encoding."""


def best(work: Callable[[], object], runs: int) -> float:
    """CPU seconds of the fastest run."""
    found = []
    for _ in range(runs):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return max(min(found), 1e-9)


def drawn(space: spacec.Space, rows: int) -> Batch:
    """Uniform samples, a thousand of them many times over: encodings take no advantage of repetition."""
    some = space.batch(space.sample(min(1000, rows)))
    return concatenate([some] * (rows // len(some)))


def encodings(name: str, rows: int, runs: int) -> list[str]:
    """A line for each scheme that the space has."""
    space = spacec.load(ROOT / "grammars" / f"{name}.space")
    batch, lines = drawn(space, rows), []
    for scheme in SCHEMES:
        try:
            encoding = space.encoding(scheme)
        except spacec.SpacecError as error:
            lines.append(f"| {name} | {scheme} | {error.diagnostics[0].headline} | | |")
            continue
        encoding.encode(batch[:10])
        rate = len(batch) / best(lambda: space.encode(batch, scheme), runs)  # noqa: B023  # called at once
        width = "x".join(map(str, encoding.shape)) if scheme != "graph" else f"{encoding.size} vertices"
        lines.append(f"| {name} | {scheme} | {width} | {rate:,.0f} | {rate / TARGET:.1f} |")
    return lines


def others(runs: int) -> list[str]:
    """Distances and texts."""
    cell = spacec.load(ROOT / "grammars" / "nas_bench_201.space")
    archs = cell.sample(2000)
    texts = [cell.write(arch, "nas-bench-201") for arch in archs]
    batch = drawn(cell, 2000)
    rows = [
        ("distances of NAS-Bench-201, pairs", len(batch) ** 2, lambda: cell.distances(batch)),
        ("NAS-Bench-201 strings written", len(archs), lambda: [cell.write(a, "nas-bench-201") for a in archs]),
        ("NAS-Bench-201 strings read", len(texts), lambda: [cell.read(t, "nas-bench-201") for t in texts]),
    ]
    return [f"| {title} | {count / best(work, runs):,.0f} |" for title, count, work in rows]


def main() -> None:
    options = arguments(__doc__.splitlines()[0], 3).parse_args()
    facts = machine()
    lines = ["| space | scheme | columns | architectures/s | times the target |", "|---|---|---|---:|---:|"]
    for name in ("darts", "nas_bench_201", "nas_bench_101"):
        lines += encodings(name, ROWS, options.runs)
    lines += encodings("hierarchical", 40, 1)
    lines += ["", "| what | per second |", "|---|---:|", *others(options.runs)]
    about = "Architectures per CPU second on one core, in batches; the target is 50,000 on DARTS and NAS-Bench-201."
    publish("ENCODINGS", "Encodings, distances and formats", facts, (about, *filter(None, [options.note])), lines)


if __name__ == "__main__":
    main()
