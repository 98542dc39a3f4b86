"""Counting and sampling under limits: CPU time to count, and uniform valid samples a second on one core.

Run it from the project's root: ``python -m benchmarks.constraints``. It writes CONSTRAINTS.md beside itself. Each space
is measured in a process of its own.
"""

from __future__ import annotations

import json

from benchmarks.report import arguments, child, machine, publish

CASES = (
    *(("darts", "params"), ("darts", "macs"), ("nas_bench_macro", "params"), ("cream", "params"), ("cream", "macs")),
    *(("hrnet", "params"), ("autoformer", "params"), ("autoformer", "macs"), ("enas_macro", "params")),
    *(("amber", "params"), ("robust_darts", "params"), ("accel_nasbench", "params"), ("ofa", "params")),
    *(("ofa", "macs"), ("mnasnet", "params"), ("tabular", "params"), ("nats_bench_size", "params")),
)
SHARES = (0.001, 0.1, 0.5)
SAMPLES = 10_000
TARGET = 5_000
"""Samples a second under a limit that one architecture in a thousand meets (issue 4)."""

MEASURE = """
import json, sys, time, warnings
import spacec
from spacec.diagnostics.model import SpacecError
from spacec.space.sample import RejectionWarning

name, cost, share, n = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
now = time.process_time
space = spacec.load(f"grammars/{name}.space")
space.sample(1)
at = now()
found = space.distribution(cost, 1)
spread = now() - at
limit = found.quantile(share)
narrow = space.where(f"{cost} <= {limit}")
narrow.table
at = now()
try:
    count = narrow.count()
except SpacecError:
    count = None
counted = now() - at
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    narrow.sample(100)
    at = now()
    narrow.sample(n, seed=1)
    taken = now() - at
kept = [w.message.diagnostic.headline for w in told if isinstance(w.message, RejectionWarning)]
print(json.dumps({
    "limit": float(limit), "estimated": found.estimated, "spread": 1000 * spread,
    "share": None if count is None else count / space.count(), "count": 1000 * counted, "rate": n / taken,
    "kept": kept[-1].rpartition("(")[2].rstrip(")") if kept else "all",
}))
"""


def main() -> None:
    options = arguments(__doc__ or "", runs=1).parse_args()
    facts = machine()
    rows: list[str] = []
    for name, cost in CASES:
        for share in SHARES:
            _, printed = child("-c", MEASURE, name, cost, str(share), str(SAMPLES))
            found = json.loads(printed)
            told = "not counted" if found["share"] is None else f"{100 * found['share']:.4g} %"
            at = f"{100 * share:g} %" + (" (estimated)" if found["estimated"] else "")
            rows.append(
                f"| {name} | {cost} <= {found['limit']:,.0f} | {at} | {told} | {found['count']:,.0f} "
                f"| {found['rate']:,.0f} | {found['kept']} | {found['spread']:,.0f} |"
            )
    about = [
        f"Each limit is the cost that a share of the space does not exceed; {SAMPLES:,} uniform samples are drawn.",
        f"Aim: {TARGET:,} samples a second where 0.1 % of the space is valid.",
        "*kept*: `all` where the limit is compiled and nothing is rejected; else what is kept of the wider set.",
        "*distribution*: CPU time of the cost's distribution over the whole space, from which the limit is read.",
        options.note,
    ]
    head = [
        "| space | limit | share meant | share, exactly | count (ms) | samples/s | kept | distribution (ms) |",
        "| --- | --- | --: | --: | --: | --: | --: | --: |",
    ]
    publish("CONSTRAINTS", "Counting and sampling under limits", facts, about, [*head, *rows])


if __name__ == "__main__":
    main()
