"""What SUPERNET.md measures, row by row. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Kind = Literal["tune", "times", "memory", "second", "growth", "paths"]
BY_HAND = "by-hand"
"""The hand-written peer, beside the forms of spacec.lower.bench.forms; and ``by-hand-last``."""
CELLS, CANDIDATES = (4, 8, 16, 32, 64), (2, 4, 8, 16)
FORMS = ("plain", "plain-last", "eager", "fast", "launches")
COMPILED = ("plain", "plain-last", "compiled")
"""Apart from the others: a row that takes minutes to compile."""


@dataclass(frozen=True)
class Row:
    """A process of its own with a record of its own. ``peer``: the hand-written supernet takes turns with the forms.

    ``rounds``: of passes; seconds of measuring for a schedule; architectures that are sampled.
    """

    key: str
    kind: Kind
    space: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    batch: int = 16
    rounds: int = 5
    forms: tuple[str, ...] = FORMS
    peer: bool = False
    tuned: str = ""
    """The key of the row whose schedule the optimised form runs by."""

    def settings(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name not in ("key", "kind")}


@dataclass(frozen=True)
class Case:
    """A space as it is measured: its times, and its memory."""

    name: str
    title: str
    space: str
    batch: int
    rounds: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    peer: bool = False
    budget: int = 40
    """Seconds in which the schedule of the optimised form is found."""
    tuned: str = ""
    """The case whose schedule it takes instead; kernels are those of the nearest batch."""

    def tune(self) -> Row | None:
        """The schedule, unless it is another case's."""
        shared = (self.space, self.parameters, self.sizes, self.batch, self.budget, ("fast",))
        return None if self.tuned else Row(f"{self.name}.tune", "tune", *shared)

    def rows(self) -> tuple[Row, Row, Row]:
        """Times, times of generated code, memory."""
        shared = (self.space, self.parameters, self.sizes, self.batch, self.rounds)
        times = Row(f"{self.name}.times", "times", *shared, tuned=f"{self.tuned or self.name}.tune")
        return (
            replace(times, peer=self.peer),
            replace(times, key=f"{self.name}.compiled", forms=COMPILED),
            replace(times, key=f"{self.name}.memory", kind="memory", forms=(*FORMS, COMPILED[-1]), peer=self.peer),
        )


CASES = (
    Case("darts.64", "DARTS, C = 16, 8 cells, batch 64", "darts", 64, 3, tuned="darts.16"),
    Case("darts.16", "DARTS, C = 16, 8 cells, batch 16", "darts", 16, 5, peer=True, budget=90),
    Case("nas_bench_201.16", "NAS-Bench-201, C = 16, 5 cells a stage, batch 16", "nas_bench_201", 16, 5),
    Case("clearer.2", "CLEARER, width 32, images of 64 x 64, batch 2", "clearer", 2, 5, sizes={"H": 8, "W": 8}),
    Case("cream.4", "Cream, images of 96 x 96, batch 4", "cream", 4, 3, {"size": 96}),
)
SECOND = Row("second", "second", "darts", batch=16, rounds=2, forms=("plain", "fast"), tuned="darts.16.tune")
PATHS = Row("paths", "paths", "darts", batch=16, rounds=8, forms=("plain", "fast"), tuned="darts.16.tune")
GROWTH = (
    Row("growth.cells", "growth", batch=8, rounds=3, forms=("plain", "fast", "launches")),
    Row("growth.candidates", "growth", batch=8, rounds=3, forms=("plain", "fast", "launches")),
)


def stages() -> list[list[Row]]:
    """All rows, in an order in which each finds what it needs: schedules, then what wants a quiet machine, the longest
    first, and memory."""
    times, compiled, memory = (list(some) for some in zip(*(case.rows() for case in CASES), strict=True))
    return [[row for case in CASES if (row := case.tune())], [*times, SECOND, PATHS, *GROWTH, *compiled], memory]


def rows() -> list[Row]:
    """All of them."""
    return [row for stage in stages() for row in stage]


def growth_points(key: str) -> list[tuple[int, int]]:
    """(cells, candidates) of a row of growth."""
    return [(n, 4) for n in CELLS] if key == "growth.cells" else [(8, k) for k in CANDIDATES]


def growth_text(candidates: int) -> str:
    """A space of equal cells in a chain, whose edges have ``candidates`` alike."""
    edge = " | ".join(f"unit{k}: unit" for k in range(candidates))
    return f"""\
space growth(cells = 4, C = 8)
input  image:  [C, 16, 16]
output logits: [10]
default bn(affine = 0)
def unit = relu >> depthwise(3) >> conv(1) >> bn
def edge = {edge}
let cell = dag(x) {{ s = [x];  for i in 1..2 {{ s += sum(from s: edge) }};  return s[2] }}
net = cell * cells >> global_pool >> linear(10)
"""
