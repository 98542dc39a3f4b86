"""How choices are drawn: as edges between states, boxes of candidates, frames, or copies of chosen number.

In a *cellular* region (operations are chosen on the way into sums, or inputs are picked) a choice is an edge, as in
the figures of DARTS and NAS-Bench-201; elsewhere it is a box.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from spacec.draw import rows, words
from spacec.draw.canvas import At, Canvas, Flow
from spacec.draw.model import Diagram, Line, Shown, Wire
from spacec.draw.parts import Part, Scope, body, parts_of, results
from spacec.ir.graph import CallNode, ChooseNode, DecisionDecl, OpNode, Ref, SlotDecl
from spacec.ir.types import TensorType


@dataclass
class Choices(Canvas, ABC):
    """A canvas on which choices are drawn."""

    @abstractmethod
    def frame(self, scope: Scope, nodes: Iterable[int] | None, sources: Sequence[Ref]) -> Diagram:
        """The content of a frame: some nodes of a region, which read ``sources``."""

    def choice(self, scope: Scope, part: Part, at: At, cellular: bool, outer: Scope, index: int) -> None:
        """A choice: an edge, a box, frames of its candidates, or a sequence of chosen length."""
        node = scope.node(part.nodes[0])
        flows = [at[ref] for ref in part.inputs if ref in at]
        if not flows:
            return
        if not isinstance(node, ChooseNode) or self.foreign(scope, node.slot):
            self.elsewhere(scope, part, at, flows)
            return
        slot, decision = node.slot, node.slot.decision
        pick = self.pick(scope, slot)
        if decision is not None and decision.kind == "depth":
            self.depth_choice(scope, part, at, decision)
            return
        plain = len(part.nodes) == 1 and not self.structured(scope, part)
        if cellular and plain and len(flows) == 1 and (decision is None or not rows.decides_inside(scope, part)):
            self.edge(scope, part, at, flows[0], pick, outer, index)
            return
        if decision is None:
            sources = list(part.inputs)
            diagram = self.frame(scope, part.interior, sources)
            shape = self.add(
                "frame", (Line("may be absent", "muted"),), (pick,) if pick else (), (node.type,), inner=diagram
            )
        elif self.structured(scope, part):
            shape = self.alternatives(scope, part, flows, decision, pick)
            flows = []
        else:
            shape = self.box(scope, part, flows[0].type, decision, pick)
        for flow in flows:
            self.wire(flow, shape)
        for k in part.nodes:
            at[Ref(k)] = Flow(shape, scope.type(Ref(k)), optional=slot.pick is not None and scope.arch is None)

    def foreign(self, scope: Scope, slot: SlotDecl) -> bool:
        """Whether a choice follows a decision of another definition, such as a shared value."""
        return slot.decision is not None and slot.decision not in scope.region.decisions

    def elsewhere(self, scope: Scope, part: Part, at: At, flows: Sequence[Flow]) -> None:
        """What follows decisions that are shown elsewhere: its alternatives in a frame."""
        kinds = [scope.type(Ref(k)) for k in part.nodes]
        diagram = self.frame(scope, part.interior, part.inputs)
        name = rows.followed(scope, part)
        lines = (Line(f"as {name} says" if name else "as decided elsewhere", "muted"),)
        shape = self.add("frame", lines, (), kinds, flows[0].type, inner=diagram if diagram.shapes else None)
        for flow in flows:
            self.wire(flow, shape)
        at.update({Ref(k): Flow(shape, kind) for k, kind in zip(part.nodes, kinds, strict=True)})

    def pick(self, scope: Scope, slot: SlotDecl) -> Shown | None:
        """The pick that a choice is an element of, at its first element."""
        if slot.pick is None or self.is_attached(scope, slot.pick):
            return None
        value = scope.value(slot.pick)
        return self.attach(scope, slot.pick, "" if value is None else words.value_text(slot.pick, value))

    def edge(self, scope: Scope, part: Part, at: At, flow: Flow, pick: Shown | None, outer: Scope, index: int) -> None:
        """A choice between two states; where no sum takes it, it ends in a state of its own."""
        node = scope.node(part.nodes[0])
        assert isinstance(node, ChooseNode)
        decision = node.slot.decision
        labels: tuple[str, ...] = ()
        shown: tuple[Shown, ...] = ()
        if decision is not None:
            value = scope.value(decision)
            labels = decision.labels if not isinstance(value, int) else (decision.labels[value],)
            shown = (self.attach(scope, decision, " | ".join(labels)),)
            if isinstance(value, int) and self.zero(scope, part, value):
                self.noted += shown
                return
        if flow.chosen:
            flow = Flow(self.state([flow]), flow.type)
        optional = node.slot.pick is not None and scope.arch is None
        chosen = Flow(flow.shape, node.type, labels, shown, optional, pick, True, flow.type)
        readers = outer.readers.get(index, set())
        reader = outer.node(next(iter(readers))) if len(readers) == 1 and -1 not in readers else None
        if not (isinstance(reader, OpNode) and reader.spec.inputs is None):
            chosen = Flow(self.state([chosen]), node.type)
        at[Ref(part.nodes[0])] = chosen

    def zero(self, scope: Scope, part: Part, candidate: int) -> bool:
        """Whether a candidate gives nothing but zeros."""
        refs = results(scope, part, candidate)
        node = scope.node(refs[0].node) if refs and refs[0].node >= len(scope.region.inputs) else None
        return isinstance(node, OpNode) and node.spec.name == "zero"

    def box(self, scope: Scope, part: Part, takes: TensorType, decision: DecisionDecl, pick: Shown | None) -> str:
        """A choice as a box that lists its candidates."""
        lines, shown = rows.of_choice(self, scope, part, 0, decision)
        title = decision.step.name or scope.region.name
        if decision.kind == "value" or scope.arch is None:
            parent = decision.step.parent
            title = parent.name if decision.kind == "value" and parent is not None and parent.name else title
            lines = [Line(title, "title"), *lines]
        gives = [scope.type(Ref(k)) for k in part.nodes]
        if len(part.nodes) > 1:
            self.bodies(scope, part, decision)
        return self.add("choice", lines, [*shown, *((pick,) if pick else ())], gives, takes)

    def bodies(self, scope: Scope, part: Part, decision: DecisionDecl) -> None:
        """Panels for what the candidates of a choice among several scales are."""
        chosen = scope.value(decision)
        for k, label in enumerate(decision.labels):
            inside = [scope.node(n) for n in body(scope, part, k)]
            if len(inside) == 1 and isinstance(inside[0], CallNode) and chosen in (None, k):
                self.reader.body(label, scope.alone(inside[0]))

    def structured(self, scope: Scope, part: Part) -> bool:
        """Whether a candidate has an inside that only a drawing can show: a definition with a panel."""
        nodes = (scope.node(n) for n in part.interior)
        return any(isinstance(n, CallNode) and self.reader.panelled(n) for n in nodes)

    def alternatives(
        self, scope: Scope, part: Part, flows: Sequence[Flow], decision: DecisionDecl, pick: Shown | None
    ) -> str:
        """A frame for each candidate, and the place where one of them is taken."""
        chosen = scope.value(decision)
        kind = scope.type(Ref(part.nodes[0]))
        frames = []
        for k, label in enumerate(decision.labels):
            if chosen is not None and chosen != k:
                continue
            inner = self.frame(scope, body(scope, part, k), part.inputs)
            title = (Line(label if len(label) <= words.LONG else f"{k + 1}", "candidate"),)
            frame = self.add("frame" if inner.shapes else "choice", title, inner=inner if inner.shapes else None)
            self.gives[frame] = [kind]
            for flow in flows:
                self.wire(flow, frame)
            frames.append(frame)
        said = "" if chosen is None else words.value_text(decision, chosen)
        shown = (self.attach(scope, decision, said), *((pick,) if pick else ()))
        if chosen is not None:
            self.shapes[-1] = replace(self.shapes[-1], shown=shown)
            return frames[0]
        shape = self.add("join", (Line(f"1 of {len(frames)}"),), shown, (kind,), flows[0].type)
        for frame in frames:
            self.wires.append((Wire(frame, shape), kind, kind))
        return shape

    def depth_choice(self, scope: Scope, part: Part, at: At, decision: DecisionDecl) -> None:
        """Copies of which a prefix is there; those that always are stand before and are joined to them at the end."""
        flows = [at[ref] for ref in part.inputs if ref in at]
        diagram = self.frame(scope, part.interior, part.inputs)
        depths = [d for d in decision.values if isinstance(d, int)]
        shown = self.attach(scope, decision, f"depth: {words.decision_text(decision)}")
        node_type = scope.type(Ref(part.nodes[0]))
        takes = flows[0].type
        if len(diagram.shapes) == 1:
            only = diagram.shapes[0]
            shape = self.add(only.role, only.lines, (*only.shown, shown), (node_type,), takes, only.panel, only.inner)
        else:
            shape = self.add("frame", (), (shown,), (node_type,), takes, inner=diagram)
        self.depths[shape] = (min(depths), max(depths))
        self.shapes[-1] = replace(self.shapes[-1], times=words.depth_text(depths))
        for flow in flows:
            self.wire(flow, shape)
        for k in part.nodes:
            at[Ref(k)] = Flow(shape, scope.type(Ref(k)))

    def slot_of(self, scope: Scope, part: Part) -> SlotDecl | None:
        """The slot of a choice, or of a call that is nothing but a choice of single tensors."""
        node = scope.node(part.nodes[0])
        if isinstance(node, CallNode):
            flat = self.flat(scope, node)
            if flat is None:
                return None
            node = flat[0].node(flat[1].nodes[0])
        return node.slot if isinstance(node, ChooseNode) and len(part.nodes) == 1 else None

    def cellular(self, scope: Scope, parts: Sequence[Part]) -> bool:
        """Whether choices are edges here: two of them meet in one sum, or elements are picked."""
        chosen: set[int] = set()
        for part in parts:
            slot = self.slot_of(scope, part)
            if slot is not None and (slot.decision is None or slot.decision.kind != "depth") and (
                slot.decision is None or not self.foreign(scope, slot) or part.kind == "call"
            ):  # fmt: skip
                chosen.update(part.nodes)
                if slot.pick is not None or slot.decision is None:
                    return True
        sums = (scope.node(part.nodes[0]) for part in parts if part.kind == "op")
        return any(isinstance(n, OpNode) and len({r.node for r in n.inputs} & chosen) > 1 for n in sums)

    def flat(self, scope: Scope, call: CallNode) -> tuple[Scope, Part] | None:
        """The choice that a definition is, where it is nothing else."""
        if call.binder is not None or not call.region.searches or self.depth > 0:
            return None
        inner = scope.enter(call)
        parts = parts_of(inner)
        if len(parts) != 1 or self.reader.panelled(call):
            return None
        node = inner.node(parts[0].nodes[0])
        if isinstance(node, CallNode):
            return self.flat(inner, node)
        outputs = {inner.through(o.ref) for o in call.region.outputs}
        if parts[0].kind != "choice" or outputs != {Ref(n) for n in parts[0].nodes}:
            return None
        return inner, parts[0]
