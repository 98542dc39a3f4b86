"""The last step of a diagram: folding it, and putting a multi-scale one on rows, finest scale first."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod

from spacec.draw.model import Diagram, Shape, Wire
from spacec.draw.words import TIMES, Decided, size_text
from spacec.ir.dims import Symbol
from spacec.ir.graph import DecisionDecl
from spacec.ir.sizes import evaluate
from spacec.ir.types import TensorType

_FREE = 64
"""What a free size counts as where resolutions are compared."""

Folder = Callable[
    [Sequence[Shape], Sequence[Wire], Mapping[str, bool], Mapping[str, tuple[int, int]]], tuple[list[Shape], list[Wire]]
]


def area_of(type: TensorType, decided: Decided) -> float:
    """Number of positions, free sizes at 64; 0 for a vector."""

    def value(symbol: Symbol) -> int:
        known = decided(symbol.ref) if isinstance(symbol.ref, DecisionDecl) else None
        return known or max(symbol.domain or (_FREE,))

    return float(prod(evaluate(d, value) for d in type.space)) if type.space else 0.0


def gridded(
    shapes: Sequence[Shape],
    wires: Sequence[tuple[Wire, TensorType, TensorType]],
    gives: Mapping[str, Sequence[TensorType]],
    ops: Mapping[str, bool],
    decided: Decided,
    depths: Mapping[str, tuple[int, int]],
    fold: Folder,
) -> Diagram:
    """The folded diagram; on rows where a shape gives tensors of several resolutions."""
    kinds = {area_of(t, decided): t for types in reversed(list(gives.values())) for t in types if t.space}
    kinds |= {area_of(t, decided): t for _, *both in wires for t in both if t.space}
    multiple = any(len({area_of(t, decided) for t in types if t.space}) > 1 for types in gives.values())
    if not multiple:
        kept, left = fold(shapes, [wire for wire, _, _ in wires], ops, depths)
        return Diagram(tuple(kept), tuple(left))
    order = sorted(kinds, reverse=True)

    def row(type: TensorType) -> int:
        return order.index(area_of(type, decided)) if type.space else 0

    ins: dict[str, set[int]] = {}
    for wire, _, kind in wires:
        ins.setdefault(wire.head, set()).add(row(kind))
    placed = []
    for shape in shapes:
        rows = {row(t) for t in gives[shape.id]} | (set() if shape.role == "join" else ins.get(shape.id, set()))
        rows = rows or ins.get(shape.id, {0})
        placed.append(replace(shape, rows=tuple(range(min(rows), max(rows) + 1))))
    kept, left = fold(placed, [replace(wire, rows=(row(a), row(b))) for wire, a, b in wires], ops, depths)
    names = (f" {TIMES} ".join(_short(size_text(d, (), decided)) for d in kinds[area].space) for area in order)
    return Diagram(tuple(kept), tuple(left), tuple(names))


def _short(size: str) -> str:
    """``8*H`` as ``8H``."""
    return re.sub(r"(\d)\*(?=[A-Za-z])", r"\1", size)
