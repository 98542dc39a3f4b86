"""The toy problem of TabNAS (Yang et al., NeurIPS 2022): two layers of 2, 3 or 4 units, at most 25 weights.

The losses are stated by the authors' public notebook; the reward is 1 - loss. The best network of all is 4-4, the best
within the limit is 4-2: a bottleneck, each of whose sizes does badly on average over the other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured, fitted
from spacec.space.decisions import DecisionTable

NAME = "tabnas-toy"
LIMIT = 25
BEST = (4, 2)
"""The best network of at most :data:`LIMIT` weights."""
TEXT = """\
space toy
input  x: [2]
output y: [1]
net = (linear(elastic {2, 3, 4}) >> relu) * 2 >> linear(1)
"""
"""The space."""
LOSSES: Mapping[tuple[int, int], float] = {
    (2, 2): 0.90, (2, 3): 0.90, (2, 4): 0.66,
    (3, 2): 0.90, (3, 3): 0.66, (3, 4): 0.30,
    (4, 2): 0.60, (4, 3): 0.30, (4, 4): 0.10,
}  # fmt: skip
"""By the units of the two layers."""
SIZES = (("2",), ("3",), ("4",))


def open_toy(table: DecisionTable, path: Path | None) -> Benchmark:
    """The benchmark for a space of two sizes among 2, 3 and 4; it reads no file."""
    read = fitted(table, NAME, (SIZES, SIZES))

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        first, second = map(int, read(arch))
        loss = LOSSES[first, second]
        return Measured({"reward": 1 - loss, "loss": loss})

    measures = (Measure("reward", "max", "", "1 - loss"), Measure("loss", "min"))
    return Benchmark(NAME, table, measures, lookup, source="the authors' notebook")
