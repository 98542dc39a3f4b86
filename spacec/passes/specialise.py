"""Specialise a flat graph to the candidates that run: what cannot run is gone, and every term that is left is present.

The first pass for a mask; those after it need not think about absence. Assumes that the mask leaves no output absent
(:func:`spacec.lower.plan.make_plan` refuses such masks). Switches are left as they are: what they take is read from
the mask's sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatMeet, FlatNode, FlatOp, sources_of, with_sources
from spacec.ir.ops import DROPS_ABSENT
from spacec.passes.base import Builder, roots


class UnfitError(Exception):
    """The graph cannot be specialised to these candidates."""


@dataclass(frozen=True)
class Specialise:
    """``running``: for each choice, in the graph's order, the candidates that run.

    :meth:`apply` raises :class:`UnfitError` where a meeting or a concat lacks one of its terms.
    """

    name: ClassVar[str] = "specialise"
    running: tuple[tuple[int, ...], ...] = ()

    def apply(self, flat: FlatGraph, keep: frozenset[str] = frozenset()) -> FlatGraph:
        """The graph of what is present and may run."""
        chooses = (i for i, n in enumerate(flat.nodes) if isinstance(n, FlatChoose))
        running = dict(zip(chooses, self.running, strict=True))
        present = _present(flat, running)
        builder = Builder()
        needed = _needed(flat, running, present)
        for index, node in enumerate(flat.nodes):
            if needed[index] or isinstance(node, FlatInput):
                now = with_sources(_without_absent(node, running.get(index, ()), present), builder.place.__getitem__)
                builder.place[index] = builder.add(now)
        return builder.graph(flat)


def _sources(node: FlatNode, running: tuple[int, ...]) -> tuple[int, ...]:
    if not isinstance(node, FlatChoose):
        return sources_of(node)
    chosen = tuple(a for k in running if (a := node.alternatives[k]) is not None)
    return chosen if node.bypass is None else (*chosen, node.bypass)


def _present(flat: FlatGraph, running: dict[int, tuple[int, ...]]) -> list[bool]:
    present: list[bool] = []
    for index, node in enumerate(flat.nodes):
        here = [present[s] for s in _sources(node, running.get(index, ()))]
        match node:
            case FlatInput():
                present.append(True)
            case FlatOp() if node.spec.name not in DROPS_ABSENT:
                present.append(all(here))
            case FlatChoose(bypass=int()):
                present.append(any(here[:-1]))
            case _:
                present.append(any(here))
    return present


def _needed(flat: FlatGraph, running: dict[int, tuple[int, ...]], present: list[bool]) -> list[bool]:
    needed = [False] * len(flat.nodes)
    for index in roots(flat):
        needed[index] = True
    for index in range(len(flat.nodes) - 1, -1, -1):
        if needed[index]:
            for source in _sources(flat.nodes[index], running.get(index, ())):
                needed[source] |= present[source]
    return needed


def _without_absent(node: FlatNode, running: tuple[int, ...], present: list[bool]) -> FlatNode:
    match node:
        case FlatChoose():
            kept = (
                a if a is not None and k in running and present[a] else None for k, a in enumerate(node.alternatives)
            )
            return replace(node, alternatives=tuple(kept))
        case FlatOp() if not all(present[i] for i in node.inputs):
            if node.spec.name != "sum":
                raise UnfitError("a concat without one of its terms")
            return replace(node, inputs=tuple(i for i in node.inputs if present[i]))
        case FlatMeet() if not all(present[i] for i in node.sources):
            raise UnfitError("a meeting without one of its calls")
    return node
