"""NAS-Bench-201 (Dong & Yang, ICLR 2020): ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

An operation stands with the node that it reads. The index of an architecture (0 to 15,624) is its place in
the benchmark's own shuffled list; no formula gives it, so a table that has it must be read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from spacec.space.architecture import Architecture
from spacec.space.formats.cells import EDGES, complete_cell
from spacec.space.formats.model import Bound, Format, Names, candidate, reject
from spacec.space.subject import Subject
from spacec.space.values import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spacec.space.batch import Batch

NAME = "nas-bench-201"

OPERATIONS = {
    "none": ("zero",),
    "skip_connect": ("skip", "identity"),
    "nor_conv_1x1": ("conv1", "conv_1x1"),
    "nor_conv_3x3": ("conv3", "conv_3x3"),
    "avg_pool_3x3": ("pool", "avg_pool(3)"),
}

_CELL = re.compile(r"\|([^|~+]+)~0\|\+\|([^|~+]+)~0\|([^|~+]+)~1\|\+\|([^|~+]+)~0\|([^|~+]+)~1\|([^|~+]+)~2\|")


def bind(subject: Subject) -> Bound:
    """A complete cell of four nodes whose candidates are among the five operations."""
    decisions = complete_cell(subject, NAME)
    names = [Names(NAME, OPERATIONS).of(subject.table, d) for d in decisions]

    def read(text: str) -> dict[str, Value]:
        told = operations(text)
        return {d.id: candidate(n, op, text, d) for d, n, op in zip(decisions, names, told, strict=True)}

    def write(arch: Architecture) -> str:
        told = [n[index] for n, d in zip(names, decisions, strict=True) if isinstance(index := arch[d.id], int)]
        return text_of(told)

    return Bound(read, write)


def operations(text: str) -> tuple[str, ...]:
    """The six operations of a string, in the order in which they stand; E0632 for any other text."""
    found = _CELL.fullmatch(text.strip())
    if found is None:
        reject(text, f"this is no {NAME!r} string", note="|op~0|+|op~0|op~1|+|op~0|op~1|op~2| is one")
    return tuple(part.strip() for part in found.groups())


def text_of(told: list[str]) -> str:
    """The string of six operations."""
    parts = [f"{op}~{source}" for op, (source, _) in zip(told, EDGES, strict=True)]
    return f"|{parts[0]}|+|{'|'.join(parts[1:3])}|+|{'|'.join(parts[3:])}|"


def unique_string(text: str) -> str:
    """The string class of a cell, as the benchmark's authors tell isomorphic cells apart: 6,466 of the 15,625.

    Per node the sorted terms of its edges, joined by ``+``: ``#`` where the operation is none or the node it reads is
    ``#``, what that node is where the operation is skip_connect, else ``(node)@op``. It merges networks with
    different weights (a sum of two equal convolutions of one node keeps both terms, but not which is which), and
    keeps apart some that are the same function (a node of two dead edges is ``#+#``, which is not ``#``). Source:
    Dong & Yang, NAS-Bench-201, section 2.1, and the released API. Raises :class:`SpacecError` (E0632).
    """
    nodes, told = ["0"], operations(text)
    for node in range(1, 4):
        terms = []
        for op, (source, target) in zip(told, EDGES, strict=True):
            if target != node:
                continue
            dead = op == "none" or nodes[source] == "#"
            terms.append("#" if dead else nodes[source] if op == "skip_connect" else f"({nodes[source]})@{op}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]


DVAE_WIRES = (
    (0, 1),
    (1, 2),
    (2, 3),
    (1, 4),
    (3, 5),
    (4, 6),
    (5, 6),
    (1, 7),
    (3, 8),
    (6, 9),
    (7, 10),
    (8, 10),
    (9, 10),
    (10, 11),
)
"""E2NAS' fixed graph of twelve vertices: 0 the start, 1, 3, 6 and 10 the nodes, 11 the end, the others operations."""

_DVAE_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_DVAE_PLACES = (2, 4, 5, 7, 8, 9)
_DVAE_FIXED = {0: 5, 1: 6, 3: 6, 6: 6, 10: 6, 11: 7}


def dvae_types(subject: Subject, batch: Batch) -> NDArray[Any]:
    """E2NAS' input to its D-VAE: the type of each of the twelve vertices of :data:`DVAE_WIRES`, int64 [n, 12].

    Types 0 to 4 are none, skip, 1x1, 3x3 and average pooling, 5 the start, 6 a node (a sum), 7 the end. Source: the
    released code of Li et al., E2NAS. Raises :class:`SpacecError` (E0631) for a space of another shape.
    """
    import numpy as np

    decisions = complete_cell(subject, NAME)
    types = np.empty((len(batch), 12), dtype=np.int64)
    for place, kind in _DVAE_FIXED.items():
        types[:, place] = kind
    for column, (place, decision) in enumerate(zip(_DVAE_PLACES, decisions, strict=True)):
        names = Names(NAME, OPERATIONS).of(subject.table, decision)
        number = np.array([_DVAE_OPERATIONS.index(name) for name in names])
        types[:, place] = number[batch.codes[:, column]]
    return types


FORMAT = Format(NAME, "NAS-Bench-201 and NATS-Bench topology: |op~0|+|op~0|op~1|+…", lambda t: t.startswith("|"), bind)
