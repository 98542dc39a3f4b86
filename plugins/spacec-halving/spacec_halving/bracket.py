"""A bracket of successive halving: so many architectures on the lowest rung, the best of each rung on the next.

The inner loop of Hyperband (Li et al., JMLR 2018, Algorithm 1, lines 5 to 10): with n configurations, the i-th rung has
n_i = floor(n eta^-i) of them, and top_k keeps floor(n_i / eta).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any


@dataclass(frozen=True)
class Row:
    """``n`` trials of ``epochs`` in all each: a row of a bracket's table."""

    n: int
    epochs: int


def rows(n: int, epochs: Sequence[int], eta: int) -> tuple[Row, ...]:
    """The table of a bracket that starts ``n`` configurations; rungs that nobody reaches are left out."""
    found = tuple(Row(n // eta**i, length) for i, length in enumerate(epochs))
    return tuple(row for row in found if row.n > 0)


def hyperband(epochs: Sequence[int], eta: int, sizes: str) -> tuple[tuple[Row, ...], ...]:
    """The brackets s = s_max, …, 0 of one round of Hyperband over rungs of ``epochs``, s_max + 1 of them.

    ``sizes``: ``"algorithm"`` takes n = ceil((s_max + 1) eta^s / (s + 1)), which is Algorithm 1's line 3 with
    B = (s_max + 1) R; ``"table"`` takes floor((s_max + 1) / (s + 1)) eta^s, from which the paper's Table 1 and the
    authors' code come.
    """
    most = len(epochs)
    found = []
    for s in reversed(range(most)):
        n = most // (s + 1) * eta**s if sizes == "table" else ceil(most * eta**s / (s + 1))
        found.append(rows(n, epochs[most - 1 - s :], eta))
    return tuple(found)


def halved(n: int, eta: int, budget: int) -> tuple[Row, ...]:
    """The rungs of Jamieson and Talwalkar's algorithm (AISTATS 2016, Figure 3): n arms under a budget B in all.

    On rung k, of ceil(log_eta n), each of S_k trains for r_k = floor(B / (|S_k| ceil(log_eta n))) more epochs; so the
    epochs in all are r_0 + … + r_k. A rung on which r_k is 0 is left out.
    """
    count = next(k for k in range(1, n + 1) if eta**k >= n)
    found, total, alive = [], 0, n
    for _ in range(count):
        more = budget // (alive * count)
        total += more
        if more:
            found.append(Row(alive, total))
        alive //= eta
        if not alive:
            break
    return tuple(found)


@dataclass(frozen=True)
class Entrant:
    """An architecture on a rung: its text, the trial it came from (``None`` on the lowest) and its loss there."""

    text: str
    number: int | None
    loss: float | None = None


@dataclass
class Bracket:
    """A bracket under way. ``entrants`` wait for their trial on this rung; on the lowest they are drawn when asked."""

    table: tuple[Row, ...]
    rung: int = 0
    entrants: list[Entrant] = field(default_factory=list)
    asked: int = 0
    told: list[Entrant] = field(default_factory=list)
    size: int = 0
    """Trials of this rung: fewer than the table's where too many failed before."""
    done: bool = False

    def __post_init__(self) -> None:
        self.size = self.size or self.table[0].n

    @property
    def ready(self) -> bool:
        """Whether a trial can be asked for without the results that are awaited."""
        return not self.done and self.asked < self.size

    @property
    def epochs(self) -> int:
        return self.table[self.rung].epochs

    @property
    def last(self) -> bool:
        """Whether nobody goes on from this rung."""
        return self.rung == len(self.table) - 1

    def take(self, told: Entrant) -> None:
        """The result of a trial of this rung; the last one of the rung decides who goes on."""
        self.told.append(told)
        if len(self.told) < self.size:
            return
        ranked = sorted((e for e in self.told if e.loss is not None), key=lambda e: (e.loss, e.number))
        best = [] if self.last else ranked[: self.table[self.rung + 1].n]
        self.done = not best
        if best:
            self.rung += 1
            self.entrants, self.asked, self.told, self.size = best, 0, [], len(best)

    def state(self) -> dict[str, Any]:
        """Plain data, from which :func:`bracket_of` makes it again."""
        return {
            "table": [(row.n, row.epochs) for row in self.table],
            "entrants": [(e.text, e.number, e.loss) for e in self.entrants],
            "told": [(e.text, e.number, e.loss) for e in self.told],
            **{name: getattr(self, name) for name in ("rung", "asked", "size", "done")},
        }


def bracket_of(state: Mapping[str, Any]) -> Bracket:
    """A bracket from its :meth:`Bracket.state`."""
    return Bracket(
        tuple(Row(*row) for row in state["table"]),
        state["rung"],
        [Entrant(*e) for e in state["entrants"]],
        state["asked"],
        [Entrant(*e) for e in state["told"]],
        state["size"],
        state["done"],
    )
