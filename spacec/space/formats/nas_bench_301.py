"""NAS-Bench-301 (Siems et al., 2020): the ConfigSpace dictionary of a DARTS genotype.

``NetworkSelectorDatasetInfo:darts:edge_normal_3`` is the operation on an edge, edges numbered from 0 along the nodes'
inputs; ``…:inputs_node_normal_3`` are the two inputs of node 3, 4 or 5, as ``0_2``. Its genotypes are of the format
``darts``.
"""

from __future__ import annotations

import json

from spacec.space.architecture import Architecture
from spacec.space.formats.cells import CELLS, darts_cells
from spacec.space.formats.model import Bound, Format, literal, reject
from spacec.space.subject import Subject
from spacec.space.values import Value

NAME = "nas-bench-301"
PREFIX = "NetworkSelectorDatasetInfo:darts:"

_FIRST = (0, 2, 5, 9)
"""Number of the first edge into each node."""


def bind(subject: Subject) -> Bound:
    """Two cells of DARTS' shape."""
    cells = darts_cells(subject, NAME)

    def read(text: str) -> dict[str, Value]:
        given = literal(text, NAME)
        if not isinstance(given, dict):
            reject(text, f"this is no {NAME!r} dictionary")
        found: dict[str, Value] = {}
        for cell in CELLS:
            for node, first in enumerate(_FIRST):
                keys = [f"{PREFIX}edge_{cell}_{first + i}" for i in range(node + 2)]
                pairs = [(str(given[key]), i) for i, key in enumerate(keys) if key in given]
                if len(pairs) != 2:
                    reject(
                        text,
                        f"node {node + 2} of the {cell} cell has {len(pairs)} edges, not two",
                        f"edge_{cell}_{first}",
                    )
                stated = given.get(f"{PREFIX}inputs_node_{cell}_{node + 2}")
                if stated is not None and stated != "_".join(str(i) for _, i in pairs):
                    reject(
                        text, f"inputs_node_{cell}_{node + 2} is {stated!r}, and the edges say otherwise", str(stated)
                    )
                told = cells.values(cell, node, pairs)
                if isinstance(told, str):
                    reject(text, told)
                found.update(told)
        return found

    def write(arch: Architecture) -> str:
        told: dict[str, str] = {}
        for cell in CELLS:
            pairs = cells.pairs(arch, cell)
            for node, first in enumerate(_FIRST):
                own = pairs[2 * node : 2 * node + 2]
                told.update({f"{PREFIX}edge_{cell}_{first + i}": op for op, i in own})
                if node:
                    told[f"{PREFIX}inputs_node_{cell}_{node + 2}"] = "_".join(str(i) for _, i in own)
        return json.dumps(told)

    return Bound(read, write)


FORMAT = Format(NAME, "NAS-Bench-301's ConfigSpace dictionaries", lambda text: PREFIX in text, bind)
