"""To which cell, edge and operation of a space a weight belongs, so that what is measured of weights adds up by place.

The place is read from the graph: a layer belongs to the innermost choice of which it is inside a candidate, that is,
which it serves and on which its existence depends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from spacec.ir.conditions import Has, Is, conjuncts
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatNode, FlatOp, sources_of
from spacec.space.decisions import Slot

NET = "net"
FIXED = "fixed"
SHARED = "shared"


@dataclass(frozen=True)
class Owner:
    """``cell``: the copy that the choice stands in (``normal_0``), ``net`` for the network itself. ``edge``: the choice
    within it (``pick_0_edge_1``). ``op``: its candidate's label, several joined by `` | ``.

    Edge and op are ``fixed`` outside all choices, and ``shared`` where several places use the weight.
    """

    cell: str
    edge: str = FIXED
    op: str = FIXED


def owners(flat: FlatGraph, slots: Sequence[Slot], parameters: Iterable[str]) -> dict[str, Owner]:
    """The owner of each parameter or buffer of the supernet, by its name there."""
    places = _places(flat, {slot.id: slot for slot in slots})
    cells = {instance.rpartition(".")[0] for instance in _instances(flat)} - {""}
    layers: dict[str, Owner] = {}
    for index, node in enumerate(flat.nodes):
        if isinstance(node, FlatOp) and node.key:
            found = _owner(places.get(index), node.key, cells)
            layers[node.key] = _joined(layers.get(node.key, found), found)
    return {name: layers[_longest(name, layers)] for name in parameters}


def _instances(flat: FlatGraph) -> Iterator[str]:
    return (node.instance for node in flat.nodes if isinstance(node, FlatChoose))


Place = tuple[str, str]
"""Instance of a choice, and label of its candidate."""


def _places(flat: FlatGraph, slots: Mapping[str, Slot]) -> dict[int, Place]:
    """Node to the innermost place it is inside of; inner choices come before those they are inside of."""
    found: dict[int, Place] = {}
    for node in flat.nodes:
        if not isinstance(node, FlatChoose) or node.slot not in slots:
            continue
        slot = slots[node.slot]
        for index, candidates in _inside(flat, node, slot).items():
            found.setdefault(index, (node.instance, " | ".join(slot.labels[k] for k in candidates)))
    return found


def _inside(flat: FlatGraph, choice: FlatChoose, slot: Slot) -> dict[int, list[int]]:
    """Node to the candidates of ``choice`` that it serves, for nodes that are there for this choice alone."""
    found: dict[int, list[int]] = {}
    for k, start in enumerate(choice.alternatives):
        waiting = [] if start is None else [start]
        while waiting:
            index = waiting.pop()
            node = flat.nodes[index]
            if k in found.get(index, ()) or not _depends(node, choice, slot):
                continue
            found.setdefault(index, []).append(k)
            waiting.extend(sources_of(node))
    return found


def _depends(node: FlatNode, choice: FlatChoose, slot: Slot) -> bool:
    """Whether the node is there for some of the choice's candidates only."""
    if isinstance(node, FlatInput) or (isinstance(node, FlatChoose) and node.slot == slot.id):
        return False
    parts = conjuncts(node.guard)
    if slot.decision is None:
        return any(isinstance(p, Has) and (p.decision, p.element) == (slot.pick, slot.element) for p in parts)
    own = {p for p in parts if isinstance(p, Is) and p.decision == slot.decision}
    return bool(own - conjuncts(choice.guard))


def _owner(place: Place | None, key: str, cells: Iterable[str]) -> Owner:
    if place is None:
        return Owner(max((c for c in cells if key.startswith(c + ".")), key=len, default=NET))
    instance, label = place
    cell, _, edge = instance.rpartition(".")
    return Owner(cell or NET, edge, label)


def _joined(a: Owner, b: Owner) -> Owner:
    """The owner of a layer with two uses."""
    return Owner(
        a.cell if a.cell == b.cell else SHARED,
        a.edge if (a.cell, a.edge) == (b.cell, b.edge) else SHARED,
        a.op if a.op == b.op else SHARED,
    )


def _longest(name: str, layers: Mapping[str, Owner]) -> str:
    """The layer that a parameter is of: its name begins with the layer's key."""
    while name and name not in layers:
        name = name.rpartition(".")[0]
    return name
