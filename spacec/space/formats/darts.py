"""DARTS (Liu et al., ICLR 2019): ``Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=range(2, 6), reduce=…, …)``.

Two pairs of an operation and its input for each node, in the order of nodes. A text that names the genotype
(``DARTS_V2 = Genotype(…)``) is read as well, and nodes may be grouped in lists of their own, as some projects do.
"""

from __future__ import annotations

import ast
from typing import Any

from spacec.space.architecture import Architecture
from spacec.space.formats.cells import CELLS, Pair, darts_cells
from spacec.space.formats.model import LONGEST, Bound, Format, reject
from spacec.space.subject import Subject
from spacec.space.values import Value

NAME = "darts"


def bind(subject: Subject) -> Bound:
    """Two cells of DARTS' shape."""
    cells = darts_cells(subject, NAME)

    def read(text: str) -> dict[str, Value]:
        given = _fields(text)
        found: dict[str, Value] = {}
        for cell in CELLS:
            if f"{cell}_concat" in given and _concat(given[f"{cell}_concat"]) != [2, 3, 4, 5]:
                reject(text, f"the {cell} cell of the space joins its nodes 2 to 5", f"{cell}_concat")
            pairs = _pairs(text, cell, given.get(cell))
            for node in range(4):
                told = cells.values(cell, node, pairs[2 * node : 2 * node + 2])
                if isinstance(told, str):
                    reject(text, told, cell)
                found.update(told)
        return found

    def write(arch: Architecture) -> str:
        parts = [f"{cell}={cells.pairs(arch, cell)!r}, {cell}_concat=range(2, 6)" for cell in CELLS]
        return f"Genotype({', '.join(parts)})"

    return Bound(read, write)


def _fields(text: str) -> dict[str, Any]:
    """The fields of the one call in the text; ``range(a, b)`` stays as the tuple of both."""
    if len(text) > LONGEST:
        reject(text[:40], f"this is no genotype: it has {len(text):,} characters")
    try:
        body = ast.parse(text.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        reject(text, "this is no genotype: it is not Python")
    statement = body[0] if len(body) == 1 else None
    call = statement.value if isinstance(statement, ast.Assign | ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "Genotype":
        reject(
            text,
            "this is no genotype",
            note="Genotype(normal=[…], normal_concat=…, reduce=[…], reduce_concat=…) is one",
        )
    given = {word.arg or "": word.value for word in call.keywords}
    given.update(zip(("normal", "normal_concat", "reduce", "reduce_concat"), call.args, strict=False))
    try:
        return {name: _value(node) for name, node in given.items()}
    except (ValueError, TypeError, RecursionError):
        reject(text, "a genotype holds lists of pairs, and what its cells join")


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        low, high = (ast.literal_eval(a) for a in node.args)
        return range(low, min(high, low + 64))
    return ast.literal_eval(node)


def _concat(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple | range) else []


def _pairs(text: str, cell: str, given: Any) -> list[Pair]:
    """Eight pairs; nodes in lists of their own are joined."""
    items = list(given) if isinstance(given, list | tuple) else []
    if len(items) == 4 and all(
        isinstance(i, list | tuple) and len(i) == 2 and not isinstance(i[0], str) for i in items
    ):
        items = [pair for node in items for pair in node]
    right = all(isinstance(i, list | tuple) and list(map(type, i)) == [str, int] for i in items)
    if len(items) != 8 or not right:
        reject(text, f"{cell} is no list of eight pairs of an operation and its input", cell)
    return [(pair[0], pair[1]) for pair in items]


FORMAT = Format(NAME, "DARTS genotypes: Genotype(normal=[…], …)", lambda text: "Genotype(" in text, bind)
