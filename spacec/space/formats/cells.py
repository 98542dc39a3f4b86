"""Shapes that several formats share: complete cells of four nodes, and DARTS' pairs of cells."""

from __future__ import annotations

from dataclasses import dataclass

from spacec.ir.conditions import ALWAYS, Has
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision
from spacec.space.formats.model import Names, misfit, only_ops
from spacec.space.subject import Subject
from spacec.space.values import Value

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""From and to which node the operations of a complete cell lead, in the order of their decisions."""

_READS = {(0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7)}
"""Wires between the input (0), the six operations and the output (7) of such a cell."""


def complete_cell(subject: Subject, name: str) -> tuple[Decision, ...]:
    """The six decisions of a cell of four nodes with an operation from each node to each later one, in the order of
    :data:`EDGES`; E0631 for a space that decides anything else, or is wired otherwise.
    """
    from spacec.space.encodings.wiring import wirings  # numpy comes with it

    table = subject.table
    if len(table.decisions) != 6:
        raise misfit(name, table, f"it decides six operations of one cell, this space {len(table.decisions)} things")
    only_ops(table, table.decisions, name)
    found = wirings(table, subject.graph, name, values=False)
    told = {(w.source, w.target) for w in found[0].wires if w.when == ALWAYS} if len(found) == 1 else set()
    if told != _READS or [v.decision for v in found[0].vertices[1:7]] != [d.id for d in table.decisions]:
        note = "its operations lead from each of four nodes to each later one, and these are wired otherwise"
        raise misfit(name, table, note)
    return table.decisions


@dataclass(frozen=True)
class DartsNode:
    """One node of a cell: its pick (``None`` where both inputs are taken), and the choice on each input's edge."""

    pick: Decision | None
    edges: tuple[Decision, ...]


Pair = tuple[str, int]
"""An operation, by its name in the format, and the input that it reads."""

CELLS = ("normal", "reduce")


@dataclass(frozen=True)
class DartsCells:
    """Two cells of four nodes, each of which takes two of the inputs before it, with an operation each."""

    nodes: dict[str, tuple[DartsNode, ...]]
    names: dict[str, tuple[str, ...]]
    """Per decision, the names of its candidates."""

    def pairs(self, arch: Architecture, cell: str) -> list[Pair]:
        """Two pairs for each node, by input."""
        told: list[Pair] = []
        for node in self.nodes[cell]:
            for index, edge in enumerate(node.edges):
                value = arch.get(edge.id)
                if isinstance(value, int):
                    told.append((self.names[edge.id][value], index))
        return told

    def values(self, cell: str, node: int, pairs: list[Pair]) -> dict[str, Value] | str:
        """The values that two pairs give the decisions of a node; or what is wrong with them."""
        own = self.nodes[cell][node]
        inputs = sorted(index for _, index in pairs)
        place = f"node {node + 2} of the {cell} cell"
        if len(set(inputs)) != 2:
            return f"{place} takes two different inputs, not {' and '.join(map(str, inputs))}"
        if not 0 <= inputs[0] < inputs[1] < len(own.edges):
            return f"{place} has the inputs 0 to {len(own.edges) - 1}, not {inputs[1]}"
        found: dict[str, Value] = {} if own.pick is None else {own.pick.id: tuple(inputs)}
        for op, index in pairs:
            names = self.names[own.edges[index].id]
            if op not in names:
                return f"{place} has no operation {op!r} for its input {index}: it has {', '.join(names)}"
            found[own.edges[index].id] = names.index(op)
        return found


OPERATIONS = {
    "max_pool_3x3": ("max3", "max_pool(3)"),
    "avg_pool_3x3": ("avg3", "avg_pool(3)"),
    "skip_connect": ("skip", "identity"),
    "sep_conv_3x3": ("sep3", "sep_conv(3)"),
    "sep_conv_5x5": ("sep5", "sep_conv(5)"),
    "dil_conv_3x3": ("dil3", "dil_conv(3)"),
    "dil_conv_5x5": ("dil5", "dil_conv(5)"),
    "noise": (),
}
"""DARTS' operations, and RobustDARTS' noise, with the labels that grammars have for them."""


def darts_cells(subject: Subject, name: str) -> DartsCells:
    """The cells of a space of DARTS' shape; E0631 for any other. The cells are the owners ``normal`` and ``reduce``."""
    table = subject.table
    if set(table.owners) != set(CELLS):
        raise misfit(
            name, table, f"its decisions belong to `normal` and `reduce`, not to {', '.join(table.owners[:4])}"
        )
    nodes: dict[str, tuple[DartsNode, ...]] = {}
    names: dict[str, tuple[str, ...]] = {}
    for cell in CELLS:
        rest = [d for d in table.decisions if d.owner == cell]
        found = []
        for count in range(2, 6):
            pick = rest.pop(0) if rest and rest[0].kind == "subset" else None
            edges, rest = tuple(rest[:count]), rest[count:]
            if not _is_node(pick, edges, count):
                raise misfit(
                    name, table, f"node {count} of `{cell}` does not pick two of {count} inputs, with a choice each"
                )
            found.append(DartsNode(pick, edges))
            names.update({d.id: Names(name, OPERATIONS).of(table, d) for d in edges})
        if rest:
            raise misfit(name, table, f"`{cell}` decides more than four nodes: {rest[0].id}")
        nodes[cell] = tuple(found)
    return DartsCells(nodes, names)


def _is_node(pick: Decision | None, edges: tuple[Decision, ...], count: int) -> bool:
    if len(edges) != count or any(d.kind != "op" for d in edges):
        return False
    if pick is None:
        return count == 2 and all(d.active == ALWAYS for d in edges)
    right = (pick.low, pick.high, pick.size) == (2, 2, count)
    return right and all(d.active == Has(pick.id, e) for e, d in enumerate(edges))
