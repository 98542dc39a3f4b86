"""NASLib (Ruchte et al., 2020): tuples of numbers, whose meaning depends on the space.

- NAS-Bench-201: six operations, by NASLib's order of edges (1,2), (1,3), (1,4), (2,3), (2,4), (3,4); 0 skip, 1 none,
  2 3x3, 3 1x1, 4 average pooling.
- TransNAS-Bench-101's cells: six operations with the benchmark's numbers, by its own order of edges (0,1), (0,2),
  (1,2), (0,3), (1,3), (2,3), since NASLib puts them into the benchmark's string as they stand.
- TransNAS-Bench-101's macro space: the kinds of up to six modules, then zeros.
- DARTS and NAS-Bench-301: two cells of eight pairs (input, operation), operations 0 to 6 in DARTS' order without none.
- NAS-Bench-101: the matrix row by row, then the vertices' operations: 0 input, 1 output, 2 pooling, 3 1x1, 4 3x3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt

from spacec.space.architecture import Architecture
from spacec.space.formats import nas_bench_101, nas_bench_201, transnas
from spacec.space.formats.cells import CELLS, EDGES, OPERATIONS, Pair, complete_cell, darts_cells
from spacec.space.formats.model import Bound, Format, Names, candidate, integers, literal, reject, unsaid
from spacec.space.subject import Subject
from spacec.space.values import Value

NAME = "naslib"

_CELL_201 = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_ORDER_201 = [EDGES.index(edge) for edge in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))]
_OPS_101 = ("input", "output", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")


def bind(subject: Subject) -> Bound:
    """Whichever of the four shapes the space has; E0631 for a space of none."""
    table = subject.table
    kinds = {d.kind for d in table.decisions}
    if set(table.owners) == set(CELLS):
        return _darts(subject)
    if kinds == {"op", "subset"}:
        return _nas_bench_101(subject)
    if len(table.owners) > 1 and transnas.is_macro(subject):
        return _macro(subject)
    decisions = complete_cell(subject, NAME)
    if max(len(d.labels) for d in decisions) == len(transnas.OPERATIONS) < len(nas_bench_201.OPERATIONS):
        names = [Names(NAME, transnas.OPERATIONS).of(table, d) for d in decisions]
        return _cell(subject, names, ("0", "1", "2", "3"), range(6))
    names = [Names(NAME, nas_bench_201.OPERATIONS).of(table, d) for d in decisions]
    return _cell(subject, names, _CELL_201, _ORDER_201)


def _numbers(text: str, count: int | None = None) -> tuple[int, ...]:
    found = integers(literal(text, NAME))
    if found is None or (count is not None and len(found) != count):
        reject(text, f"this is no tuple of {count if count is not None else 'whole'} numbers")
    return found


def _cell(subject: Subject, names: list[tuple[str, ...]], numbered: tuple[str, ...], order: range | list[int]) -> Bound:
    decisions = subject.table.decisions

    def read(text: str) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for place, number in zip(order, _numbers(text, 6), strict=True):
            if not 0 <= number < len(numbered):
                reject(text, f"operation {number} is none of 0 to {len(numbered) - 1}", str(number))
            found[decisions[place].id] = candidate(names[place], numbered[number], text, decisions[place])
        return found

    def write(arch: Architecture) -> str:
        told = [n[i] for n, d in zip(names, decisions, strict=True) if isinstance(i := arch[d.id], int)]
        return str(tuple(numbered.index(told[place]) for place in order))

    return Bound(read, write)


def _macro(subject: Subject) -> Bound:
    modules = transnas.modules_of(subject, NAME)

    def read(text: str) -> dict[str, Value]:
        numbers = _numbers(text, 6)
        if not all(0 <= n <= 4 for n in numbers):
            reject(text, "the kinds of modules are 1 to 4, then zeros")
        digits = "".join(str(n) for n in numbers if n)
        if list(numbers) != list(transnas.padded(digits)):
            reject(text, "zeros stand after the kinds of modules, not between them")
        return modules.values(digits, text)

    return Bound(read, lambda arch: str(tuple(transnas.padded(modules.digits(arch)))))


def _darts(subject: Subject) -> Bound:
    cells = darts_cells(subject, NAME)
    numbered = tuple(OPERATIONS)[:7]

    def read(text: str) -> dict[str, Value]:
        given = literal(text, NAME)
        found: dict[str, Value] = {}
        if not isinstance(given, list | tuple) or len(given) != 2:
            reject(text, "this is no pair of cells")
        for cell, pairs in zip(CELLS, given, strict=True):
            told = [integers(p) for p in pairs] if isinstance(pairs, list | tuple) else []
            right = [(numbered[p[1]], p[0]) for p in told if p is not None and len(p) == 2 and 0 <= p[1] < 7]
            if len(told) != 8 or len(right) != 8:
                reject(text, f"the {cell} cell is no list of eight pairs (input, operation 0 to 6)")
            for node in range(4):
                values = cells.values(cell, node, right[2 * node : 2 * node + 2])
                if isinstance(values, str):
                    reject(text, values)
                found.update(values)
        return found

    def number(pair: Pair) -> tuple[int, int]:
        if pair[0] not in numbered:
            raise unsaid(NAME, f"it has no number for {pair[0]}")
        return pair[1], numbered.index(pair[0])

    return Bound(read, lambda arch: str(tuple(tuple(map(number, cells.pairs(arch, cell))) for cell in CELLS)))


def _nas_bench_101(subject: Subject) -> Bound:
    cell = nas_bench_101.cell_of(subject, NAME)

    def read(text: str) -> Mapping[str, Value]:
        numbers = _numbers(text)
        size = (isqrt(1 + 4 * len(numbers)) - 1) // 2
        if size < 2 or size * (size + 1) != len(numbers) or not all(0 <= n < 5 for n in numbers[size * size :]):
            reject(text, "this is no square matrix and then an operation (0 to 4) for each vertex")
        matrix = nas_bench_101.matrix_of([numbers[size * v : size * (v + 1)] for v in range(size)], text)
        return cell.values(matrix, [_OPS_101[n] for n in numbers[size * size :]], text)

    def write(arch: Architecture) -> str:
        matrix, ops = cell.spec(arch)
        return str((*(x for row in matrix for x in row), *map(_OPS_101.index, ops)))

    return Bound(read, write)


_LIST = re.compile(r"[\[(][\s\d,()\[\]]*[\])]")

FORMAT = Format(NAME, "NASLib tuples of its spaces: (2, 1, 3, 0, 4, 2)", lambda t: bool(_LIST.fullmatch(t)), bind)
