"""Building one region: nodes, steps, decisions and slots are added here and nowhere else.

Guarantees for the finished region: nodes are in topological order, stateless nodes with equal op,
attributes, inputs and guard are one node, and every step that bears decisions or state has its
ordinal among its siblings.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from spacec.ir.conditions import ALWAYS, Cond, both
from spacec.ir.dims import Dim
from spacec.ir.graph import (
    Binder,
    CallNode,
    ChooseNode,
    DecisionDecl,
    Node,
    OpNode,
    Output,
    Ref,
    Region,
    SlotDecl,
    Step,
    SwitchNode,
)
from spacec.ir.ops import AttrValue, OpResult, OpSpec
from spacec.ir.types import TensorType
from spacec.source import Span


@dataclass(eq=False)
class Builder:
    """One region under construction."""

    region: Region
    steps: list[Step] = field(default_factory=list)
    binder: Binder | None = None
    """The let or tied whose body this is."""
    pure: dict[Hashable, Ref] = field(default_factory=dict)
    symbols: list[int] = field(default_factory=lambda: [0])
    """How many size symbols the binder's body has made so far, shared with its callees."""
    scratch: bool = False
    """What is built here is thrown away: an alternative is tried."""
    indicators: dict[Cond, Dim] = field(default_factory=dict)
    """Conditions as sizes: 1 where they hold."""
    own: bool = False
    """A single decision was declared, or presence read as a number, here or in a callee: for one activation only."""

    def _append(self, node: Node) -> Ref:
        self.region.nodes.append(node)
        return Ref(len(self.region.inputs) + len(self.region.nodes) - 1)

    def op(
        self,
        spec: OpSpec,
        attrs: dict[str, AttrValue],
        inputs: tuple[Ref, ...],
        result: OpResult,
        step: Step,
        guard: Cond,
        span: Span,
    ) -> Ref:
        """A primitive; an equal stateless one under the same guard is shared."""
        if spec.state:
            step.mark(stateful=True)
            self.region.stateful = True
            return self._append(OpNode(spec, attrs, inputs, result, step, guard, span))
        key = (spec.name, tuple(sorted(attrs.items(), key=lambda a: a[0])), inputs, guard)
        if key not in self.pure:
            self.pure[key] = self._append(OpNode(spec, attrs, inputs, result, None, guard, span))
        return self.pure[key]

    def choose(
        self, slot: SlotDecl, alternatives: tuple[Ref | None, ...], type: TensorType, guard: Cond, span: Span
    ) -> Ref:
        return self._append(ChooseNode(slot, alternatives, type, guard, span))

    def switch(
        self,
        alternatives: tuple[Ref | None, ...],
        conditions: tuple[Cond, ...],
        type: TensorType,
        guard: Cond,
        span: Span,
    ) -> Ref:
        return self._append(SwitchNode(alternatives, conditions, type, guard, span))

    def call(
        self, region: Region, inputs: tuple[Ref, ...], step: Step, binder: Binder | None, guard: Cond, span: Span
    ) -> tuple[CallNode, int]:
        """A call of a finished region; returns the node and its index for :class:`Ref`."""
        if region.decides and binder is None:
            step.mark(decides=True)
            self.region.decides = True
        if region.searches and binder is not None and binder.region is not None and binder.home is not None:
            binder.home.mark(decides=True)  # its ids hang below the activation that declares it
            binder.region.decides = True
        if region.stateful and not (binder and binder.kind == "tied"):
            step.mark(stateful=True)
        if region.stateful:
            self.region.stateful = True
        self.region.searches |= region.searches
        self.region.singles |= region.singles
        node = CallNode(region, inputs, step, binder, guard, span)
        return node, self._append(node).node

    def decide(self, decision: DecisionDecl) -> DecisionDecl:
        decision.step.mark(decides=True)
        self.region.decides = self.region.searches = True
        self.region.singles |= decision.single
        self.own |= decision.single
        self.region.decisions.append(decision)
        return decision

    def name_once(self, decision: DecisionDecl) -> None:
        """Let the declaration of a decision alone name it: its outcome is handed on as a value."""
        decision.single = self.own = self.region.singles = True

    def slot(self, slot: SlotDecl) -> SlotDecl:
        self.region.slots.append(slot)
        if slot.decision is not None:
            slot.decision.slot = slot
        slot.step.mark(decides=True)
        self.region.decides = self.region.searches = True
        return slot

    def step(self, name: str, parent: Step) -> Step:
        step = Step(name, parent)
        self.steps.append(step)
        return step

    def finish(self, outputs: tuple[Output, ...]) -> Region:
        """Number the steps and close the region."""
        decided: dict[tuple[int, str], int] = {}
        stateful: dict[tuple[int, str], int] = {}
        for step in self.steps:
            step.decision_path = step.state_path = None
            key = (id(step.parent), step.name)
            if step.decides:
                step.decision_ordinal = decided.get(key, 0)
                decided[key] = step.decision_ordinal + 1
            if step.stateful:
                step.state_ordinal = stateful.get(key, 0)
                stateful[key] = step.state_ordinal + 1
        self.region.outputs = outputs
        return self.region


@dataclass(frozen=True, eq=False)
class PickContext:
    """The element of a pick whose body is being applied: the next choice, if it is the whole body, takes its slot."""

    decision: DecisionDecl | None
    """``None`` where the subset is forced."""
    element: int
    absent: bool
    step: Step
    taken: list[SlotDecl] = field(default_factory=list)


@dataclass(eq=False)
class Cx:
    """Where elaboration stands: region, path, condition, and what the enclosing text asks for.

    Nothing changes one; it is not frozen because one is made at every step and freezing would triple the time.
    """

    builder: Builder
    step: Step
    guard: Cond = ALWAYS
    fresh: bool = True
    """The step was just entered and nothing has been elaborated under it: a choice or alias here *is* the step."""
    pick: PickContext | None = None

    def enter(self, name: str) -> Cx:
        """Enter a definition, label or argument."""
        return Cx(self.builder, self.builder.step(name, self.step), self.guard, True, self.pick)

    def alias(self, name: str) -> Cx:
        """Enter ``name`` unless the current step was just entered: a body that is one name takes no step of its own."""
        return self if self.fresh else self.enter(name)

    def inside(self) -> Cx:
        """Below the top of the current step's text."""
        return Cx(self.builder, self.step, self.guard, False) if self.fresh or self.pick else self

    def below(self) -> Cx:
        """Below the top of the current step's text, with the slot that a pick lends."""
        return replace(self, fresh=False)

    def lend(self, pick: PickContext) -> Cx:
        """Offer the slot of a picked element to the body about to be applied."""
        return Cx(self.builder, self.step, self.guard, self.fresh, pick)

    def under(self, condition: Cond) -> Cx:
        if condition is ALWAYS:
            return self
        return Cx(self.builder, self.step, both(self.guard, condition), self.fresh, self.pick)
