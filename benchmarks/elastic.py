"""Twenty networks of an elastic supernet, with shared weights and trained alone: accuracies, and the order they give.

    python -m benchmarks.elastic

trains what has no record in elastic/ (twelve minutes of one processor for all of it) and writes ELASTIC.md and
elastic.svg beside this file. `--page` only writes these. Needs spacec-oneshot and mlxtend, which `make` installs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from string import Template

from benchmarks.elastic_run import (
    FOLDER,
    NETWORKS,
    SEEDS,
    SUPERNETS,
    Record,
    kept,
    recorded,
    train_alone,
    train_supernet,
)
from benchmarks.intervals import bootstrap, kendall, spearman
from benchmarks.report import HERE
from spacec.search.report.charts import Series, line_chart

PAGE, PICTURE = HERE / "ELASTIC.md", HERE / "elastic.svg"
TEMPLATE = HERE / "elastic.template.md"


@dataclass(frozen=True)
class Found:
    """What the records say, network by network from the smallest to the largest; accuracies on the images held out.

    ``alone``: by seed; ``shared``: by strategy, norms re-estimated, and ``raw`` with the statistics that training left.
    """

    params: tuple[int, ...]
    macs: tuple[int, ...]
    alone: Mapping[int, tuple[float, ...]]
    shared: Mapping[str, tuple[float, ...]]
    raw: Mapping[str, tuple[float, ...]]
    steps: int
    seconds: Mapping[str, float]

    @property
    def truth(self) -> list[float]:
        """Mean accuracy of the trainings alone."""
        return [mean(of_one) for of_one in zip(*self.alone.values(), strict=True)]


def alone_key(number: int, seed: int) -> str:
    return f"alone.{number:02}.{seed}"


def supernet_key(name: str) -> str:
    return f"supernet.{name}.0"


def run_all() -> None:
    """Train what has no record."""
    for seed in SEEDS:
        for number in range(NETWORKS):
            kept(alone_key(number, seed), lambda number=number, seed=seed: train_alone(number, seed))
    for name in SUPERNETS:
        kept(supernet_key(name), lambda name=name: train_supernet(name, 0))


def read() -> Found:
    """The records. Raises ``FileNotFoundError`` where one is missing."""
    alone = {seed: [recorded(alone_key(k, seed)) for k in range(NETWORKS)] for seed in SEEDS}
    supernets: dict[str, Record] = {name: recorded(supernet_key(name)) for name in SUPERNETS}
    first = alone[SEEDS[0]]
    texts = [record["architecture"] for record in first]

    def of(name: str, what: str) -> tuple[float, ...]:
        return tuple(supernets[name]["networks"][text][what] for text in texts)

    every = [record for records in alone.values() for record in records]
    return Found(
        tuple(record["params"] for record in first),
        tuple(record["macs"] for record in first),
        {seed: tuple(r["metrics"]["accuracy"] for r in records) for seed, records in alone.items()},
        {name: of(name, "accuracy") for name in supernets},
        {name: of(name, "as trained") for name in supernets},
        first[0]["steps"],
        {"alone": sum(r["seconds"] for r in every), **{n: r["seconds"] for n, r in supernets.items()}},
    )


def order(found: Sequence[float], truth: Sequence[float]) -> str:
    """Both rank correlations with their bootstrap intervals, as cells of a table."""
    cells = []
    for statistic in (kendall, spearman):
        low, high = bootstrap(
            lambda at, statistic=statistic: statistic([found[k] for k in at], [truth[k] for k in at]), len(truth)
        )
        cells.append(f"{statistic(found, truth):.2f} ({low:.2f} to {high:.2f})")
    return " | ".join(cells)


def page(found: Found) -> str:
    """The template with its tables filled in."""
    truth, names = found.truth, list(found.shared)
    first, second = found.alone.values()
    judges = [
        f"| `{name}` | {order(found.shared[name], truth)} | {100 * mean(found.shared[name]):.1f} "
        f"| {100 * mean(found.raw[name]):.1f} | {found.seconds[name]:.0f} |"
        for name in names
    ]
    again = f"{order(second, first)} | {100 * mean(truth):.1f} | | {found.seconds['alone']:.0f}"
    judges += [f"| number of weights | {order(found.params, truth)} | | | |", f"| another training alone | {again} |"]
    rows = [
        f"| weights | multiply-adds | alone, seed 0 | alone, seed 1 | {' | '.join(f'`{n}`' for n in names)} |",
        f"|---:|---:|---:|---:|{'---:|' * len(names)}",
    ]
    columns = zip(found.params, found.macs, first, second, *found.shared.values(), strict=True)
    rows += [f"| {p:,} | {m:,} | {' | '.join(f'{100 * v:.1f}' for v in values)} |" for p, m, *values in columns]
    text = Template(TEMPLATE.read_text(encoding="utf-8"))
    return text.substitute(steps=found.steps, judges="\n".join(judges), networks="\n".join(rows))


def picture(found: Found) -> str:
    lines = {"alone": found.truth, **found.shared}
    series = [
        Series(name, tuple((float(p), 100 * v) for p, v in zip(found.params, values, strict=True)))
        for name, values in lines.items()
    ]
    title = "Accuracy of twenty networks, alone and with shared weights"
    chart = line_chart(series, title, "weights", "accuracy (%)", size=(620.0, 340.0), across="log")
    return chart.render()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--page", action="store_true", help="only write the page and its picture")
    if not parser.parse_args().page:
        FOLDER.mkdir(exist_ok=True)
        run_all()
    found = read()
    PAGE.write_text(page(found), encoding="utf-8")
    PICTURE.write_text(picture(found), encoding="utf-8")
    print(page(found))


if __name__ == "__main__":
    main()
