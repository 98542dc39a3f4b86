"""One diagram under construction: parts become shapes, what they read becomes wires; all is folded at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from spacec.draw import rows, words
from spacec.draw.canvas import At, Flow
from spacec.draw.choosing import Choices
from spacec.draw.fold import fold
from spacec.draw.model import Diagram, Line, Role
from spacec.draw.parts import Part, Scope, parts_of
from spacec.draw.scales import area_of, gridded
from spacec.ir.graph import CallNode, OpNode, Ref, SpaceGraph
from spacec.ir.types import TensorType


@dataclass
class Drawing(Choices):
    """Draws a region, or some nodes of it; frames inside have drawings of their own."""

    def region(self, scope: Scope, graph: SpaceGraph | None = None) -> Diagram:
        """A whole region, with its inputs and outputs; ``graph`` names them."""
        at: At = {}
        self.states = int(len(scope.region.inputs) == 1)  # the input is state 0
        names = [f"{p.name} {p.type}" for p in graph.inputs] if graph else []
        self.typed = graph is not None
        scales = [
            {area_of(t, self.decided) for t in types}
            for types in (scope.region.inputs, [o.type for o in scope.region.outputs])
        ]
        several = graph is None and min(map(len, scales)) > 1  # a port is a shape of its own
        for k, kind in enumerate(scope.region.inputs):
            if several and k:
                at[Ref(k)] = replace(at[Ref(0)], type=kind)
                self.gives[at[Ref(0)].shape].append(kind)
                continue
            text = names[k] if names else "input" if several or len(scope.region.inputs) == 1 else f"input {k + 1}"
            at[Ref(k)] = Flow(self.add("input", (Line(text),), gives=(kind,)), kind)
        self.parts(scope, None, at)
        self.outputs(
            scope, at, [f"{p.name} {words.type_text(p.type, self.decided)}" for p in graph.outputs] if graph else []
        )
        return self.finish()

    def outputs(self, scope: Scope, at: At, names: Sequence[str]) -> None:
        refs = [scope.through(o.ref) for o in scope.region.outputs]
        if names:
            for name, ref in zip(names, refs, strict=True):
                self.join([ref] if ref else [], at, "output", name)
        elif refs:
            self.join([ref for ref in dict.fromkeys(refs) if ref], at, "output", "output")

    def inside(self, scope: Scope, nodes: Iterable[int] | None, sources: Sequence[Ref] = ()) -> Diagram:
        """Some nodes of a region, without outputs: the content of a frame. It has inputs where edges start at them."""
        at: At = {ref: Flow("", scope.type(ref)) for ref in sources}
        parts = parts_of(scope, nodes)
        read = [ref for ref in sources if any(ref in part.inputs for part in parts)]
        if self.cellular(scope, parts):
            self.states = int(len(read) == 1)
            for k, ref in enumerate(read):
                text = "input" if len(read) == 1 else f"input {k + 1}"
                at[ref] = Flow(self.add("input", (Line(text),), gives=(scope.type(ref),)), scope.type(ref))
        self.parts(scope, nodes, at)
        return self.finish()

    def frame(self, scope: Scope, nodes: Iterable[int] | None, sources: Sequence[Ref]) -> Diagram:
        """The content of a frame inside this drawing; what it notes and opens is noted here."""
        inner = Drawing(
            self.reader, max(0, self.depth - 1), self.open_scales, f"{self.prefix}{len(self.shapes)}.", self.typed
        )
        diagram = inner.inside(scope, nodes, sources)
        self.notes += inner.notes
        self.noted += inner.noted
        self.opened += inner.opened
        self.attached |= inner.attached
        return diagram

    def finish(self) -> Diagram:
        """The diagram, folded."""
        return gridded(self.shapes, self.wires, self.gives, self.ops, self.decided, self.depths, fold)

    def parts(self, scope: Scope, nodes: Iterable[int] | None, at: At) -> None:
        """Draw the parts of a region; ``at`` knows its inputs and learns the rest."""
        parts = parts_of(scope, nodes)
        cellular = self.cellular(scope, parts)
        for part in parts:
            if part.kind == "choice":
                self.choice(scope, part, at, cellular, scope, part.nodes[0])
            elif part.kind == "call":
                self.call(scope, part, at, cellular)
            else:
                self.op(scope, part, at, cellular)
        if nodes is None:
            self.leftovers(scope)

    def leftovers(self, scope: Scope) -> None:
        """Decisions without a shape, and values that are shared."""
        for decision in scope.region.decisions:
            active = scope.arch is None or scope.value(decision) is not None
            if active and not self.is_attached(scope, decision):
                self.note(scope, decision, decision.step.name or scope.region.name)
        rows.note_values(self, scope)

    def op(self, scope: Scope, part: Part, at: At, cellular: bool) -> None:
        (index,) = part.nodes
        node = scope.node(index)
        assert isinstance(node, OpNode)
        flows = [at[ref] for ref in part.inputs if ref in at]
        if (node.spec.inputs is None and len(flows) == 1 and not flows[0].chosen) or (
            node.spec.name == "identity" and flows
        ):
            at[Ref(index)] = replace(flows[0], type=node.result.type)
            return
        if node.spec.inputs is None:
            name = "+" if node.spec.name == "sum" else node.spec.name
            state = cellular and any(f.chosen for f in flows)
            shape = self.join(part.inputs, at, "state" if state else "join", name, node.result.type)
            at[Ref(index)] = Flow(shape, node.result.type)
            return
        lines, shown = rows.of_op(self, scope, node, flows[0].type if flows else None)
        role: Role = "choice" if shown else "fixed"
        takes = flows[0].type if flows else None
        shape = self.add(role, lines, shown, (node.result.type,), takes)
        self.ops[shape] = node.spec.param("out") is not None and node.result.params != 0
        for flow in flows:
            self.wire(flow, shape)
        at[Ref(index)] = Flow(shape, node.result.type)

    def call(self, scope: Scope, part: Part, at: At, cellular: bool) -> None:
        (index,) = part.nodes
        node = scope.node(index)
        assert isinstance(node, CallNode)
        flows = [at[ref] for ref in part.inputs if ref in at]
        inner = scope.enter(node)
        flat = self.flat(scope, node)
        trivial = not node.region.nodes or all(
            isinstance(n, OpNode) and n.spec.name == "identity" for n in node.region.nodes
        )
        whole = len(flows) == len(node.inputs)
        if whole and (trivial or flat is not None or (self.open_scales and len(node.region.outputs) > 1)):
            local = {Ref(k): flow for k, flow in enumerate(flows)}
            if flat is not None and flat[0].calls == inner.calls:
                self.choice(flat[0], flat[1], local, cellular, scope, index)
            else:
                self.parts(inner, None, local)
            for k, output in enumerate(node.region.outputs):
                ref = inner.through(output.ref)
                if ref is not None and ref in local:
                    at[Ref(index, k)] = local[ref]
            return
        takes = flows[0].type if flows else None
        gives = [output.type for output in node.region.outputs]
        shape = self.call_shape(scope, node, takes, gives)
        for flow in flows:
            self.wire(flow, shape)
        for k, kind in enumerate(gives):
            if inner.through(node.region.outputs[k].ref) is not None:
                at[Ref(index, k)] = Flow(shape, kind)

    def call_shape(self, scope: Scope, node: CallNode, takes: TensorType | None, gives: Sequence[TensorType]) -> str:
        name = scope.place.child(node).owner if node.binder is not None else node.region.name
        text = words.call_text(node, name)
        if self.depth > 0:
            inner = self.frame(scope.enter(node), None, [Ref(k) for k in range(len(node.region.inputs))])
            if inner.shapes:
                return self.add("frame", (Line(text, "title"),), (), gives, takes, inner=inner)
        if self.reader.panelled(node):
            self.opened.append((*scope.calls, node))
            panel = self.reader.panel(scope, node)
            title = text if panel == node.region.name and node.binder is None else panel
            return self.add("call", (Line(title, "title"),), (), gives, takes, panel)
        if not node.region.searches:
            return self.add("fixed", (Line(text),), (), gives, takes)
        lines, shown = rows.of_nodes(self, scope.enter(node), None, 0)
        return self.add("choice", (Line(text, "title"), *lines), shown, gives, takes)
