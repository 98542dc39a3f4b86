"""What a diagram is drawn on: shapes, wires, and which decisions are shown already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spacec.draw import words
from spacec.draw.model import Diagram, Line, Role, Shape, Shown, Wire
from spacec.draw.parts import Scope
from spacec.ir.graph import CallNode, DecisionDecl, Ref
from spacec.ir.types import TensorType

if TYPE_CHECKING:
    from spacec.draw.read import Reader


@dataclass(frozen=True)
class Flow:
    """Where a tensor comes from: a shape, or a chosen edge that is still to be drawn."""

    shape: str
    type: TensorType
    labels: tuple[str, ...] = ()
    shown: tuple[Shown, ...] = ()
    optional: bool = False
    pick: Shown | None = None
    chosen: bool = False
    """The edge is drawn by whoever reads it."""
    start: TensorType | None = None
    """What the edge reads, where that is of another type."""


At = dict[Ref, Flow]


@dataclass
class Canvas:
    """Collects the shapes of one panel; frames inside have drawings of their own."""

    reader: Reader
    depth: int = 0
    open_scales: bool = False
    """Write out calls that give several tensors and decide nothing."""
    prefix: str = ""
    typed: bool = False
    """Say the types: in the network itself; a definition may be used at several."""
    shapes: list[Shape] = field(default_factory=list)
    wires: list[tuple[Wire, TensorType, TensorType]] = field(default_factory=list)
    gives: dict[str, list[TensorType]] = field(default_factory=dict)
    notes: list[Line] = field(default_factory=list)
    noted: list[Shown] = field(default_factory=list)
    opened: list[tuple[CallNode, ...]] = field(default_factory=list)
    ops: dict[str, bool] = field(default_factory=dict)
    """Shapes of ops, and whether they have weights."""
    depths: dict[str, tuple[int, int]] = field(default_factory=dict)
    attached: set[tuple[int, ...]] = field(default_factory=set)
    states: int = 0

    def add(
        self,
        role: Role,
        lines: Sequence[Line],
        shown: Sequence[Shown] = (),
        gives: Sequence[TensorType] = (),
        takes: TensorType | None = None,
        panel: str = "",
        inner: Diagram | None = None,
    ) -> str:
        """A new shape; its id."""
        self.reader.count_box()
        name = f"{self.prefix}{len(self.shapes)}"
        typed = self.typed and len(gives) == 1 and role not in ("input", "output")
        typed = typed and all(s.domain is None or self.reader.arch for s in gives[0].symbols)
        kind = words.type_text(gives[0], self.decided) if typed else ""
        if takes is not None and kind == words.type_text(takes, self.decided):
            kind = ""
        self.shapes.append(Shape(name, role, tuple(lines), kind, tuple(shown), "", panel, inner))
        self.gives[name] = list(gives)
        return name

    def wire(self, flow: Flow, head: str) -> None:
        """From where a tensor comes to a shape; inside a frame, what comes from outside has no wire."""
        if flow.shape:
            wire = Wire(flow.shape, head, flow.labels, flow.shown, flow.optional)
            self.wires.append((wire, flow.start or flow.type, flow.type))

    def settled(self, flow: Flow) -> Flow:
        """An edge whose operation an architecture decides, with a box for it."""
        if not (flow.chosen and flow.labels and self.reader.arch is not None):
            return flow
        box = self.add("choice", (Line(flow.labels[0], "candidate"),), flow.shown, (flow.type,), flow.type)
        self.wire(Flow(flow.shape, flow.start or flow.type), box)
        return Flow(box, flow.type)

    def decided(self, decision: DecisionDecl) -> int | None:
        return self.reader.decided(decision)

    def attach(self, scope: Scope, decision: DecisionDecl, text: str = "") -> Shown:
        """Mark a decision as shown."""
        self.attached.add((*map(id, scope.calls), id(decision)))
        return Shown(scope.ref(decision), text or words.decision_text(decision))

    def is_attached(self, scope: Scope, decision: DecisionDecl) -> bool:
        return (*map(id, scope.calls), id(decision)) in self.attached

    def note(self, scope: Scope, decision: DecisionDecl, name: str) -> None:
        value = scope.value(decision)
        if scope.arch is not None and value is None:
            return
        text = words.decision_text(decision) if value is None else words.value_text(decision, value)
        self.noted.append(self.attach(scope, decision, f"{name}: {text}"))
        self.notes.append(Line(f"{name}: {text}"))

    def state(self, flows: Sequence[Flow]) -> str:
        """A numbered state that these edges end in; picks of its edges are said below its number."""
        picks = [flow.pick for flow in flows if flow.pick is not None]
        flows = [self.settled(flow) for flow in flows]
        said = [] if self.reader.arch is not None else [Line(shown.text, "muted") for shown in picks]
        shape = self.add("state", (Line(str(self.states), "title"), *said), picks, [flows[0].type], flows[0].type)
        self.states += 1
        for flow in flows:
            self.wire(flow, shape)
        return shape

    def join(self, refs: Sequence[Ref], at: At, role: Role, name: str, kind: TensorType | None = None) -> str:
        """A sum, a concatenation or an output; what is absent has no wire."""
        flows = [at[ref] for ref in refs if ref in at]
        if role == "state" and name == "+" and flows:
            return self.state(flows)
        picks = [flow.pick for flow in flows if flow.pick is not None]
        flows = [self.settled(flow) for flow in flows]
        lines = [Line(name), *(Line(p.text, "muted") for p in picks if self.reader.arch is None)]
        takes = flows[0].type if flows else None
        gives = [flow.type for flow in flows] if role == "output" else [kind] if kind is not None else []
        shape = self.add("join" if role == "state" else role, lines, picks, gives, takes)
        for flow in flows:
            self.wire(flow, shape)
        return shape
