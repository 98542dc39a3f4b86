"""From an architecture of a space to what is drawn: a grid of scales, the searched cells, or the chain of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod

from spacec.draw.layered import Mark, Sketch
from spacec.ir.dims import Dim, Symbol
from spacec.ir.flat import FlatChoose, FlatInput, FlatOp, FlatSwitch
from spacec.ir.naming import DECISION
from spacec.ir.sizes import evaluate
from spacec.search.report.grid import Grid, Link, Skip, Stage
from spacec.search.report.selected import Group, Selected

Probabilities = Mapping[str, Sequence[float]]
_LINES = 4
_TIMES = "\u00d7"


def grid_of(selected: Selected, probabilities: Probabilities | None = None) -> Grid | None:
    """The network as stages between scales, or ``None`` unless pyramids are chosen one after the other."""
    groups = selected.groups
    if not any(len(g.nodes) > 1 for g in groups):
        return None
    work = _GridBuilder(selected)
    for group in groups:
        starts = sorted({s for n in group.nodes for s in selected.sources(group, n)})
        if not work.fixed(starts):
            return None
        work.chosen(group, _note(selected, group, probabilities))
    return work.finish() if work.fixed(list(selected.flat.outputs.values())) else None


class _GridBuilder:
    """Adds stages from left to right; ``borders`` says where the tensors between stages stand."""

    def __init__(self, selected: Selected) -> None:
        self.selected = selected
        self.areas = sorted({_area(selected, n) for n in selected.live()} - {0}, reverse=True)
        self.choices = {n for g in selected.groups for n in g.nodes}
        self.borders = {i: 0 for i, n in enumerate(selected.flat.nodes) if isinstance(n, FlatInput)}
        self.stages: list[Stage] = []
        self.skips: list[Skip] = []

    def row(self, node: int) -> int | None:
        area = _area(self.selected, node)
        return self.areas.index(area) if area in self.areas else None

    def fixed(self, ends: Sequence[int]) -> bool:
        """What lies before ``ends``: nothing or one stage, and skips; false where a tensor has no scale."""
        links: list[Link] = []
        skips: list[tuple[int, tuple[int, int]]] = []
        here = len(self.stages)
        for end in ends:
            for start, block in self.selected.walk(end, self.choices.__contains__).items():
                rows = (self.row(start), self.row(end))
                if rows[0] is None or rows[1] is None or start not in self.borders:
                    return False
                if self.borders[start] == here:
                    links.append(Link(rows[0], rows[1], block))
                else:
                    skips.append((self.borders[start], (rows[0], rows[1])))
        if skips or any(link.start != link.end or link.block for link in links):
            self.stages.append(Stage(_parts_between(self.selected, self.choices, ends), False, tuple(links)))
        self.skips += [Skip(start, len(self.stages), rows) for start, rows in skips]
        return True

    def chosen(self, group: Group, note: str) -> None:
        links = [
            Link(self.areas.index(_area(self.selected, s)), self.areas.index(_area(self.selected, n)), block)
            for n in group.nodes
            for s, block in self.selected.sources(group, n).items()
        ]
        self.stages.append(Stage(group.label, True, tuple(links), note))
        self.borders.update(dict.fromkeys(group.nodes, len(self.stages)))

    def finish(self) -> Grid | None:
        """The grid, unless a scale is never at a border."""
        used = {row for stage in self.stages for link in stage.links for row in (link.start, link.end)}
        if used != set(range(len(self.areas))):
            return None
        names = tuple(_row_name(area / self.areas[0]) for area in self.areas)
        return Grid(names, tuple(self.stages), tuple(dict.fromkeys(self.skips)))


def _parts_between(selected: Selected, border: set[int], after: Sequence[int]) -> str:
    """Names of the definitions with weights in a fixed stage, one per line, in order."""
    seen: set[int] = set()
    stack = list(after)
    while stack:
        node = stack.pop()
        if node not in seen and node not in border:
            seen.add(node)
            stack.extend(selected.reads(node))
    heads: dict[str, None] = {}
    for node in sorted(seen):
        found = selected.flat.nodes[node]
        if isinstance(found, FlatOp) and found.key:
            heads[found.key.split(".")[0]] = None
    counts = Counter(_bare(h) for h in heads)
    return "\n".join(name if n == 1 else f"{name} {_TIMES}{n}" for name, n in counts.items())


def _bare(step: str) -> str:
    name, _, number = step.rpartition("_")
    return name if name and number.isdigit() else step


def _note(selected: Selected, group: Group, probabilities: Probabilities | None) -> str:
    index = selected.indices.get(group.slot)
    values = (probabilities or {}).get(group.slot)
    return "" if values is None or index is None else f"p = {values[index]:.2f}"


def _row_name(share: float) -> str:
    scale = round(share**-0.5)
    return "full size" if scale == 1 else f"1/{scale}"


def _area(selected: Selected, node: int) -> int:
    """Number of positions with every free size set to 64; 0 for a vector."""
    space = selected.flat.nodes[node].type.space
    return prod(_number(selected, d) for d in space) if space else 0


def _number(selected: Selected, dim: Dim, free: int = 64) -> int:
    return int(evaluate(dim, lambda s: _decided(selected, s) or free))


def _decided(selected: Selected, symbol: Symbol) -> int | None:
    """The value of a decision's symbol in the architecture."""
    if symbol.ref != "decision":
        return None
    chosen = selected.arch.get(symbol.name)
    value = selected.table.by_id[symbol.name].values[chosen] if isinstance(chosen, int) else None
    return value if isinstance(value, int) else None


def cells_of(selected: Selected) -> dict[str, Sketch]:
    """A sketch of the first activation of every let or tied member that owns choices, by its name."""
    owners = {d.id: d.owner for d in selected.table.decisions}
    slots = {s.id: owners[name] for s in selected.table.slots if (name := s.decision or s.pick) is not None}
    found: dict[str, dict[str, Group]] = {}
    for group in selected.groups:
        owner = slots.get(group.slot, "net")
        if owner != "net":
            found.setdefault(owner, {}).setdefault(group.slot, group)
    return {owner: _cell(selected, list(groups.values())) for owner, groups in found.items()}


def _cell(selected: Selected, groups: list[Group]) -> Sketch:
    nodes = selected.flat.nodes
    inside = frozenset().union(*(g.interior for g in groups), *(g.nodes for g in groups))
    states = sorted({_target(selected, g.nodes[0]) for g in groups})
    taken: list[tuple[Group, int, list[int]]] = []
    for group in groups:
        choose = group.nodes[0]
        candidate = selected.taken(choose)
        found = None if candidate is None else nodes[candidate]
        if not (isinstance(found, FlatOp) and found.spec.name == "zero"):
            drawn = selected.sources(group, choose)
            taken.append((group, _target(selected, choose), [_state(selected, s, states) for s in drawn]))
    inputs = sorted({s for _, _, sources in taken for s in sources} - set(states))
    names = [f"input {k + 1}" for k in range(len(inputs))] if len(inputs) > 1 else ["input"]
    # in the order of their nodes; where no sum joins the terms, a choice is its own target and comes before it
    marks = {(i, 1): Mark(str(i), (n,), "input") for i, n in zip(inputs, names, strict=False)}
    marks |= {(s, 1): Mark(str(s), (str(k),), "state") for k, s in enumerate(states)}
    edges: list[tuple[str, str]] = []
    for group, target, sources in taken:
        op = Mark(f"op {group.nodes[0]}", (group.label,), "op", late=True)
        marks[group.nodes[0], 0] = op
        edges += [*((str(s), op.id) for s in sources), (op.id, str(target))]
    ordered = [marks[k] for k in sorted(marks)]
    ends = _ends(selected, states, inside)
    edges += [(str(s), "output") for s in ends]
    return Sketch((*ordered, Mark("output", ("output",), "output")), tuple(dict.fromkeys(edges)))


def _target(selected: Selected, choose: int) -> int:
    """The sum (or concatenation) that a choice feeds, else the choice itself."""
    readers = selected.consumers[choose]
    node = selected.flat.nodes[readers[0]] if len(readers) == 1 else None
    return readers[0] if isinstance(node, FlatOp) and node.spec.name in ("sum", "concat") else choose


def _state(selected: Selected, node: int, states: Sequence[int]) -> int:
    """The state that ``node`` only reshapes (norms, activations), or itself."""
    at = node
    while at not in states:
        found = selected.flat.nodes[at]
        if not isinstance(found, FlatOp) or len(found.inputs) != 1:
            return node
        at = found.inputs[0]
    return at


def _ends(selected: Selected, states: Sequence[int], inside: frozenset[int]) -> list[int]:
    """The states that make the cell's output: those that one node outside joins, else the last."""
    readers = Counter(r for s in states for r in selected.consumers[s] if r not in inside and r not in states)
    joined = [r for r, n in readers.items() if n > 1]
    if not joined:
        return [states[-1]]
    return [s for s in states if min(joined) in selected.consumers[s]]


def layers_of(selected: Selected) -> Sketch:
    """The network layer by layer: choices as boxes of their own, runs of fixed ops joined into one box."""
    chooses = {n: g for g in selected.groups for n in g.nodes}
    inner = frozenset().union(*(g.interior for g in chooses.values())) if chooses else frozenset()
    border = frozenset(n for n in selected.live() if n not in inner)
    reads = {n: _outer_reads(selected, chooses, border, n) for n in sorted(border)}
    readers = Counter(s for sources in reads.values() for s in sources)
    boxes: list[list[int]] = []
    home: dict[int, int] = {}
    for node, sources in reads.items():
        box = home.get(sources[0]) if len(sources) == 1 and readers[sources[0]] == 1 else None
        if box is not None and _joins(selected, boxes[box], node):
            boxes[box].append(node)
        else:
            box = len(boxes)
            boxes.append([node])
        home[node] = box
    edges = {(str(home[s]), str(home[n])): None for n, sources in reads.items() for s in sources if home[s] != home[n]}
    marks = [_box(selected, str(k), nodes, chooses) for k, nodes in enumerate(boxes)]
    ends = [(str(home[n]), f"output {name}") for name, n in selected.flat.outputs.items() if n in home]
    return Sketch(
        (*marks, *(Mark(f"output {name}", (name,), "output") for name in selected.flat.outputs)), (*edges, *ends)
    )


def _outer_reads(selected: Selected, chooses: Mapping[int, Group], border: frozenset[int], node: int) -> list[int]:
    if node in chooses:
        return sorted(selected.sources(chooses[node], node))
    return [n for n in dict.fromkeys(selected.reads(node)) if n in border]


def _joins(selected: Selected, box: list[int], node: int) -> bool:
    """A fixed op joins the run before it, unless both bring weights of their own."""
    first, here = selected.flat.nodes[box[0]], selected.flat.nodes[node]
    if not isinstance(first, FlatOp) or not isinstance(here, FlatOp):
        return False
    return not (here.spec.name in ("conv", "linear") and _has_weights(selected, box))


def _has_weights(selected: Selected, box: list[int]) -> bool:
    found = (selected.flat.nodes[n] for n in box)
    return any(isinstance(n, FlatOp) and n.spec.name in ("conv", "linear") for n in found)


def _box(selected: Selected, id: str, nodes: list[int], chooses: Mapping[int, Group]) -> Mark:
    first = selected.flat.nodes[nodes[0]]
    if isinstance(first, FlatInput):
        return Mark(id, (first.name,), "input")
    if isinstance(first, FlatSwitch):
        return Mark(id, ("determined",), "fixed")
    if isinstance(first, FlatChoose):
        return Mark(id, (chooses[nodes[0]].label,), "op")
    ops = [n for n in (selected.flat.nodes[i] for i in nodes) if isinstance(n, FlatOp)]
    lines = [_op_text(selected, op) for op in ops]
    shown = lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "…"]
    decided = any(s.ref == DECISION for op in ops if op.key for s in op.type.symbols)
    return Mark(id, tuple(shown), "op" if decided else "fixed")


def _op_text(selected: Selected, op: FlatOp) -> str:
    kernel = op.attrs.get("kernel")
    parts = [op.spec.name]
    if isinstance(kernel, int):
        parts.append(_TIMES.join([str(kernel)] * max(1, op.type.rank)))
    if op.spec.name in ("conv", "linear"):
        free = any(_decided(selected, s) is None for s in op.type.symbols if s.ref == DECISION)
        parts.append(str(op.type.channels) if free else str(_number(selected, op.type.channels)))
    return " ".join(parts)
