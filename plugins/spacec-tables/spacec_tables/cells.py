"""Cells of four vertices whose six edges each choose an operation: NAS-Bench-201 and TransNAS-Bench-101's micro space.

The order of the edges is the one of the shipped grammars and of NAS-Bench-201's strings: by head, then by tail,
0→1, 0→2, 1→2, 0→3, 1→3, 2→3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from spacec.space.benchmark import Names

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_OP = re.compile(r"([A-Za-z0-9_]+)~(\d)")


def six(ops: Sequence[Names]) -> tuple[tuple[Names, ...], ...]:
    """The questions of a cell."""
    return (tuple(ops),) * len(EDGES)


def string_of_ops(ops: Sequence[str]) -> str:
    """The benchmark's own string of six operations."""
    a, b, c, d, e, f = ops
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def ops_of_string(text: str, ops: Sequence[str]) -> tuple[str, ...]:
    """The six operations of ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``; the terms of a node may stand in any order.

    Raises :class:`ValueError` for a text that is none.
    """
    found: dict[tuple[int, int], str] = {}
    for head, node in enumerate(text.split("+"), 1):
        terms = [_OP.fullmatch(term) for term in node.strip("|").split("|")]
        found.update({(int(t[2]), head): t[1] for t in terms if t is not None and t[1] in ops})
    if set(found) != set(EDGES) or text.count("~") != len(EDGES):
        raise ValueError(f"'{text}' is not of the form |op~0|+|op~0|op~1|+|op~0|op~1|op~2| with ops {', '.join(ops)}")
    return tuple(found[edge] for edge in EDGES)
