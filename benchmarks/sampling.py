"""How fast architectures are drawn and listed, beside PyGlove's ``random_sample`` in the same run.

Run it from the project's root: ``python -m benchmarks.sampling``. It writes SAMPLING.md beside itself. All on one
core, in CPU seconds. PyGlove draws every choice by itself, which in its space (two lists of 14 choices out of eight) is
uniform over architectures too; without PyGlove that part is left out, and the page says so.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from itertools import islice

import spacec
from benchmarks.report import ROOT, arguments, machine, publish
from spacec.space.sample import RejectionWarning

SHARE = 0.001
"""Of the DARTS space that the limit on parameters leaves."""


def per_second(draw: Callable[[int, int], object], number: int, runs: int) -> float:
    """Median of how many are drawn in a CPU second; ``draw(number, seed)`` draws."""
    draw(min(number, 50), runs)  # whatever is made once, such as the diagram, is made by now
    found = []
    for seed in range(runs):
        start = time.process_time()
        draw(number, seed)
        found.append(number / (time.process_time() - start))
    return statistics.median(found)


def two_lists() -> spacec.Space:
    """Two lists of 14 choices out of eight, as PyGlove's space has them."""
    choice = "linear(elastic {" + ", ".join(map(str, range(1, 9))) + "})"
    chain = " >> ".join([choice] * 14)
    return spacec.loads(f"space lists\ninput x: [4]\noutput y: [1]\nnet = {chain} >> relu >> {chain} >> linear(1)\n")


def pyglove_rate(number: int, runs: int) -> float:
    import pyglove

    def draw(count: int, seed: int) -> None:
        lists = {name: pyglove.List([pyglove.oneof(range(8)) for _ in range(14)]) for name in "ab"}
        for _ in pyglove.random_sample(pyglove.Dict(lists), count, seed=seed):
            pass

    return per_second(draw, number, runs)


def narrowed(space: spacec.Space) -> tuple[spacec.Space, int]:
    """The space under the limit on parameters that leaves about :data:`SHARE` of it, found by halving."""
    low, high, total = 0, 10**6, space.count()
    while high - low > 1:
        middle = (low + high) // 2
        if space.where(f"params <= {middle}").count() <= total * SHARE:
            low = middle
        else:
            high = middle
    return space.where(f"params <= {low}"), low


def rates(space: spacec.Space, number: int, runs: int) -> dict[str, float]:
    """Architectures in a second, by the way to ask for them."""

    def one_by_one(count: int, seed: int) -> None:
        for _ in islice(space.sampler(seed), count):
            pass

    return {
        "batch": per_second(space.sample_batch, number, runs),
        "one by one": per_second(one_by_one, number, runs),
        "list": per_second(space.sample, number, runs),
    }


def others(space: spacec.Space, number: int, runs: int) -> list[tuple[str, float]]:
    total = space.count()

    def listed(count: int, seed: int) -> None:
        for _ in islice(space.enumerate(start=seed * total // 1000), count):
            pass

    def unranked(count: int, seed: int) -> None:
        for rank in range(seed * total // 1000, seed * total // 1000 + count):
            space.unrank(rank)

    return [
        ("batch, weighted by priors", per_second(lambda n, s: space.sample_batch(n, s, weighted=True), number, runs)),
        ("batch, without replacement", per_second(lambda n, s: space.sample_batch(n, s, replace=False), number, runs)),
        ("ranks to a batch", per_second(lambda n, s: space.unrank_batch(range(s, s + n)), number, runs)),
        ("listed in order", per_second(listed, number, runs)),
        ("the same, each by its rank alone", per_second(unranked, min(number, 2_000), runs)),
    ]


def main() -> None:
    options = arguments(__doc__.splitlines()[0], runs=5).parse_args()
    facts = machine()
    darts = spacec.load(ROOT / "grammars/darts.space")
    feasible, limit = narrowed(darts)
    share = feasible.count() / darts.count()
    ofa = spacec.load(ROOT / "grammars/ofa.space")
    drawn = ofa.costs(ofa.sample_batch(50_000, seed=1), "params")
    ofa_limit = sorted(drawn.tolist())[int(SHARE * len(drawn))]
    spaces = [
        ("DARTS (`grammars/darts.space`)", darts, 50_000),
        (f"DARTS under `params <= {limit}`: {100 * share:.4f} % of it", feasible, 20_000),
        (f"Once-for-all under `params <= {ofa_limit}`", ofa.where(f"params <= {ofa_limit}"), 20_000),
        ("two lists of 14 choices out of eight", two_lists(), 50_000),
        ("hierarchical NAS-Bench-201, 10^446", spacec.load(ROOT / "grammars/hierarchical.space"), 200),
    ]
    warnings.simplefilter("ignore", RejectionWarning)
    measured = {name: rates(space, number, options.runs) for name, space, number in spaces}
    body = ["| uniform samples in a second | batch | one by one | list |", "|---|---:|---:|---:|"]
    body += [f"| {n} | {r['batch']:,.0f} | {r['one by one']:,.0f} | {r['list']:,.0f} |" for n, r in measured.items()]
    body.append("")
    if importlib.util.find_spec("pyglove") is None:
        body.append("PyGlove is not installed, so it was not measured: `python -m pip install pyglove==0.4.5`.")
    else:
        theirs, ours = pyglove_rate(30, options.runs), measured["two lists of 14 choices out of eight"]
        body.append(f"PyGlove {version('pyglove')}, `random_sample` on the two lists: {theirs:,.1f} in a second;")
        body.append(f"one by one spacec draws {ours['one by one'] / theirs:,.0f} times as many,")
        body.append(f"in a batch {ours['batch'] / theirs:,.0f} times.")
    body += ["", "| DARTS, other ways | in a second |", "|---|---:|"]
    body += [f"| {name} | {rate:,.0f} |" for name, rate in others(darts, 20_000, options.runs)]
    about = [
        f"CPU seconds on one core, medians of {options.runs} runs; decision diagrams are made before.",
        "*Batch* gives an array of codes (`space.sample_batch`), *one by one* and *list* give architectures",
        "(`space.sampler`, `space.sample`). Under the limit on DARTS nothing is rejected; that on Once-for-all leaves",
        f"about {100 * SHARE} % of it (of 50,000 random architectures), cannot be counted under, and rejects a few.",
        options.note,
    ]
    publish("SAMPLING", "Sampling", facts, about, body)


if __name__ == "__main__":
    main()
