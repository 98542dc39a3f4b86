"""Families of definitions that call each other, as one lattice: a state for each member, an edge for each way on.

``tied walk[l, r]`` of a trellis has dozens of members, each a choice among calls of others. One panel for each would
hide what the paper draws: which member leads to which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spacec.draw.model import Diagram, Line, Panel, Shape, Wire, every_shape, shown_in

FEWEST = 5
"""Members of a family that is drawn as a lattice."""


def with_lattices(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """The panels, those of a family of choices as one."""
    families: dict[str, dict[str, Panel]] = {}
    for panel in panels:
        name, bracket, _ = panel.name.partition("[")
        if bracket and "." not in panel.name and _is_step(panel):
            families.setdefault(name, {})[panel.name] = panel
    found: dict[str, Panel] = {}
    for panel in panels:
        family = families.get(panel.name.partition("[")[0], {})
        if panel.name not in family or len(family) < FEWEST:
            found[panel.name] = panel
        elif (name := panel.name.partition("[")[0]) not in found:
            found[name] = _lattice(name, panel.title.partition(" ")[0], family)
    return tuple(found.values())


def _is_step(panel: Panel) -> bool:
    """Whether a definition decides one thing at most, and nothing by edges: where to go on."""
    roles = {shape.role for shape in panel.diagram.shapes}
    return len(list(shown_in(panel.diagram))) <= 1 and not panel.notes and "state" not in roles


def _lattice(name: str, kind: str, family: Mapping[str, Panel]) -> Panel:
    ways = {member: _ways(panel, family) for member, panel in family.items()}
    order = _callers_first(ways)
    places = {member: str(k) for k, member in enumerate(order)}
    shapes = [
        Shape(
            places[m],
            "state",
            (Line(m.partition("[")[2].rstrip("]"), "title"),),
            "",
            tuple(shown_in(family[m].diagram)),
        )
        for m in order
    ]
    end = Shape(str(len(order)), "output", (Line("output"),))
    wires = []
    for member in order:
        for target, labels in ways[member].items():
            wires.append(Wire(places[member], places.get(target, end.id), tuple(labels)))
    if any(wire.head == end.id for wire in wires):
        shapes.append(end)
    done = {s.lines[0].text: None for m in order for s in family[m].diagram.shapes if s.role == "call"}
    first = f"; each begins with {', '.join(done)}" if done else ""
    note = Line(f"{len(order)} members{first}; an edge is a way on")
    variants = tuple(v for panel in family.values() for v in panel.variants)
    return Panel(name, f"{kind} {name}", Diagram(tuple(shapes), tuple(wires)), (note,), variants)


def _ways(panel: Panel, family: Mapping[str, Panel]) -> dict[str, list[str]]:
    """Where a member leads, by which candidates; the empty name is the end."""
    found: dict[str, list[str]] = {}
    for shape in panel.diagram.shapes:
        if shape.role not in ("frame", "choice"):
            continue
        inner = shape.inner or Diagram((), ())
        targets = [s.panel for s in every_shape(inner) if s.panel in family] or [""]
        for line in shape.lines:
            if line.style == "candidate":
                for target in targets:
                    found.setdefault(target, []).append(line.text)
    return found or {"": []}


def _callers_first(ways: Mapping[str, Mapping[str, list[str]]]) -> list[str]:
    done: dict[str, None] = {}
    stack = [(member, False) for member in ways]
    while stack:
        member, left = stack.pop()
        if left:
            done[member] = None
        elif member not in done:
            stack.append((member, True))
            stack.extend((target, False) for target in ways[member] if target and target not in done)
    return list(reversed(done))
