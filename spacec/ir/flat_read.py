"""Reads flat graphs from their text (:mod:`spacec.ir.flat_text`): ``read_flat(flat_text(g), ops) == g``, places in the
source apart.

Node numbers of the text are names: they may have gaps, so long as each node comes before what reads it. A line may end
in a comment (``;``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from spacec.ir.conditions import Cond
from spacec.ir.flat import (
    Edge,
    FlatCall,
    FlatChoose,
    FlatEntry,
    FlatGraph,
    FlatInput,
    FlatMeet,
    FlatMix,
    FlatNode,
    FlatOp,
    FlatSwitch,
    Gate,
    Term,
)
from spacec.ir.flat_cursor import Cursor, FlatTextError
from spacec.ir.flat_values import Values
from spacec.ir.ops import OPEN, REQUIRED, AttrValue, OpSpec, OpTable, Precondition

__all__ = ["FlatTextError", "read_flat"]


def read_flat(text: str, ops: OpTable) -> FlatGraph:
    """The graph that a text writes down. Raises :class:`FlatTextError`."""
    reading = _Reading(ops)
    for number, line in enumerate(text.splitlines(), 1):
        cursor = Cursor(line, number)
        if not cursor.ended():
            try:
                reading.line(cursor)
            except RecursionError:
                cursor.fail("nested too deeply")
            if not cursor.ended():
                cursor.fail("more than the line needs")
    return reading.graph()


@dataclass
class _Reading:
    """What the lines so far said."""

    ops: OpTable
    name: str = ""
    inputs: tuple[str, ...] = ()
    nodes: list[FlatNode] = field(default_factory=list)
    place: dict[str, int] = field(default_factory=dict)
    values: Values = field(default_factory=Values)
    needs: list[Precondition] = field(default_factory=list)
    entries: list[FlatEntry] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)

    def graph(self) -> FlatGraph:
        return FlatGraph(
            self.name, tuple(self.nodes), self.inputs, self.outputs, tuple(self.needs), tuple(self.entries)
        )

    def line(self, at: Cursor) -> None:
        if at.kind() == "node":
            number = at.take("node")
            at.expect("=")
            node = self.node(at)
            if number in self.place:
                at.fail(f"{number} is there twice")
            self.place[number] = len(self.nodes)
            self.nodes.append(node)
            return
        match at.take("name"):
            case "graph":
                self.name = at.name()
                at.expect("(")
                self.inputs = tuple(at.several(at.name, ")"))
            case "size":
                self.values.declare(at)
            case "cases":
                self.values.diagram(at)
            case "require":
                dim = self.values.size(at)
                at.expect("%")
                self.needs.append(Precondition(dim, at.integer()))
            case "entry":
                at.integer()
                at.expect("=")
                name = at.name()
                at.expect("(")
                self.entries.append(FlatEntry(name, tuple(at.several(lambda: self.call(at), ")"))))
            case "output":
                name = at.name()
                at.expect("=")
                self.outputs[name] = self.source(at)
            case word:
                at.fail(f"`{word}` begins no line")

    # Nodes -----------------------------------------------------------------------------------------

    def node(self, at: Cursor) -> FlatNode:
        match at.kind(), at.name():
            case "name", "input":
                name = at.name()
                at.expect(":")
                return FlatInput(name, self.values.type(at))
            case "name", "choose":
                return self.choose(at)
            case "name", "switch":
                return self.switch(at)
            case "name", "meet":
                sources = tuple(self.sources(at))
                at.expect("entry")
                at.expect("=")
                entry = at.integer()
                at.expect(":")
                return FlatMeet(entry, sources, self.values.type(at), self.values.guard(at))
            case "name", "mix":
                at.expect("(")
                terms = tuple(at.several(lambda: self.term(at), ")"))
                at.expect(":")
                return FlatMix(terms, self.values.type(at), self.values.guard(at))
            case _, name:
                return self.op(at, name)

    def op(self, at: Cursor, name: str) -> FlatOp:
        spec = self.ops.get(name)
        if spec is None:
            at.fail(f"no op is called `{name}`")
        inputs, given = tuple(self.sources(at)), {}
        while not at.accept(":"):
            key = at.name()
            at.expect("=")
            given[key] = self.values.value(at)
        attrs, type_ = _complete(at, spec, given), self.values.type(at)
        key = ""
        if at.accept("key"):
            at.expect("=")
            key = at.name()
        parts: tuple[str, ...] = ()
        if at.accept("parts"):
            at.expect("=")
            at.expect("(")
            parts = tuple(at.several(at.name, ")"))
        frozen, again = at.accept("frozen"), at.accept("recompute")
        guard = self.values.guard(at)
        return FlatOp(spec, attrs, inputs, type_, key, guard, frozen=frozen, parts=parts, recompute=again)

    def choose(self, at: Cursor) -> FlatChoose:
        at.expect("(")
        alternatives = tuple(at.several(lambda: self.alternative(at), ")"))
        at.expect("slot")
        at.expect("=")
        slot = at.name()
        at.expect("instance")
        at.expect("=")
        instance, edge, bypass = at.name(), None, None
        if at.accept("edge"):
            at.expect("=")
            edge = Edge(*self.activation(at), at.integer())
        if at.accept("bypass"):
            at.expect("=")
            bypass = self.source(at)
        at.expect(":")
        type_ = self.values.type(at)
        return FlatChoose(slot, alternatives, type_, instance, self.values.guard(at), edge=edge, bypass=bypass)

    def switch(self, at: Cursor) -> FlatSwitch:
        def option() -> tuple[int | None, Cond]:
            alternative = self.alternative(at)
            at.expect("if")
            return alternative, self.values.condition(at)

        at.expect("(")
        options = at.several(option, ")")
        at.expect(":")
        type_ = self.values.type(at)
        return FlatSwitch(tuple(a for a, _ in options), tuple(c for _, c in options), type_, self.values.guard(at))

    def term(self, at: Cursor) -> Term:
        source, first, norm, gates = self.source(at), 0, "", []
        if at.accept("from"):
            first = at.integer()
        if at.accept("norm"):
            at.expect("=")
            norm = at.name()
        while at.accept("by"):
            slot, instance = self.activation(at)
            gates.append(Gate(slot, instance, None if at.accept("*") else at.integer()))
        return Term(source, tuple(gates), first, norm)

    def call(self, at: Cursor) -> FlatCall:
        at.expect("from")
        caller = None if at.accept("none") else at.integer()
        at.expect("if")
        return FlatCall(caller, self.values.condition(at))

    def activation(self, at: Cursor) -> tuple[str, str]:
        slot = at.name()
        at.expect("@")
        instance = at.name()
        at.expect("=")
        return slot, instance

    def sources(self, at: Cursor) -> list[int]:
        at.expect("(")
        return at.several(lambda: self.source(at), ")")

    def alternative(self, at: Cursor) -> int | None:
        return None if at.accept("none") else self.source(at)

    def source(self, at: Cursor) -> int:
        number = at.take("node")
        if number not in self.place:
            at.fail(f"{number} is not there yet")
        return self.place[number]


def _complete(at: Cursor, spec: OpSpec, given: dict[str, AttrValue]) -> dict[str, AttrValue]:
    """Every parameter in order, with what the text gives or its default; then what is no parameter."""
    attrs: dict[str, AttrValue] = {}
    for param in spec.params:
        if param.name in given:
            attrs[param.name] = given.pop(param.name)
        elif param.default is REQUIRED or param.default is OPEN:
            at.fail(f"`{spec.name}` needs {param.name}")
        else:
            attrs[param.name] = cast(AttrValue, param.default)
    return {**attrs, **given}
