"""How long it takes to count every shipped space exactly: CPU milliseconds to load, to count, and to make its table.

Run it from the project's root: ``python -m benchmarks.counting``. It writes COUNTING.md beside itself. Each space is
measured in a process of its own.
"""

from __future__ import annotations

import json

from benchmarks.report import ROOT, arguments, child, machine, publish
from spacec.cli.numbers import rounded

STAGES = """
import json, sys, time
import spacec
from spacec.space import algebra

sys.set_int_max_str_digits(0)
now = time.process_time
spacec.load("grammars/clearer.space").count()  # imports and the standard library
taken = {"load": [], "count": [], "table": [], "again": []}
for _ in range(int(sys.argv[2])):
    at = now()
    space = spacec.load(sys.argv[1])
    taken["load"].append(now() - at)
    at = now()
    count = space.count()
    taken["count"].append(now() - at)
    at = now()
    table = space.make_table()
    taken["table"].append(now() - at)
    table.memo.clear()
    at = now()
    assert algebra.count(table) == count
    taken["again"].append(now() - at)
found = {stage: min(seconds) * 1000 for stage, seconds in taken.items()}
print(json.dumps({**found, "count_of": str(count), "decisions": len(table.decisions), "where": space.limited}))
"""


def row(name: str, runs: int) -> tuple[str, float]:
    found = json.loads(child("-c", STAGES, f"grammars/{name}.space", str(runs))[1])
    number = int(found["count_of"])
    shown = f"{number:,}" if number < 10**24 else rounded(number)
    times = " | ".join(f"{found[stage]:.1f}" for stage in ("load", "count", "table", "again"))
    rate = f"{1000 / max(found['again'], 0.001):,.0f}"
    where = "yes" if found["where"] else ""
    return f"| {name} | {found['decisions']:,} | {where} | {shown} | {times} | {rate} |", found["count"]


ABOUT = (
    "*load*: parsing and elaboration; where there are constraints, also the table of decisions that compiles",
    "them.",
    "*count*: `space.count()` of a freshly loaded space. Without constraints it is counted region by region, and",
    "needs no table: what many calls share is counted once (`spacec/space/regions.py`).",
    "*table*: the decisions with ids, conditions and costs, which sampling and enumeration need.",
    "*again*: the decision diagram of a table that is there, made and counted anew; *counts/s* is how often in a",
    "second.",
)
PEERS = (
    "",
    "## Peers",
    "",
    "There is no ratio to state: no peer can count these spaces. PyGlove's `DNASpec.space_size`",
    "(`pyglove/core/geno`) multiplies and adds over the tree of its placeholders, subsets included; decisions",
    "that are shared under different conditions, presence of tensors, repeats to a chosen depth, elastic sizes",
    "and constraints are beyond such a tree. NNI, NASLib and the code of Schrodi et al. have no exact count that",
    "we found: published counts are worked out by hand for each space.",
)


def main() -> None:
    given = arguments("Measure and write COUNTING.md.", 3).parse_args()
    facts = machine()
    found = {file.stem: row(file.stem, given.runs) for file in sorted((ROOT / "grammars").glob("*.space"))}
    slow = max(found, key=lambda name: found[name][1])
    head = (
        "| space | decisions | where | architectures | load | count | table | again | counts/s |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|",
    )
    least = f"CPU milliseconds, the least of {given.runs} runs. Made by `python -m benchmarks.counting`."
    slowest = f"The slowest count takes {found[slow][1]:.1f} ms ({slow})."
    body = [*head, *(line for line, _ in found.values()), "", slowest, *PEERS]
    publish("COUNTING", "Counting every shipped space", facts, (least, given.note, *ABOUT), body)


if __name__ == "__main__":
    main()
