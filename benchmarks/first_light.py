"""How long the commands take that answer without torch, and building DARTS' supernet: CPU seconds, medians.

Run it on an idle machine from the project's root: ``python -m benchmarks.first_light``. It writes RESULTS.md
beside itself. Every measurement is a process of its own; its user and system time are counted, so that waiting
for the disk is not.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks.report import arguments, child, machine, publish

SPACES = ("darts", "nas_bench_201", "clearer", "tabular")
RUNS = 7

SUPERNET = """
import resource, torch, spacec
torch.set_num_threads(1)
import spacec.lower.supernet
space = spacec.load("grammars/darts.space", C=16, layers=8)
def spent():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
start = spent()
space.supernet(seed=0)
print(spent() - start)
"""


@dataclass(frozen=True)
class Row:
    """A measurement: its name as a user would type it, and one number of CPU seconds per run."""

    name: str
    seconds: tuple[float, ...]

    @property
    def line(self) -> str:
        low, high = min(self.seconds), max(self.seconds)
        return f"| {self.name} | {statistics.median(self.seconds):.2f} | {low:.2f} to {high:.2f} |"


def command(*arguments: str, runs: int) -> Row:
    """``spacec`` with these arguments, as a process."""
    whole = ("-m", "spacec.cli", *arguments)
    child(*whole)  # fills the caches of Python and of the disk
    return Row(f"`spacec {' '.join(arguments)}`", tuple(child(*whole)[0] for _ in range(runs)))


def supernet(runs: int) -> Row:
    """Building only: torch is imported and the space compiled before the clock starts."""
    seconds = tuple(float(child("-c", SUPERNET)[1]) for _ in range(runs))
    return Row("building DARTS' supernet (C = 16, 8 cells)", seconds)


def measure(runs: int) -> list[Row]:
    rows = [command("--help", runs=runs), command("plugins", runs=runs)]
    for name in SPACES:
        file = f"grammars/{name}.space"
        rows += [command(*verb, runs=runs) for verb in (("check", file), ("info", file), ("sample", file, "-n", "10"))]
    return [*rows, supernet(runs)]


def main() -> None:
    given = arguments("Measure and write RESULTS.md.", RUNS).parse_args()
    facts, rows = machine(), measure(given.runs)
    about = (
        f"Medians of {given.runs} runs, each a process of its own, user and system time together.",
        given.note,
        "Made by `python -m benchmarks.first_light`.",
    )
    head = ("| what | median | range |", "|---|---:|---:|")
    publish("RESULTS", "First light: CPU seconds", facts, about, [*head, *(row.line for row in rows)])


if __name__ == "__main__":
    main()
