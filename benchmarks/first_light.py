"""How long the commands take that answer without torch, and building DARTS' supernet: CPU seconds, medians.

Run it on an idle machine from the project's root: ``python benchmarks/first_light.py``. It writes RESULTS.md
beside itself. Every measurement is a process of its own; its user and system time are counted, so that waiting
for the disk is not. Nothing here fails for being slow.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
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


def child(*arguments: str) -> tuple[float, str]:
    """CPU seconds of a Python process, and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None, "the output is a pipe"
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime, printed


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


def processor() -> str:
    """The processor's name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine() -> str:
    from importlib.metadata import version

    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    python = f"Python {platform.python_version()}, torch {version('torch')}"
    return f"{processor()}, {os.cpu_count()} cores{load}; {platform.system()}, {python}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure and write RESULTS.md.")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each measurement")
    parser.add_argument("--note", default="", help="a line about the circumstances")
    given = parser.parse_args()
    facts = machine()
    rows = measure(given.runs)
    lines = [
        "# First light: CPU seconds",
        "",
        f"Machine: {facts}.",
        f"Medians of {given.runs} runs, each a process of its own, user and system time together.",
        *([given.note] if given.note else []),
        "Made by `python benchmarks/first_light.py`.",
        "",
        "| what | median | range |",
        "|---|---:|---:|",
        *(row.line for row in rows),
        "",
    ]
    (HERE / "RESULTS.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
