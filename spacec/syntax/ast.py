"""The abstract syntax of a space file.

Every node is a frozen dataclass; ``span`` is where the text stands and takes no part in
equality, so that ``parse(format(tree)) == tree`` is a law one can test. Nothing here is
resolved: a name is a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Literal

from spacec.source import NOWHERE, Span


@dataclass(frozen=True, kw_only=True)
class Node:
    span: Span = field(default=NOWHERE, compare=False, repr=False)


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True)
class Name(Node):
    id: str


@dataclass(frozen=True)
class Number(Node):
    """``5``, ``0.001``, ``600M``, ``30ms``: ``value`` is scaled (K, M, G), ``unit`` is what is left (``ms``)."""

    value: int | float
    text: str = field(default="", compare=False)
    unit: str = ""


@dataclass(frozen=True)
class String(Node):
    value: str


@dataclass(frozen=True)
class Range(Node):
    """``low..high``, both inclusive; only in lists, braces, loops and ``pick`` counts."""

    low: Expr
    high: Expr


@dataclass(frozen=True)
class Spread(Node):
    """``*sizes`` in a list, a brace, a type or an argument list."""

    value: Expr


@dataclass(frozen=True)
class TupleOf(Node):
    items: tuple[Expr, ...]


@dataclass(frozen=True)
class ListOf(Node):
    """``[a, b, 1..3, *c]``: data, or a type where a type is expected."""

    items: tuple[Expr, ...]


@dataclass(frozen=True)
class Braces(Node):
    """``{3, 5, 7}``: a choice of values (a pyramid where a type is expected)."""

    items: tuple[Expr, ...]
    elastic: bool = False


@dataclass(frozen=True)
class Arg(Node):
    value: Expr
    name: str | None = None


@dataclass(frozen=True)
class Call(Node):
    callee: Expr
    args: tuple[Arg, ...]


@dataclass(frozen=True)
class Index(Node):
    """``s[2]``, ``walk[l + 1, r]``."""

    base: Expr
    items: tuple[Expr, ...]


@dataclass(frozen=True)
class Slice(Node):
    """``s[2..]``, ``s[..i-2]``, ``s[1..3]``: bounds inclusive."""

    base: Expr
    low: Expr | None
    high: Expr | None


@dataclass(frozen=True)
class Attribute(Node):
    """``b.hw``."""

    base: Expr
    name: str


@dataclass(frozen=True)
class Unary(Node):
    op: Literal["-", "not"]
    operand: Expr


BinaryOp = Literal["+", "-", "*", "/", "//", "%", "^", "and", "or"]
CompareOp = Literal["<=", ">=", "==", "!=", "<", ">", "in", "not in"]


@dataclass(frozen=True)
class Binary(Node):
    """Arithmetic; on networks ``f + g`` is a sum and ``f * n`` a repeat."""

    op: BinaryOp
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Compare(Node):
    """``a < b <= c``: ``operands`` is one longer than ``ops``."""

    operands: tuple[Expr, ...]
    ops: tuple[CompareOp, ...]


@dataclass(frozen=True)
class Pipe(Node):
    """``a >> b >> c``."""

    stages: tuple[Expr, ...]


@dataclass(frozen=True)
class Typed(Node):
    """``stage -> [c, *hw]``."""

    stage: Expr
    type: Expr


@dataclass(frozen=True)
class Candidate(Node):
    """One alternative: ``label: value @ prior when guard``."""

    value: Expr
    label: str | None = None
    prior: Expr | None = None
    guard: Expr | None = None


@dataclass(frozen=True)
class Alternatives(Node):
    """``a | b | c``; also one candidate that has a label, a prior or a guard."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class From(Node):
    """``from s: f`` and ``pick k from x in s: value``.

    ``count`` is ``None`` (no pick), ``"any"``, an expression, or a :class:`Range`.
    ``name`` is ``None`` where ``body`` is a network mapped over the elements.
    """

    source: Expr
    body: Expr
    name: str | None = None
    count: Expr | Literal["any"] | None = None


@dataclass(frozen=True)
class Inline(Node):
    """``let(e)`` and ``tied(e)``."""

    kind: Literal["let", "tied"]
    value: Expr


@dataclass(frozen=True)
class Dag(Node):
    """``dag(a, b) { … }``."""

    params: tuple[str, ...]
    body: tuple[Stmt, ...]


# ----------------------------------------------------------------- statements


@dataclass(frozen=True)
class Assign(Node):
    """``a = b = value`` and ``a, b = b, value``; ``targets`` holds one name tuple per ``=``."""

    targets: tuple[tuple[str, ...], ...]
    values: tuple[Expr, ...]


@dataclass(frozen=True)
class Append(Node):
    """``s += value``."""

    target: str
    value: Expr


@dataclass(frozen=True)
class For(Node):
    name: str
    iterable: Expr
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class If(Node):
    condition: Expr
    then: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...] = ()


@dataclass(frozen=True)
class Return(Node):
    values: tuple[Expr, ...]


# ----------------------------------------------------------------- top level


@dataclass(frozen=True)
class Param(Node):
    name: str
    default: Expr | None = None


@dataclass(frozen=True)
class Binding(Node):
    """``def``, ``let`` or ``tied``; ``indices`` makes it a family; ``within`` bounds recursion."""

    kind: Literal["def", "let", "tied"]
    name: str
    body: Expr
    indices: tuple[str, ...] = ()
    params: tuple[Param, ...] | None = None
    within: int | None = None
    name_span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Header(Node):
    """``space darts(C = 16, …)``; a library file has none."""

    name: str
    params: tuple[Param, ...] = ()


@dataclass(frozen=True)
class Use(Node):
    """``use "cells.space"`` and, with values for its parameters, ``use "cells.space"(C = 8)``."""

    path: str
    args: tuple[Arg, ...] = ()


@dataclass(frozen=True)
class Port(Node):
    """``input image: [3, 32, 32]`` and ``output side: [classes] when aux``."""

    direction: Literal["input", "output"]
    name: str
    type: Expr
    guard: Expr | None = None
    name_span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Default(Node):
    """``default bn(affine = 0)``."""

    op: str
    args: tuple[Arg, ...]


@dataclass(frozen=True)
class Where(Node):
    conditions: tuple[Expr, ...]


@dataclass(frozen=True)
class Preset(Node):
    """``preset tiny(C = 4, layers = 3)``."""

    name: str
    args: tuple[Arg, ...]


@dataclass(frozen=True)
class Net(Node):
    value: Expr


Expr = (
    Name | Number | String | Range | Spread | TupleOf | ListOf | Braces | Call | Index | Slice | Attribute
    | Unary | Binary | Compare | Pipe | Typed | Alternatives | From | Inline | Dag
)  # fmt: skip
Stmt = Assign | Append | For | If | Return | Binding
Item = Use | Port | Default | Where | Preset | Net | Binding


@dataclass(frozen=True)
class File(Node):
    header: Header | None
    items: tuple[Item, ...]


_PLAIN = ("str", "str | None", "int", "int | None", "int | float", "bool", "Span", "BinaryOp")
_PARTS = {
    kind: tuple(f.name for f in fields(kind) if not str(f.type).startswith("Literal") and f.type not in _PLAIN)
    for kind in vars().copy().values()
    if isinstance(kind, type) and issubclass(kind, Node)
}


def parts(node: Node) -> Iterator[Node]:
    """The nodes directly below a node, in the order of the text."""
    for name in _PARTS[type(node)]:
        value = getattr(node, name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            for part in value:
                if isinstance(part, Node):
                    yield part
