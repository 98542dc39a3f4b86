"""Copies of small regions: a definition that is called thousands of times is walked once.

A region stands alone where it uses no let or tied and hands no value on: all that it holds is named by the prefix of
its activation. Its template is what :mod:`spacec.space.walk` finds in one activation, with names and conditions
relative to it. Guarantees that a copy adds what a walk over the activation would, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spacec.ir.conditions import Cond, Has, Is, both, conjuncts, rename
from spacec.ir.dims import Dim, total
from spacec.ir.graph import CallNode, DecisionDecl, Region
from spacec.ir.naming import ROOT_OWNER, joined
from spacec.space.decisions import Slot

PREFIX = "~"
"""Of the names in a template."""
LARGEST = 64
"""Decisions of a region that has a template: a large one is no copy of one but made of copies."""


@dataclass(frozen=True)
class Template:
    """What one activation of a region holds; conditions are places in ``conditions``."""

    conditions: tuple[Cond, ...]
    atoms: tuple[Cond, ...]
    made_of: tuple[tuple[int, ...] | None, ...]
    """The atoms that a condition joins; ``None`` where it is more than that."""
    asks: tuple[bool, ...]
    """Whether a condition asks for a decision of the region, and so implies that it is there."""
    decisions: tuple[tuple[str, DecisionDecl, int], ...]
    slots: tuple[Slot, ...]
    params: tuple[tuple[int, Dim], ...]
    macs: tuple[tuple[int, Dim], ...]

    @staticmethod
    def of(
        decisions: Mapping[str, tuple[DecisionDecl, str]],
        active: Mapping[str, list[Cond]],
        slots: Mapping[str, Slot],
        params: Mapping[Cond, list[Dim]],
        macs: Mapping[Cond, list[Dim]],
    ) -> Template:
        """The template out of what a walk collected with :data:`PREFIX`."""
        places: dict[Cond, int] = {}

        def place(condition: Cond) -> int:
            return places.setdefault(condition, len(places))

        listed = tuple((name, d, place(active[name][0])) for name, (d, _) in decisions.items())
        sums = [tuple((place(c), total(parts)) for c, parts in amounts.items()) for amounts in (params, macs)]
        asks = tuple(any(map(_of_region, conjuncts(c))) for c in places)
        parts = [conjuncts(c) for c in places]
        atoms = {atom: k for k, atom in enumerate(dict.fromkeys(p for each in parts for p in each if _is_atom(p)))}
        made_of = tuple(tuple(atoms[p] for p in each) if atoms.keys() >= each else None for each in parts)
        return Template(tuple(places), tuple(atoms), made_of, asks, listed, tuple(slots.values()), *sums)

    def renamed(self, prefix: str) -> tuple[Callable[[str], str], list[Cond]]:
        """The names and the conditions of the copy with a prefix."""
        names: dict[str, str] = {}

        def name(relative: object) -> str:
            assert isinstance(relative, str)
            known = names.get(relative)
            if known is None:
                inside = relative.startswith(PREFIX)  # or it is a value from outside, which is named already
                own = joined(prefix, relative[len(PREFIX) + 1 :]) or ROOT_OWNER
                known = names[relative] = own if inside else relative
            return known

        atoms = [rename(atom, name) for atom in self.atoms]
        conditions = [
            rename(condition, name) if made_of is None else both(*(atoms[k] for k in made_of))
            for condition, made_of in zip(self.conditions, self.made_of, strict=True)
        ]
        return name, conditions


def copied(slot: Slot, name: Callable[[str], str]) -> Slot:
    """A slot of a template under the names of a copy."""
    decision = None if slot.decision is None else name(slot.decision)
    pick = None if slot.pick is None else name(slot.pick)
    weighs = None if slot.weighs is None else name(slot.weighs)
    kept = (slot.element, slot.absent, slot.priors, slot.sized, slot.edges)
    return Slot(name(slot.id), slot.labels, decision, pick, *kept, weighs)


def _is_atom(condition: Cond) -> bool:
    return isinstance(condition, Is | Has)


def _of_region(condition: Cond) -> bool:
    return isinstance(condition, Is | Has) and str(condition.decision).startswith(PREFIX)


def stands_alone(region: Region, known: dict[int, int]) -> bool:
    """Whether a region has a template; ``known`` keeps the decisions of regions, -1 for those that cannot have one."""
    return 2 <= _size(region, known) <= LARGEST


def _size(region: Region, known: dict[int, int]) -> int:
    if id(region) not in known:
        calls = [n for n in region.nodes if isinstance(n, CallNode)]
        sizes = [_size(n.region, known) for n in calls]
        apart = region.singles or region.mentions or region.binders or any(n.binder is not None for n in calls)
        known[id(region)] = -1 if apart or -1 in sizes else len(region.decisions) + sum(sizes)
    return known[id(region)]
