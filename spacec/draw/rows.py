"""Decisions as lines of a box: the candidates of a choice, what is decided inside them, the sizes of an op."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spacec.draw import words
from spacec.draw.canvas import Canvas
from spacec.draw.model import Line, Shown
from spacec.draw.parts import Part, Scope, body, parts_of, under
from spacec.ir.conditions import decisions
from spacec.ir.dims import Poly
from spacec.ir.graph import CallNode, ChooseNode, DecisionDecl, DecisionRef, OpNode, SwitchNode
from spacec.ir.types import TensorType


def of_op(canvas: Canvas, scope: Scope, node: OpNode, takes: TensorType | None) -> tuple[list[Line], list[Shown]]:
    """An op's words, and the elastic decisions that are its arguments."""
    own: list[DecisionDecl] = []
    for value in node.attrs.values():
        symbols = value.symbols if isinstance(value, Poly) else ()
        own += [d for d in scope.region.decisions if any(s.ref is d or d.symbol == s for s in symbols)]
    own = [d for d in dict.fromkeys(own) if not canvas.is_attached(scope, d) and _below(d, node)]
    lines = [Line(words.op_text(node, takes, own, canvas.decided))]
    shown = []
    for decision in own:
        name = decision.step.name
        if scope.arch is not None:
            value = scope.value(decision)
            if value is not None:
                text = f"{name} {words.value_text(decision, value)}"
                shown.append(canvas.attach(scope, decision, text))
                lines.append(Line(text, "candidate"))
            continue
        text = words.decision_text(decision)
        shown.append(canvas.attach(scope, decision, f"{name}: {text}"))
        lines.append(Line(f"{name}: {text}", "muted"))
    return lines, shown


def of_choice(
    canvas: Canvas, scope: Scope, part: Part, indent: int, decision: DecisionDecl
) -> tuple[list[Line], list[Shown]]:
    """The lines of a choice's candidates, and of all that is decided inside them."""
    value = scope.value(decision)
    if decision.kind == "value":
        name = decision.step.name or "value"
        text = words.decision_text(decision) if value is None else words.value_text(decision, value)
        lines = [Line(f"{name}: {text}", "plain" if value is None else "candidate", indent)]
        shown = [canvas.attach(scope, decision, f"{name}: {text}")]
        inner_lines, inner_shown = of_nodes(canvas, scope, part.interior, indent)
        return lines + inner_lines, shown + inner_shown
    said = " | ".join(decision.labels) if value is None else words.value_text(decision, value)
    lines, shown = [], [canvas.attach(scope, decision, said)]
    for k, label in enumerate(decision.labels):
        if value is None or value == k:
            lines.append(Line(label, "candidate", indent))
            inner_lines, inner_shown = of_nodes(canvas, scope, body(scope, part, k), indent + 1)
            lines += inner_lines
            shown += inner_shown
    return lines, shown


def decides_inside(scope: Scope, part: Part) -> bool:
    """Whether anything but the choice itself is decided among its candidates."""
    if any(isinstance(n, CallNode) and n.region.searches for n in map(scope.node, part.interior)):
        return True
    return any(_inside(scope, part, d) for d in scope.region.decisions)


def _inside(scope: Scope, part: Part, decision: DecisionDecl) -> bool:
    choose = scope.node(part.nodes[0])
    assert isinstance(choose, ChooseNode)
    return decision is not choose.slot.decision and under(decision.condition, choose.slot)


def of_nodes(canvas: Canvas, scope: Scope, nodes: Iterable[int] | None, indent: int) -> tuple[list[Line], list[Shown]]:
    """What is decided among some nodes, as lines."""
    lines: list[Line] = []
    shown: list[Shown] = []
    for part in parts_of(scope, nodes):
        node = scope.node(part.nodes[0])
        found: tuple[list[Line], list[Shown]] = ([], [])
        if isinstance(node, ChooseNode) and node.slot.decision is not None:
            decision = node.slot.decision
            if canvas.is_attached(scope, decision) or decision not in scope.region.decisions:
                continue
            if decision.kind == "op" and scope.arch is None:
                lines.append(Line(f"{decision.step.name or scope.region.name}:", "muted", indent))
            found = of_choice(canvas, scope, part, indent, decision)
        elif isinstance(node, OpNode):
            op_lines, op_shown = of_op(canvas, scope, node, scope.type(part.inputs[0]) if part.inputs else None)
            found = ([Line(op_lines[0].text, "plain", indent)] if op_shown else []), op_shown
        elif isinstance(node, CallNode) and node.region.searches and not canvas.reader.panelled(node):
            found = of_nodes(canvas, scope.enter(node), None, indent)
        lines += found[0]
        shown += found[1]
    for decision in scope.region.decisions if nodes is None else ():
        value = scope.value(decision)
        if not canvas.is_attached(scope, decision) and (scope.arch is None or value is not None):
            text = words.decision_text(decision) if value is None else words.value_text(decision, value)
            text = f"{decision.step.name or scope.region.name}: {text}"
            lines.append(Line(text, "muted", indent))
            shown.append(canvas.attach(scope, decision, text))
    if nodes is None:
        found_names = [Line(f"with {name}", "muted", indent) for name in note_values(canvas, scope)]
        lines += [line for line in found_names if line not in lines]
    return lines, shown


def note_values(canvas: Canvas, scope: Scope) -> list[str]:
    """Note the values that definitions share, each where it is first met; the names of all that are used here."""
    names: dict[str, None] = {}
    for node in scope.region.nodes:
        if not isinstance(node, CallNode) or node.binder is None or node.region.inputs or node.region.outputs:
            continue
        names[node.binder.name] = None
        if (id(node.binder), "value") in canvas.reader.known:
            continue
        canvas.reader.known[id(node.binder), "value"] = node.binder.name
        inner = scope.enter(node)
        note_values(canvas, inner)
        for place, decision in _nested(inner):
            canvas.note(place, decision, node.binder.name)
    return list(names)


def followed(scope: Scope, part: Part) -> str:
    """What a choice follows that is decided elsewhere: the names of shared values, where they are its."""
    node = scope.node(part.nodes[0])
    conditions = node.conditions if isinstance(node, SwitchNode) else ()
    mentioned = {id(r.decision) for c in conditions for r in decisions(c) if isinstance(r, DecisionRef)}
    if isinstance(node, ChooseNode):
        mentioned.add(id(node.slot.decision))
    names: dict[str, None] = {}
    for call in scope.region.nodes:
        if not isinstance(call, CallNode) or call.binder is None or call.region.inputs:
            continue
        if any(id(decision) in mentioned for _, decision in _nested(scope.enter(call))):
            names[call.binder.name] = None
    return " and ".join(names)


def _nested(scope: Scope) -> Iterator[tuple[Scope, DecisionDecl]]:
    """Every decision of a region and of the calls in it that have no panel."""
    for decision in scope.region.decisions:
        yield scope, decision
    for node in scope.region.nodes:
        if isinstance(node, CallNode) and node.region.searches and node.binder is None:
            yield from _nested(scope.enter(node))


def _below(decision: DecisionDecl, node: OpNode) -> bool:
    """Whether a decision is an argument of this op, by its path; a let's value is not."""
    return node.step is None or decision.step.parent is node.step or not decision.step.name
