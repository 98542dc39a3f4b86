"""NNI (Microsoft, Neural Network Intelligence): the JSON of an exported architecture, a choice for each label.

- DARTS: ``normal/op_2_0`` is an operation, ``normal/input_2_0`` the input that it reads (a number, or a list of one),
  for nodes 2 to 5.
- NAS-Bench-201: ``cell/0_1`` is the operation from node 0 to node 1 (convolutions are ``conv_1x1``, ``conv_3x3``).
- Any other space: a label is a decision's id, its choice the candidate's label, of a pick the list of elements.

Entries that are no decision of the space (``width``, ``depth``) are read over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spacec.diagnostics.model import SpacecError
from spacec.space.activity import walk
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision
from spacec.space.formats import nas_bench_201
from spacec.space.formats.cells import CELLS, EDGES, complete_cell, darts_cells
from spacec.space.formats.model import Bound, Format, Names, candidate, reject
from spacec.space.subject import Subject
from spacec.space.values import Value

NAME = "nni"

_HUB_201 = {"nor_conv_1x1": "conv_1x1", "nor_conv_3x3": "conv_3x3"}


def bind(subject: Subject) -> Bound:
    """The labels of NNI's hub where the space has the shape of one of its, else the decisions' ids."""
    for shape in (_darts, _nas_bench_201):
        try:
            return shape(subject)
        except SpacecError as error:
            if [d.code for d in error.diagnostics] != ["E0631"]:
                raise
    return _by_id(subject)


def _given(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        reject(text, f"this is no {NAME!r} export: it is not JSON")
    if not isinstance(found, dict):
        reject(text, f"this is no {NAME!r} export: it is no object")
    return found


def _wanted(given: Mapping[str, Any], label: str, text: str) -> Any:
    if label not in given:
        reject(text, f"the export has no choice for {label!r}")
    return given[label]


def _darts(subject: Subject) -> Bound:
    cells = darts_cells(subject, NAME)

    def read(text: str) -> dict[str, Value]:
        given = _given(text)
        found: dict[str, Value] = {}
        for cell in CELLS:
            for node in range(4):
                pairs = []
                for k in range(2):
                    source = _wanted(given, f"{cell}/input_{node + 2}_{k}", text)
                    source = source[0] if isinstance(source, list) and len(source) == 1 else source
                    if type(source) is not int:
                        reject(text, f"an operation reads one input, not {source!r}", f"{cell}/input_{node + 2}_{k}")
                    pairs.append((str(_wanted(given, f"{cell}/op_{node + 2}_{k}", text)), source))
                told = cells.values(cell, node, pairs)
                if isinstance(told, str):
                    reject(text, told, f"{cell}/op_{node + 2}_0")
                found.update(told)
        return found

    def write(arch: Architecture) -> str:
        told: dict[str, Any] = {}
        for cell in CELLS:
            for place, (op, source) in enumerate(cells.pairs(arch, cell)):
                told[f"{cell}/op_{place // 2 + 2}_{place % 2}"] = op
                told[f"{cell}/input_{place // 2 + 2}_{place % 2}"] = [source]
        return json.dumps(told)

    return Bound(read, write)


def _nas_bench_201(subject: Subject) -> Bound:
    decisions = complete_cell(subject, NAME)
    names = [
        tuple(_HUB_201.get(n, n) for n in Names(NAME, nas_bench_201.OPERATIONS).of(subject.table, d)) for d in decisions
    ]

    def read(text: str) -> dict[str, Value]:
        given = _given(text)
        found: dict[str, Value] = {}
        for decision, own, (source, target) in zip(decisions, names, EDGES, strict=True):
            choice = _wanted(given, f"cell/{source}_{target}", text)
            found[decision.id] = candidate(own, _HUB_201.get(choice, choice), text, decision)
        return found

    def write(arch: Architecture) -> str:
        parts = zip(decisions, names, EDGES, strict=True)
        return json.dumps({f"cell/{a}_{b}": n[i] for d, n, (a, b) in parts if isinstance(i := arch[d.id], int)})

    return Bound(read, write)


def _by_id(subject: Subject) -> Bound:
    def read(text: str) -> dict[str, Value]:
        given = _given(text)
        return walk(subject.table, lambda decision: _value(decision, _wanted(given, decision.id, text), text))

    def write(arch: Architecture) -> str:
        by_id = subject.table.by_id
        told = {name: list(v) if isinstance(v, tuple) else by_id[name].labels[v] for name, v in arch.choices}
        return json.dumps(told)

    return Bound(read, write)


def _value(decision: Decision, choice: Any, text: str) -> Value:
    if decision.kind == "subset":
        right = isinstance(choice, list) and all(type(e) is int for e in choice)
        return tuple(sorted(choice)) if right else reject(text, f"{decision.id} takes a list of elements", decision.id)
    return candidate(decision.labels, str(choice), text, decision)


FORMAT = Format(NAME, "NNI exports: JSON of a choice for each label", lambda t: t.startswith("{") and ":" in t, bind)
