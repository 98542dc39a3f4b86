"""From a space, or one architecture of it, to the picture of its structure.

Assumes a finished graph and the table made from it. Guarantees that every decision of the table is shown once: each
``let``, ``tied`` and searched definition has one panel, copies that look alike are one shape, and what finds no place
on a shape or a wire stands in a panel's notes. With ``depth``, that many levels of calls are written out in place, and
what is written out more than once is shown as often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.draw.drawing import Drawing
from spacec.draw.lattice import with_lattices
from spacec.draw.model import Diagram, Line, Panel, Picture, Variant, every_shape, shown_in
from spacec.draw.parts import Scope
from spacec.ir.graph import Binder, CallNode, DecisionDecl, Region, SpaceGraph
from spacec.ir.naming import Place, root_place
from spacec.space.architecture import Architecture
from spacec.space.decisions import DecisionTable

MACRO = "network"
SIMPLE = 4
"""Decisions of a definition that is drawn where it is used, not in a panel of its own."""
LIMIT = 5_000
"""Boxes of a picture."""
EVERY = 1_000
"""A depth that writes everything out."""


@dataclass
class _Draft:
    """A panel while its variants are found; the largest is drawn."""

    name: str
    title: str
    diagram: Diagram
    notes: tuple[Line, ...]
    order: int
    """When its definition was first met."""
    variants: list[Variant] = field(default_factory=list)


@dataclass
class Reader:
    """Reads regions into panels; one for each definition and what it lets decide."""

    graph: SpaceGraph
    arch: Architecture | None = None
    drafts: dict[object, _Draft] = field(default_factory=dict)
    known: dict[object, str] = field(default_factory=dict)
    simple: dict[int, bool] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    """Global ids of declarations that sizes mention."""
    met: int = 0
    boxes: int = 0

    def count_box(self) -> None:
        """Raise :class:`SpacecError` (E0718) where the picture grows beyond what anybody reads."""
        self.boxes += 1
        if self.boxes > LIMIT:
            headline = f"the picture has over {LIMIT:,} boxes"
            raise SpacecError(Diagnostic("E0718", headline, help="write out fewer levels (--depth), or none"))

    def decided(self, decision: DecisionDecl) -> int | None:
        """The number that the architecture gives to a declaration."""
        if self.arch is None:
            return None
        value = self.arch.get(self.names.get(id(decision), ""))
        number = decision.values[value] if isinstance(value, int) and decision.values else None
        return number if isinstance(number, int) else None

    def panelled(self, call: CallNode) -> bool:
        """Whether the inside of a call has a panel of its own."""
        region = call.region
        if not region.searches or not (region.inputs or region.outputs):
            return False
        return call.binder is not None or not self.is_simple(region)

    def is_simple(self, region: Region) -> bool:
        """Whether a definition decides so little that it needs no panel."""
        known = self.simple.get(id(region))
        if known is None:
            self.simple[id(region)] = False
            known = self.simple[id(region)] = self._simple(region)
        return known

    def _simple(self, region: Region) -> bool:
        calls = [n for n in region.nodes if isinstance(n, CallNode) and n.region.searches]
        if any(self.panelled(call) for call in calls) or any(d.kind in ("subset", "depth") for d in region.decisions):
            return False
        return sum(1 for _ in _declared(region)) <= SIMPLE

    def panel(self, scope: Scope, call: CallNode) -> str:
        """The name of the panel that shows the inside of a call."""
        inner = scope.alone(call)
        name = call.region.name if call.binder is None else binder_name(call.binder, inner.place)
        key = (name, id(call.region), inner.place.prefix if self.arch is not None else "")
        if key in self.known:
            return self.known[key]
        self.known[key] = name
        kind = "" if call.binder is None or call.binder.name.startswith(call.binder.kind) else f"{call.binder.kind} "
        self.known[key] = self.draw(name, kind + name, inner)
        return self.known[key]

    def body(self, name: str, scope: Scope) -> None:
        """A panel for what a candidate is, where it decides nothing and joins several scales."""
        if (name, id(scope.region)) not in self.known:
            self.known[name, id(scope.region)] = name
            self.draw(name, name, scope, open_scales=True)

    def draw(self, name: str, title: str, scope: Scope, open_scales: bool = False, depth: int = 0) -> str:
        """Read a region into a panel, or into one that looks the same; the panel's name."""
        order = self.met = self.met + 1
        drawing = Drawing(self, depth, open_scales)
        diagram = drawing.region(scope, self.graph if scope.region is self.graph.root else None)
        words = tuple(shown.text for shown in (*shown_in(diagram), *drawing.noted))
        shared = scope.place.owner == name
        key = (name, words, () if shared else tuple((s.panel, s.times) for s in every_shape(diagram) if s.panel))
        draft = self.drafts.get(key)
        if draft is None:
            number = sum(d.name == name or d.name.startswith(f"{name} (") for d in self.drafts.values())
            suffix = f" ({number + 1})" if number else ""
            draft = self.drafts[key] = _Draft(name + suffix, title + suffix, diagram, tuple(drawing.notes), order)
        elif len(diagram.shapes) > len(draft.diagram.shapes):
            draft.diagram, draft.notes = diagram, tuple(drawing.notes)
        shown = (*shown_in(diagram), *drawing.noted)
        draft.variants.append(Variant(scope.region, shown, tuple(drawing.opened)))
        return draft.name

    def name_declarations(self) -> None:
        """Fill :attr:`names`."""
        seen: set[tuple[str, int]] = set()
        stack = [root_place(self.graph.root)]
        while stack:
            place = stack.pop()
            self.names.update({id(d): place.id_of(d) for d in place.region.decisions})
            for node in place.region.nodes:
                inner = place.child(node) if isinstance(node, CallNode) and node.region.searches else None
                if inner is not None and (inner.prefix, id(inner.region)) not in seen:
                    seen.add((inner.prefix, id(inner.region)))
                    stack.append(inner)


def read_picture(
    graph: SpaceGraph,
    table: DecisionTable,
    arch: Architecture | None = None,
    depth: int = 0,
    facts: tuple[str, ...] = (),
) -> Picture:
    """The picture of a space, or of ``arch``; ``facts`` are lines below its title.

    Raises :class:`SpacecError` (E0718) where ``depth`` writes out too much.
    """
    reader = Reader(graph, arch)
    if arch is not None:
        reader.name_declarations()
    root = Scope(graph.root, root_place(graph.root), (), arch)
    reader.draw(MACRO, MACRO, root, depth=depth)
    drafts = sorted(reader.drafts.values(), key=lambda d: d.order)
    panels = with_lattices([Panel(d.name, d.title, d.diagram, d.notes, tuple(d.variants)) for d in drafts])
    labels = tuple(dict.fromkeys(label for d in table.decisions if d.kind == "op" for label in d.labels))
    return Picture(graph.name, facts, panels, labels)


def binder_name(binder: Binder, place: Place) -> str:
    """What a let or tied is called: one that belongs to an activation, by its own name."""
    return binder.name if binder.local else place.owner


def _declared(region: Region) -> Iterator[DecisionDecl]:
    yield from region.decisions
    for node in region.nodes:
        if isinstance(node, CallNode) and node.region.searches and node.binder is None:
            yield from _declared(node.region)


def coverage(picture: Picture, graph: SpaceGraph) -> dict[str, list[tuple[str, int]]]:
    """Where every decision is shown: id to panel and place among what the panel shows (for a picture of depth 0)."""
    found: dict[str, dict[tuple[str, int], None]] = {}
    seen: set[tuple[str, int]] = set()
    variants: dict[int, list[tuple[str, Variant]]] = {}
    for panel in picture.panels:
        for variant in panel.variants:
            variants.setdefault(id(variant.region), []).append((panel.name, variant))
    stack = [root_place(graph.root)]
    while stack:
        place = stack.pop()
        for name, variant in variants.get(id(place.region), ()):
            _register(place)
            for k, shown in enumerate(variant.shown):
                found.setdefault(place.resolve(shown.ref), {})[name, k] = None
            for calls in variant.calls:
                inner = place
                for call in calls:
                    inner = inner.child(call)
                    _register(inner)
                if (inner.prefix, id(inner.region)) not in seen:
                    seen.add((inner.prefix, id(inner.region)))
                    stack.append(inner)
    return {id: list(places) for id, places in found.items()}


def _register(place: Place) -> None:
    """Make the ids of shared values known to a place."""
    for node in place.region.nodes:
        if isinstance(node, CallNode) and node.binder is not None and not node.region.inputs:
            place.child(node)
