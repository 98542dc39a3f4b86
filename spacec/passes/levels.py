"""In which order nodes run that may run together: levels, from the inputs to the outputs.

A node's level is the longest way from it to where nothing reads on, so every node has a higher level than its readers,
and nodes of one level do not wait for each other. Ops that may draw random numbers, and nodes whose value is asked for
by name, keep their order.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatMeet, FlatNode, FlatOp, FlatSwitch, sources_of
from spacec.passes.base import roots

PURE_STATE = frozenset(("conv", "linear", "bn", "instance_norm", "layer_norm"))
"""Ops with weights or buffers that draw nothing."""


def levels(
    flat: FlatGraph, classes: Mapping[int, Hashable], align: str, keep: frozenset[str] = frozenset()
) -> list[list[int]]:
    """The nodes by level, the highest first, inputs before all others.

    ``classes`` says what might be joined with what. Where ``align`` is ``"early"``, a node rises to the highest
    level at which its sources are there and its class is met; where it is ``"same"``, only to nodes that read what it
    reads.
    """
    height = heights(flat, keep)
    if align != "late":
        _raise(flat, classes, height, align == "early")
    found: dict[int, list[int]] = {}
    for index, level in enumerate(height):
        found.setdefault(-1 if isinstance(flat.nodes[index], FlatInput) else level, []).append(index)
    inputs = found.pop(-1, [])
    return [inputs, *(found[level] for level in sorted(found, reverse=True))]


def heights(flat: FlatGraph, keep: frozenset[str] = frozenset()) -> list[int]:
    """For each node, the steps of the longest way from it to a node that nothing reads."""
    found = [0] * len(flat.nodes)
    after: int | None = None
    for index in range(len(flat.nodes) - 1, -1, -1):
        node = flat.nodes[index]
        if may_draw(node) or name_of(node) in keep:
            if after is not None:
                found[index] = max(found[index], found[after] + 1)
            after = index
        for source in sources_of(node):
            found[source] = max(found[source], found[index] + 1)
    return found


def conditions(flat: FlatGraph, keep: frozenset[str] = frozenset()) -> list[Hashable]:
    """For each node, what decides whether it runs and gets a gradient: nodes of equal conditions do so together.

    Which outputs and kept values it leads to; and where tied families run once (:class:`spacec.ir.flat.FlatMeet`), the
    calls that masks let run.
    """
    leads = _leads_to(flat, keep)
    return list(zip(leads, _there(flat), _asked_for(flat), strict=True)) if flat.entries else list(leads)


def _leads_to(flat: FlatGraph, keep: frozenset[str]) -> list[int]:
    """Outputs and kept values that need a node, as bits."""
    found = [0] * len(flat.nodes)
    for bit, index in enumerate(flat.outputs.values()):
        found[index] |= 1 << bit
    bit = len(flat.outputs)
    for index in range(len(flat.nodes) - 1, -1, -1):
        if name_of(flat.nodes[index]) in keep:
            found[index] |= 1 << bit
            bit += 1
        for source in sources_of(flat.nodes[index]):
            found[source] |= found[index]
    return found


def _there(flat: FlatGraph) -> list[frozenset[int]]:
    """Entries, and choices of what such give, on which the presence of a node's value hangs."""
    found: list[frozenset[int]] = []
    for index, node in enumerate(flat.nodes):
        told: frozenset[int] = frozenset().union(*(found[s] for s in sources_of(node)))
        match node:
            case FlatMeet():
                told = frozenset((-1 - node.entry,))
            case FlatChoose() | FlatSwitch() if told:
                told = frozenset((index,))
        found.append(told)
    return found


def _asked_for(flat: FlatGraph) -> list[frozenset[tuple[int, int]]]:
    """Calls, as a meeting and a position, one of which must run for a node to be read."""
    always = frozenset(((-1, -1),))
    found: list[frozenset[tuple[int, int]]] = [frozenset()] * len(flat.nodes)
    for index in roots(flat):
        found[index] = always
    for index in range(len(flat.nodes) - 1, -1, -1):
        node = flat.nodes[index]
        for place, source in enumerate(sources_of(node)):
            told = frozenset(((index, place),)) if isinstance(node, FlatMeet) else found[index]
            found[source] = always if always <= told else found[source] | told
    return [always if always <= told else told for told in found]


def name_of(node: FlatNode) -> str:
    """The name by which a node's value is asked for; empty where it has none."""
    match node:
        case FlatOp():
            return node.key
        case FlatChoose():
            return node.instance
        case FlatInput():
            return node.name
    return ""


def may_draw(node: FlatNode) -> bool:
    """Whether a node may draw random numbers when it runs."""
    return isinstance(node, FlatOp) and node.spec.state and node.spec.name not in PURE_STATE


def _raise(flat: FlatGraph, classes: Mapping[int, Hashable], height: list[int], early: bool) -> None:
    waiting: dict[Hashable, list[int]] = {}
    for index, what in classes.items():
        waiting.setdefault(what, []).append(index)
    for level in range(max(height, default=0), -1, -1):
        for members in waiting.values():
            here = [i for i in members if height[i] == level]
            if not here:
                continue
            read = {sources_of(flat.nodes[i]) for i in here}
            for index in members:
                sources = sources_of(flat.nodes[index])
                ready = height[index] < level and all(height[s] > level for s in sources)
                if ready and (early or sources in read):
                    height[index] = level
