"""Fuzzing for as long as one likes: ``python -m tests.fuzz.run --minutes 10`` (``make fuzz`` installs what it needs).

The first half of the time goes to files grown from the grammar and to damaged ones, drawn by hypothesis from seeds; the
second to bytes, guided by coverage (atheris, in a process of its own). What breaks a law is written to a folder, once
for each kind and place; the exit code says whether anything was found.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import itertools
import json
import random
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from spacec.testing.generate import random_ports, random_space
from tests.fuzz.grow import grown
from tests.fuzz.judge import Fault, judge
from tests.fuzz.mutate import ROOT, mutated

KINDS: dict[str, Callable[[random.Random], str]] = {
    "grown": grown,
    "mutated": mutated,
    "valid": lambda rng: random_space(rng.randrange(10**9), rng.randint(2, 10), rng.randint(1, 2)),
    "ports": lambda rng: random_ports(rng.randrange(10**9), rng.randint(2, 8)),
}
MIX = ("grown", "grown", "mutated", "mutated", "valid", "ports")
TWICE, BUILD = 10, 25
"""One in so many texts is compiled twice; one in so many of those that compile is built and run."""


class Record:
    """What was run and what was found; findings go to files named after what they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outcomes: Counter[str] = Counter()
        self.faults: dict[str, str] = {}
        self.slowest = 0.0

    def judge(self, kind: str, text: str, *, twice: bool, build: bool) -> None:
        start = time.process_time()
        try:
            outcome = judge(text, twice=twice, build=build)
            if kind in ("valid", "ports") and outcome == "refused":
                raise Fault("refused: a space that is valid by construction")
        except Fault as fault:
            outcome = "fault"
            self.keep(text, fault)
        self.slowest = max(self.slowest, time.process_time() - start)
        self.outcomes[f"{kind} {outcome}"] += 1

    def keep(self, text: str, fault: Fault) -> None:
        """Write a finding, the shortest text of its kind and place."""
        where = _place(fault)
        known = self.faults.get(where)
        if known is not None and len(known) <= len(text):
            return
        self.faults[where] = text
        name = hashlib.sha256(where.encode()).hexdigest()[:10]
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.space").write_text(text, encoding="utf-8", errors="surrogatepass")
        (self.folder / f"{name}.txt").write_text(f"{where}\n{fault}\n", encoding="utf-8", errors="replace")


def _place(fault: Fault) -> str:
    """The kind of a fault and the innermost line of the compiler that it came from."""
    kind = str(fault).partition(":")[0]
    cause = fault.__cause__
    frames = traceback.extract_tb(cause.__traceback__) if cause is not None else []
    own = [f for f in frames if "spacec" in f.filename]
    named = f"{type(cause).__name__} " if cause is not None else ""
    return f"{kind} {named}{Path(own[-1].filename).name}:{own[-1].name}" if own else f"{kind} {str(fault)[:60]}"


def grammar_based(minutes: float, record: Record) -> None:
    """Rounds of hypothesis, each with other draws, until the time is over."""
    end = time.monotonic() + 60 * minutes
    for number in itertools.count():
        if time.monotonic() >= end:
            return

        @seed(number)
        @settings(max_examples=200, deadline=None, database=None, phases=[Phase.generate])
        @given(st.sampled_from(MIX), st.integers(0, 2**64))
        def judged(kind: str, drawn: int) -> None:
            if time.monotonic() < end:
                rng = random.Random(drawn)
                twice, build = rng.randrange(TWICE) == 0, rng.randrange(BUILD) == 0
                record.judge(kind, KINDS[kind](rng), twice=twice, build=build)

        judged()


def byte_level(minutes: float, folder: Path) -> dict[str, object]:
    """Atheris in a process of its own; says so where it is not installed."""
    if importlib.util.find_spec("atheris") is None:
        return {"skipped": "atheris is not installed: it has wheels for Linux and CPython 3.11 to 3.13 only"}
    report = folder / "bytes.json"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.bytes", "--minutes", str(minutes), "--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    (folder / "bytes.log").write_text(done.stderr, encoding="utf-8")
    return json.loads(report.read_text(encoding="utf-8")) if report.exists() else {"failed": done.stderr[-2000:]}


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the compiler.")
    parser.add_argument("--minutes", type=float, default=10, help="for how long, both halves together")
    parser.add_argument("--only", choices=["grammar", "bytes"], help="one half alone, for the whole time")
    parser.add_argument("--folder", type=Path, default=Path("runs/fuzz"), help="where findings go")
    given_ = parser.parse_args()
    share = given_.minutes if given_.only else given_.minutes / 2
    record, found = Record(given_.folder), dict[str, object]()
    if given_.only != "bytes":
        grammar_based(share, record)
        found["grammar"] = {
            "texts": record.outcomes.total(),
            "outcomes": dict(sorted(record.outcomes.items())),
            "slowest": round(record.slowest, 2),
            "findings": sorted(record.faults),
        }
    if given_.only != "grammar":
        found["bytes"] = byte_level(share, given_.folder)
    print(json.dumps(found, indent=2))
    sys.exit(bool(record.faults) or bool(found.get("bytes", {}).get("findings")))


if __name__ == "__main__":
    main()
