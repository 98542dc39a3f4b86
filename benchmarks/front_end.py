"""How long the front end takes: CPU seconds of whole commands, of the stages on a long file, of each shipped space.

Run it from the project's root: ``python -m benchmarks.front_end``. It writes FRONT_END.md beside itself. A command is
a process of its own, its user and system time counted together, bytecode and disk warm; the import of everything that
``check`` needs is measured beside it, so that what a file itself costs can be read as a difference and as a ratio.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path

from benchmarks.report import ROOT, arguments, child, machine, publish
from spacec.testing.large import large_space

IMPORTS = "import spacec.cli.main, spacec.cli.check, spacec.driver; spacec.driver.Session.default()"
STAGES = """
import gc, json, sys, time
from spacec.diagnostics.model import Sink
from spacec.driver import Session
from spacec.passes.prune_dead import PruneDead
from spacec.sema.elaborate import elaborate
from spacec.source import SourceFile
from spacec.space.skeleton import build_table
from spacec.syntax.lexer import lex
from spacec.syntax.parse import parse
session, sink = Session.default(), Sink()
source = SourceFile("large", open(sys.argv[1], encoding="utf-8").read())
gc.disable()
taken, at = {}, time.process_time()
def done(stage):
    global at
    now = time.process_time()
    taken[stage], at = now - at, now
lex(source, sink); done("words and signs")
file = parse(source, sink); done("parsing, words and signs included")
found = elaborate(file, session.prelude, session.ops, sink); done("elaboration")
graph = PruneDead().apply(found.graph, sink); done("pruning")
table = build_table(graph, found.limits); done("decision table")
print(json.dumps({"taken": taken, "decisions": len(table.decisions)}))
"""


def spent(*arguments: str, runs: int) -> tuple[float, float, float]:
    """Median, least and most CPU seconds of a Python process."""
    child(*arguments)  # warms the caches
    seconds = sorted(child(*arguments)[0] for _ in range(runs))
    return statistics.median(seconds), seconds[0], seconds[-1]


def rows(runs: int, lines: int) -> list[str]:
    base = spent("-c", IMPORTS, runs=runs)
    out = [f"| imports and the standard library alone | {base[0]:.2f} | {base[1]:.2f} to {base[2]:.2f} | | |"]

    def row(name: str, found: tuple[float, float, float]) -> str:
        extra, ratio = found[0] - base[0], found[0] / base[0]
        return f"| {name} | {found[0]:.2f} | {found[1]:.2f} to {found[2]:.2f} | {extra:.2f} | {ratio:.1f} |"

    for file in sorted((ROOT / "grammars").glob("*.space")):
        command = ("-m", "spacec.cli", "check", str(file.relative_to(ROOT)))
        out.append(row(f"`check {file.name}`", spent(*command, runs=runs)))
    for verb in ("info", "sample"):
        out.append(row(f"`{verb} darts.space`", spent("-m", "spacec.cli", verb, "grammars/darts.space", runs=runs)))
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder, "large.space")
        large.write_text(large_space(lines), encoding="utf-8")
        out.append(row(f"`check` of {lines:,} lines", spent("-m", "spacec.cli", "check", str(large), runs=runs)))
        found = [json.loads(child("-c", STAGES, str(large))[1]) for _ in range(runs)]
    out += ["", f"The stages on the {lines:,} lines ({found[0]['decisions']:,} decisions):", ""]
    out += ["| stage | median |", "|---|---:|"]
    for stage in found[0]["taken"]:
        out.append(f"| {stage} | {statistics.median(f['taken'][stage] for f in found):.2f} |")
    return out


def main() -> None:
    parser = arguments("Measure and write FRONT_END.md.", 5)
    parser.add_argument("--lines", type=int, default=10_000, help="length of the generated file")
    given = parser.parse_args()
    facts, table = machine(), rows(given.runs, given.lines)
    about = (
        f"Medians of {given.runs} runs, each a process; user and system time.",
        given.note,
        "Made by `python -m benchmarks.front_end`. *Beyond* is the difference to the imports, *ratio* the quotient.",
    )
    head = ("| what | median | range | beyond | ratio |", "|---|---:|---:|---:|---:|")
    publish("FRONT_END", "The front end: CPU seconds", facts, about, [*head, *table])


if __name__ == "__main__":
    main()
