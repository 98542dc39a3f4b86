"""Flat graphs as text, one node a line: what ``spacec opt`` prints and tests of passes are written in.

::

    graph cell(x)
    %0 = input x : [16, 32, 32]
    %1 = relu(%0) : [16, 32, 32] when cell.edge[0]=2
    %2 = conv(%1) kernel=3 out=16 stride=1 : [16, 32, 32] key=cell_0.edge_0.conv_0 when cell.edge[0]=2
    %3 = choose(none, %0, %2) slot=cell.edge[0] instance=cell_0.edge_0 : [16, 32, 32]
    %4 = mix(%0 by cell.edge[0]@cell_0.edge_1=1, %2 from 8 norm=cell_0.bn_0) : [8, 32, 32]
    output y = %3

Left of the colon stands what a node computes, right of it its type, then the key of its weights (``frozen`` where they
are not trained, ``parts`` where other layers' weights are joined, ``recompute`` where the backward pass makes the
result again), and after ``when`` its guard. A term of a mix is
read ``from`` a channel on, normalised and weighed ``by`` gates, each a candidate of an activation of a slot (``*`` is
the sum of all).
Parameters that have their op's default are left out. Sizes that decisions settle are declared at the head (``size``),
diagrams of cases too (``cases``). Places in the source are not written; all else is, so
:func:`spacec.ir.flat_read.read_flat` gives the same graph. Assumes ops whose attributes are their parameters in order,
as all rules need them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from spacec.ir.cases import Cases
from spacec.ir.conditions import ALWAYS, All, Any, Cond, Has, Is
from spacec.ir.dims import Apply, Atom, Dim, Poly
from spacec.ir.flat import (
    Edge,
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
from spacec.ir.ops import AttrValue
from spacec.ir.symbol import Symbol
from spacec.ir.types import TensorType

NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+|\[\d+\])*", re.ASCII)
"""Names that stand without quotes."""

KEYWORDS = frozenset(("input", "choose", "switch", "meet", "mix"))
"""Nodes that are no ops; an op of such a name is quoted."""

_WORDS = frozenset(("always", "never", "and", "or", "in", "none", "true", "false", "inf", "nan", "when", "frozen"))


def flat_text(flat: FlatGraph) -> str:
    """The graph as text, one line for each node."""
    return "\n".join(lines(flat)) + "\n"


def lines(flat: FlatGraph) -> Iterator[str]:
    """The lines of a graph: its head, its nodes, its entries, its outputs."""
    writer = Writer.of(flat)
    yield f"graph {name_text(flat.name)}({', '.join(map(name_text, flat.inputs))})"
    yield from writer.declarations()
    for need in flat.preconditions:
        yield f"require {writer.size(need.dim)} % {need.divisor}"
    for index, node in enumerate(flat.nodes):
        yield f"%{index} = {writer.node(node)}"
    for number, entry in enumerate(flat.entries):
        yield f"entry {number} = {_entry(entry)}"
    for name, index in flat.outputs.items():
        yield f"output {name_text(name)} = %{index}"


def name_text(name: str) -> str:
    """A name, in quotes where it is not of the plain form."""
    plain = NAME.fullmatch(name) is not None and name not in _WORDS
    return name if plain else json.dumps(name)


def condition_text(condition: Cond) -> str:
    """A guard: ``a=1/2 and (b=0 or 3 in c)``; a decision of masks is ``slot@instance``."""
    match condition:
        case Is():
            return f"{_decision(condition.decision)}={'/'.join(map(str, sorted(condition.candidates)))}"
        case Has():
            return f"{condition.element} in {_decision(condition.decision)}"
        case All():
            return " and ".join(sorted(map(_grouped, condition.parts))) or "always"
        case Any():
            return " or ".join(sorted(map(_grouped, condition.parts))) or "never"


def _grouped(condition: Cond) -> str:
    return f"({condition_text(condition)})" if isinstance(condition, Any | All) else condition_text(condition)


def _decision(decision: object) -> str:
    match decision:
        case str():
            return name_text(decision)
        case (str() as slot, str() as instance):
            return f"{name_text(slot)}@{name_text(instance)}"
    raise AssertionError(f"{decision!r} names no decision of a flat graph")


def _edge(edge: Edge) -> str:
    return f"{name_text(edge.slot)}@{name_text(edge.instance)}={edge.element}"


def _term(term: Term) -> str:
    text = f"%{term.source}"
    text += f" from {term.first}" if term.first else ""
    text += f" norm={name_text(term.norm)}" if term.norm else ""
    return text + "".join(f" by {_gate(gate)}" for gate in term.gates)


def _gate(gate: Gate) -> str:
    which = "*" if gate.candidate is None else gate.candidate
    return f"{name_text(gate.slot)}@{name_text(gate.instance)}={which}"


def _entry(entry: FlatEntry) -> str:
    calls = (
        f"from {'none' if call.caller is None else call.caller} if {condition_text(call.gate)}" for call in entry.calls
    )
    return f"{name_text(entry.name)}({', '.join(calls)})"


class Writer:
    """Writes nodes; ``diagrams`` are numbered in the order in which they are declared."""

    def __init__(self, symbols: Sequence[Symbol], diagrams: Sequence[Cases]) -> None:
        self.symbols = symbols
        self.diagrams = {diagram: number for number, diagram in enumerate(diagrams)}

    @classmethod
    def of(cls, flat: FlatGraph) -> Writer:
        """The writer of a graph, which knows all symbols of its sizes."""
        found: dict[Dim, None] = {}
        for node in flat.nodes:
            found.update(dict.fromkeys(d for d in node.type.dims if isinstance(d, Poly)))
            if isinstance(node, FlatOp):
                found.update(dict.fromkeys(_sizes(node.attrs.values())))
        found.update(dict.fromkeys(need.dim for need in flat.preconditions))
        symbols = {s: None for d in found if isinstance(d, Poly) for s in sorted(d.symbols, key=lambda s: s.key)}
        diagrams = dict.fromkeys(c for d in found for c in _diagrams(d))
        return cls(sorted(symbols, key=lambda s: (s.order, s.key)), tuple(diagrams))

    def declarations(self) -> Iterator[str]:
        """What the sizes below are made of."""
        for symbol in self.symbols:
            domain = "" if symbol.domain is None else f" in {{{', '.join(map(str, symbol.domain))}}}"
            part = f" part {symbol.part} limits {', '.join(map(str, symbol.limits))}" if symbol.part is not None else ""
            yield f"size {name_text(symbol.name)}{part}{domain} order {symbol.order}"
        for diagram, number in self.diagrams.items():
            over = ", ".join(map(_symbol, diagram.symbols))
            nodes = ", ".join(f"({', '.join(map(str, n))})" if isinstance(n, tuple) else str(n) for n in diagram.nodes)
            yield f"cases ${number} over {over} = {nodes}"

    def node(self, node: FlatNode) -> str:
        """A node without its number."""
        match node:
            case FlatInput():
                return f"input {name_text(node.name)} : {self.type(node.type)}"
            case FlatOp():
                return self._op(node)
            case FlatChoose():
                what = f"choose({_list(node.alternatives)}) slot={name_text(node.slot)}"
                what += f" instance={name_text(node.instance)}"
                what += f" edge={_edge(node.edge)}" if node.edge is not None else ""
                what += f" bypass=%{node.bypass}" if node.bypass is not None else ""
            case FlatSwitch():
                pairs = zip(node.alternatives, node.conditions, strict=True)
                what = f"switch({', '.join(f'{_ref(a)} if {condition_text(c)}' for a, c in pairs)})"
            case FlatMeet():
                what = f"meet({_list(node.sources)}) entry={node.entry}"
            case FlatMix():
                what = f"mix({', '.join(map(_term, node.terms))})"
        return f"{what} : {self.type(node.type)}{_when(node.guard)}"

    def _op(self, op: FlatOp) -> str:
        name = json.dumps(op.spec.name) if op.spec.name in KEYWORDS else op.spec.name
        defaults = {param.name: param.default for param in op.spec.params}
        told = (
            f" {name_text(key)}={self.value(value)}"
            for key, value in op.attrs.items()
            if not (key in defaults and type(value) is type(defaults[key]) and value == defaults[key])
        )
        what = f"{name}({_list(op.inputs)}){''.join(told)} : {self.type(op.type)}"
        what += f" key={name_text(op.key)}" if op.key else ""
        what += f" parts=({', '.join(map(name_text, op.parts))})" if op.parts else ""
        what += " frozen" if op.frozen else ""
        what += " recompute" if op.recompute else ""
        return what + _when(op.guard)

    def type(self, type_: TensorType) -> str:
        space = ", ".join(map(self.size, type_.space))
        if type_.kind == "dense":
            return f"[{', '.join(map(self.size, type_.dims))}]"
        return f"{type_.kind}({self.size(type_.channels)})" + (f"[{space}]" if space else "")

    def value(self, value: AttrValue) -> str:
        """The value of an attribute; sizes that are no numbers stand in braces."""
        match value:
            case None:
                return "none"
            case bool():
                return "true" if value else "false"
            case str():
                return json.dumps(value)
            case Poly():
                return f"{{{self.size(value)}}}"
            case tuple():
                return f"({', '.join(map(self.value, value))}{',' if len(value) == 1 else ''})"
            case int() | float():
                return repr(value)

    def size(self, dim: Dim) -> str:
        """A size: a sum of products over symbols, functions such as ``ceil_div(H, 2)``, and diagrams (``$0``)."""
        if isinstance(dim, int):
            return str(dim)
        text = " + ".join(self._product(monomial, coefficient) for monomial, coefficient in dim.terms)
        return text.replace("+ -", "- ")

    def _product(self, monomial: Iterable[tuple[Atom, int]], coefficient: int | Fraction) -> str:
        c = Fraction(coefficient)
        factors = [self._atom(atom) + (f"^{power}" if power != 1 else "") for atom, power in monomial]
        if abs(c.numerator) != 1 or not factors:
            factors.insert(0, str(abs(c.numerator)))
        text = ("-" if c < 0 else "") + "*".join(factors)
        return text if c.denominator == 1 else f"{text}/{c.denominator}"

    def _atom(self, atom: Atom) -> str:
        match atom:
            case Symbol():
                return _symbol(atom)
            case Cases():
                return f"${self.diagrams[atom]}"
            case Apply():
                return f"{atom.fn}({', '.join(map(self.size, atom.args))})"


def _symbol(symbol: Symbol) -> str:
    return name_text(symbol.name) + (f"#{symbol.part}" if symbol.part is not None else "")


def _ref(index: int | None) -> str:
    return "none" if index is None else f"%{index}"


def _list(indices: Iterable[int | None]) -> str:
    return ", ".join(map(_ref, indices))


def _when(guard: Cond) -> str:
    return "" if guard == ALWAYS else f" when {condition_text(guard)}"


def _sizes(values: Iterable[AttrValue]) -> Iterator[Poly]:
    for value in values:
        if isinstance(value, Poly):
            yield value
        elif isinstance(value, tuple):
            yield from _sizes(value)


def _diagrams(dim: Dim) -> Iterator[Cases]:
    if isinstance(dim, int):
        return
    for monomial, _ in dim.terms:
        for atom, _ in monomial:
            if isinstance(atom, Cases):
                yield atom
            elif isinstance(atom, Apply):
                for argument in atom.args:
                    yield from _diagrams(argument)
