"""TabNAS' toy problem, 100 seeds: how often each controller ends on the best network within the limit.

    python -m benchmarks.toy_tabnas

Needs the distribution spacec-tabnas. What every search ended on is kept in toy_tabnas.json; rows that are there are not
made again (``--again`` makes all). The page is TABNAS_TOY.md, its picture toy_tabnas.svg.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from spacec_tabnas.strategy import TabNAS
from spacec_tabnas.toy import BEST, LIMIT, LOSSES, TEXT, open_toy

import spacec
from benchmarks.report import HERE, commit, machine
from spacec.search.config import SearchConfig
from spacec.search.files import read_json, write_text
from spacec.search.report.charts import Series, line_chart
from spacec.search.runner import search
from spacec.search.tabular import Tabular

RECORD, PAGE, PICTURE = HERE / "toy_tabnas.json", HERE / "TABNAS_TOY.md", HERE / "toy_tabnas.svg"
RUNS, DRAWS = 100, 500
"""Seeds, from 0 on; draws of the controller in a search, those beyond the limit counted."""
MOST = 10
READ = 50
"""Samples that the authors read a controller out by."""
NORMAL = 1.96

Sizes = tuple[int, int]


ABOUT = """\
# TabNAS' toy problem: rejection with P(V) exact, from samples and left out, and the absolute reward

Machine: {machine}.
Commit {commits}.
Two layers of 2, 3 or 4 units, at most 25 weights; the reward is 1 - loss, by the table in the authors' notebook (Yang
et al., NeurIPS 2022). The best network within the limit is 4-2 (reward 0.4), the best of all 4-4 (0.9, 37 weights).
Each row: {runs} searches by `spacec-tabnas` with seeds from 0, {draws} draws each, Adam at 0.1 (absolute reward: 0.05),
logits from 0, one draw a step, baseline with momentum 0.9. A draw beyond the limit changes nothing, and counts.

- *ends on 4-2*: 4-2 is the most probable network within the limit, with Wilson's 95 % interval;
- *said*: the same share by a re-run in numpy beside the notebook, 100 seeds (not the paper's figure);
- *beyond*: the most probable of all nine networks breaks the limit;
- *4-2 among {read}*: the chance that {read} samples of the final controller, the authors' read-out, have 4-2;
- *P(4-2 \\| V)*, *P(V)*: means at the end; *kept*: draws within the limit, mean.
"""


@dataclass(frozen=True)
class Row:
    """``said``: the share in per cent that a re-run with numpy beside the authors' notebook gave, if there is one."""

    title: str
    options: Mapping[str, object]
    said: str = ""


ABSOLUTE = {"reward": "absolute", "arch_lr": 0.05}
ROWS: Mapping[str, Row] = {
    "exact": Row("rejection, P(V) exact", {"chance": "exact"}, "76"),
    **{
        f"sampled-{n}": Row(f"rejection, P(V) from N = {n}", {"chance": "sampled", "draws": n}, "71" if n == 5 else "")
        for n in range(1, MOST + 1)
    },
    "released": Row("rejection, P(V) as the notebook sums it, N = 5", {"chance": "released", "draws": 5}, "76"),
    "none": Row("rejection without P(V)", {"chance": "none"}, "68"),
    "absolute-1": Row("absolute reward, beta = -1", {**ABSOLUTE, "beta": -1.0}),
    "absolute-2": Row("absolute reward, beta = -2", {**ABSOLUTE, "beta": -2.0}, "12"),
    "redrawn": Row("rejection, P(V) exact, all 500 draws within the limit", {"chance": "exact", "skip": False}),
}


@dataclass(frozen=True)
class End:
    """Where a search ended: the probabilities of the sizes by layer, and how many of its draws were kept."""

    layers: tuple[tuple[float, ...], tuple[float, ...]]
    kept: int

    def joint(self) -> dict[Sizes, float]:
        first, second = self.layers
        return {(2 + a, 2 + b): p * q for a, p in enumerate(first) for b, q in enumerate(second)}

    @property
    def within(self) -> float:
        """P(V)."""
        return sum(p for at, p in self.joint().items() if at in VALID)

    @property
    def likeliest(self) -> Sizes:
        """Of all nine networks."""
        return max(self.joint().items(), key=lambda item: item[1])[0]

    @property
    def answer(self) -> Sizes:
        """The likeliest within the limit."""
        return max(((p, at) for at, p in self.joint().items() if at in VALID), key=lambda item: item[0])[1]


def make(options: Mapping[str, object], seed: int) -> End:
    """One search by the plugin."""
    torch.set_num_threads(1)
    space = spacec.loads(TEXT)
    strategy = TabNAS({"mode": "trials", "target": LIMIT, "samples": DRAWS, "skip": True, **options})
    task = Tabular(open_toy(space.table, None), metric="reward")
    found = search(space, strategy, task, SearchConfig(seed=seed))
    first, second = ([float(f"{p:.6g}") for p in row] for row in strategy.policy.of_decisions().values())
    return End((tuple(first), tuple(second)), found.trials)


def made(row: Row, runs: int) -> dict[str, Any]:
    """The record of a row."""
    start = time.process_time()
    found = [make(row.options, seed) for seed in range(runs)]
    spent = round(time.process_time() - start, 1)
    return {"commit": commit(), "cpu_seconds": spent, "ends": [[*end.layers, end.kept] for end in found]}


def text_of(record: Mapping[str, Any]) -> str:
    """A record as JSON, a search in each line."""
    head = json.dumps({name: value for name, value in record.items() if name != "rows"}, indent=2).removesuffix("\n}")
    rows = []
    for name, row in record["rows"].items():
        facts = json.dumps({k: v for k, v in row.items() if k != "ends"})[1:-1]
        lines = ",\n".join(json.dumps(end) for end in row["ends"])
        rows.append(f'{json.dumps(name)}: {{{facts}, "ends": [\n{lines}\n]}}')
    return f'{head},\n"rows": {{\n{",".join(rows)}\n}}\n}}\n'


def _valid() -> frozenset[Sizes]:
    space = spacec.loads(TEXT).where(f"params <= {LIMIT}")
    return frozenset((2 + a, 2 + b) for a, b in (arch.values.values() for arch in space.enumerate()))  # type: ignore[misc]  # no subsets here


VALID = _valid()


def interval(hits: int, runs: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z = NORMAL**2
    middle, reach = hits + z / 2, NORMAL * math.sqrt(hits * (runs - hits) / runs + z / 4)
    return (middle - reach) / (runs + z), (middle + reach) / (runs + z)


def read(path: Path = RECORD) -> dict[str, Any]:
    return dict(read_json(path)) if path.exists() else {"rows": {}}


def ends(row: Mapping[str, Any]) -> list[End]:
    return [End((tuple(first), tuple(second)), kept) for first, second, kept in row["ends"]]


def page(record: Mapping[str, Any]) -> str:
    """The page of a record."""
    commits = ", ".join(sorted({row["commit"] for row in record["rows"].values()}))
    lines = [
        ABOUT.format(machine=record["machine"], commits=commits, runs=record["runs"], draws=DRAWS, read=READ),
        f"| controller | ends on 4-2 | 95 % | said | beyond | 4-2 among {READ} | P(4-2 \\| V) | P(V) | kept |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(_line(ROWS[name], ends(row)) for name, row in _ordered(record)),
        "",
        "Where the searches ended, by the most probable network of all nine (in bold: within the limit):",
        "",
        f"| controller | {' | '.join(_name(at) for at in LOSSES)} |",
        f"|---|{'--:|' * len(LOSSES)}",
        *(_ends_of(ROWS[name], ends(row)) for name, row in _ordered(record)),
        "",
        "![Share of searches that end on 4-2](toy_tabnas.svg)",
        "",
    ]
    return "\n".join(lines)


def _ordered(record: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, record["rows"][name]) for name in ROWS if name in record["rows"]]


def _line(row: Row, found: Sequence[End]) -> str:
    runs = len(found)
    hits = sum(end.answer == BEST for end in found)
    low, high = interval(hits, runs)
    beyond = sum(end.likeliest not in VALID for end in found)
    among = sum(1 - (1 - end.joint()[BEST]) ** READ for end in found) / runs
    given = sum(end.joint()[BEST] / end.within for end in found) / runs
    within = sum(end.within for end in found) / runs
    kept = sum(end.kept for end in found) / runs
    share = f"{100 * hits / runs:.0f} % | {100 * low:.0f} to {100 * high:.0f} % | {row.said and row.said + ' %'}"
    rest = f"{100 * beyond / runs:.0f} % | {100 * among:.0f} % | {given:.3f} | {within:.3f} | {kept:.0f}"
    return f"| {row.title} | {share} | {rest} |"


def _name(at: Sizes) -> str:
    text = f"{at[0]}-{at[1]}"
    return f"**{text}**" if at in VALID else text


def _ends_of(row: Row, found: Sequence[End]) -> str:
    counts = [sum(end.likeliest == at for end in found) for at in LOSSES]
    return f"| {row.title} | {' | '.join(str(n or '') for n in counts)} |"


def picture(record: Mapping[str, Any]) -> str:
    """The share of searches that end on 4-2 by N, beside the controllers that sample nothing."""
    shares = {name: [end.answer == BEST for end in ends(row)] for name, row in _ordered(record)}
    points = {n: shares[f"sampled-{n}"] for n in range(1, MOST + 1) if f"sampled-{n}" in shares}
    sampled = Series(
        "from N samples",
        tuple((float(n), sum(hits) / len(hits)) for n, hits in points.items()),
        band=tuple((float(n), *interval(sum(hits), len(hits))) for n, hits in points.items()),
    )
    level = {"exact": "P(V) exact", "none": "left out", "absolute-1": "absolute, -1", "absolute-2": "absolute, -2"}
    flat = [
        Series(title, tuple((float(n), sum(hits) / len(hits)) for n in (1, MOST)))
        for name, title in level.items()
        if (hits := shares.get(name))
    ]
    title = f"TabNAS' toy problem: share of {record['runs']} searches that end on 4-2"
    return line_chart([sampled, *flat], title, "samples of P(V) a step", "share", size=(640.0, 360.0)).render()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="seeds")
    parser.add_argument("--again", action="store_true", help="make every row again")
    options = parser.parse_args()
    old = {"rows": {}} if options.again else read()
    rows = {name: row for name, row in old["rows"].items() if len(row["ends"]) == options.runs and name in ROWS}
    record = {"machine": machine() if len(rows) < len(ROWS) else old["machine"], "runs": options.runs, "rows": rows}
    for name, row in ROWS.items():
        if name not in rows:
            rows[name] = made(row, options.runs)
            write_text(RECORD, text_of(record))
            print(_line(row, ends(rows[name])), flush=True)
    PICTURE.write_text(picture(record), encoding="utf-8")
    PAGE.write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
