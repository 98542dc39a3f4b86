"""NAS-Bench-101 (Ying et al., ICML 2019): a model spec, an upper triangular matrix and an operation for each vertex.

``{"matrix": [[0, 1, …], …], "ops": ["input", "conv3x3-bn-relu", …, "output"]}``, or ``ModelSpec(matrix=…, ops=…)``. The
benchmark removes what is on no path from input to output before it builds a cell; so does reading, and what
is written has no such vertex. Where fewer vertices are left than the space has, its last ones before the
output are empty.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spacec.ir.conditions import ALWAYS
from spacec.space.activity import walk
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision
from spacec.space.formats.model import (
    LONGEST,
    Bound,
    Format,
    Names,
    candidate,
    literal,
    misfit,
    reject,
    unsaid,
)
from spacec.space.subject import Subject
from spacec.space.values import Value

NAME = "nas-bench-101"
INPUT, OUTPUT = "input", "output"

OPERATIONS = {
    "conv3x3-bn-relu": ("conv3", "conv_bn_relu(3)"),
    "conv1x1-bn-relu": ("conv1", "conv_bn_relu(1)"),
    "maxpool3x3": ("pool", "max_pool(3)"),
}

Matrix = list[list[int]]


@dataclass(frozen=True)
class Cell:
    """``picks[v - 1]`` takes the vertices that feed vertex ``v``, ``ops[v - 1]`` is what vertex ``v`` does."""

    subject: Subject
    picks: tuple[Decision, ...]
    ops: tuple[Decision, ...]
    names: tuple[tuple[str, ...], ...]

    @property
    def vertices(self) -> int:
        return len(self.picks) + 1

    def values(self, matrix: Matrix, ops: Sequence[str], text: str) -> dict[str, Value]:
        """The decisions of a spec."""
        size = len(matrix)
        if size > self.vertices:
            reject(text, f"the spec has {size} vertices, the cell of the space {self.vertices}")
        if len(ops) != size or ops[0] != INPUT or ops[-1] != OUTPUT:
            reject(text, f"a spec of {size} vertices has {size} operations, from {INPUT!r} to {OUTPUT!r}", "ops")
        kept = on_paths(matrix)
        if not kept:
            reject(text, "no path leads from the input to the output")
        place = {v: i for i, v in enumerate(sorted(kept))} | {size - 1: self.vertices - 1}
        picked: dict[int, list[int]] = {v: [] for v in range(1, self.vertices)}
        told: dict[int, str] = {}
        for v in sorted(kept):
            told[place[v]] = ops[v]
            if v:
                picked[place[v]] = [place[u] for u in range(v) if matrix[u][v] and u in kept]
        asked = {d.id: v for v, d in enumerate(self.ops, 1)}

        def choose(decision: Decision) -> Value:
            if decision in self.picks:
                return tuple(picked[self.picks.index(decision) + 1])
            v = asked[decision.id]
            return candidate(self.names[v - 1], told.get(v, self.names[v - 1][0]), text, decision)

        return walk(self.subject.table, choose)

    def spec(self, arch: Architecture) -> tuple[Matrix, list[str]]:
        """The matrix and the operations of an architecture, without what is on no path."""
        size = self.vertices
        matrix = [[0] * size for _ in range(size)]
        for v, pick in enumerate(self.picks, 1):
            value = arch[pick.id]
            for u in value if isinstance(value, tuple) else ():
                matrix[u][v] = 1
        kept = sorted(on_paths(matrix))
        if not kept:
            raise unsaid(NAME, "no path leads from its input to its output")
        ops = [INPUT]
        for v in kept[1:-1]:
            value = arch[self.ops[v - 1].id]
            ops += [self.names[v - 1][value]] if isinstance(value, int) else []
        return [[matrix[u][v] for v in kept] for u in kept], [*ops, OUTPUT]


def cell_of(subject: Subject, name: str) -> Cell:
    """The cell of a space of this shape; E0631 for any other."""
    table = subject.table
    picks = tuple(d for d in table.decisions if d.kind == "subset")
    ops = tuple(d for d in table.decisions if d.kind == "op")
    right = (
        len(picks) >= 2 and len(ops) == len(picks) - 1 == len(table.decisions) - len(picks) and len(table.owners) == 1
    )
    shapes = [(d.low, d.high, d.size, d.active == ALWAYS) for d in picks]
    if not right or shapes != [(0, v, v, True) for v in range(1, len(picks) + 1)]:
        note = "vertex v picks any of the v vertices before it, and all but the last choose an operation"
        raise misfit(name, table, note)
    return Cell(subject, picks, ops, tuple(Names(name, OPERATIONS).of(table, d) for d in ops))


def on_paths(matrix: Sequence[Sequence[int]]) -> frozenset[int]:
    """The vertices on a path from the first to the last; empty where there is no path."""
    last = len(matrix) - 1
    reached, leading = {0}, {last}
    for v in range(1, last + 1):
        if any(matrix[u][v] and u in reached for u in range(v)):
            reached.add(v)
    for v in range(last - 1, -1, -1):
        if any(matrix[v][t] and t in leading for t in range(v + 1, last + 1)):
            leading.add(v)
    return frozenset(reached & leading) if last in reached else frozenset()


def bind(subject: Subject) -> Bound:
    """One cell of NAS-Bench-101's shape."""
    cell = cell_of(subject, NAME)

    def read(text: str) -> Mapping[str, Value]:
        given = _spec(text)
        return cell.values(matrix_of(given.get("matrix"), text), _texts(given.get("ops"), text), text)

    def write(arch: Architecture) -> str:
        matrix, ops = cell.spec(arch)
        return json.dumps({"matrix": matrix, "ops": ops})

    return Bound(read, write)


def matrix_of(given: Any, text: str) -> Matrix:
    """A square upper triangular matrix of zeros and ones; E0632 for anything else."""
    rows = [list(row) for row in given if isinstance(row, list | tuple)] if isinstance(given, list | tuple) else []
    right = len(rows) >= 2 and all(len(row) == len(rows) for row in rows)
    if not right or any(type(x) is not int or x not in (0, 1) for row in rows for x in row):
        reject(text, "the matrix is not square, or not of zeros and ones", "matrix")
    if any(rows[u][v] for v in range(len(rows)) for u in range(v, len(rows))):
        reject(text, "the matrix is not upper triangular: a vertex feeds later ones only", "matrix")
    return rows


def _texts(given: Any, text: str) -> list[str]:
    if not isinstance(given, list | tuple) or not all(isinstance(op, str) for op in given):
        reject(text, "the operations are no list of texts", "ops")
    return list(given)


def _spec(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        given = literal(text, NAME)
        return given if isinstance(given, dict) else {}
    try:
        call = ast.parse(text.strip()[:LONGEST], mode="eval").body
        if not isinstance(call, ast.Call):
            reject(text, f"this is no {NAME!r} spec")
        named = {word.arg or "": ast.literal_eval(word.value) for word in call.keywords}
        return {**dict(zip(("matrix", "ops"), map(ast.literal_eval, call.args), strict=False)), **named}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        reject(text, f"this is no {NAME!r} spec")


def _looks(text: str) -> bool:
    return text.startswith("ModelSpec(") or (text.startswith("{") and "matrix" in text and "ops" in text)


FORMAT = Format(NAME, "NAS-Bench-101 model specs: a matrix and operations", _looks, bind)
