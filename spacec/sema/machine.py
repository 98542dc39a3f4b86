"""The state of one elaboration, and the seam between its parts.

Evaluating data and applying networks are mutually recursive; each lives in its own file and
reaches the other through the two functions that :class:`Machine` carries, so imports stay acyclic.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from spacec.diagnostics.model import Diagnostic, Label, Sink
from spacec.ir.dims import Symbol
from spacec.ir.graph import Binder, Region
from spacec.ir.ops import AttrValue, OpSpec, OpTable, Precondition
from spacec.sema.builder import Builder, Cx
from spacec.sema.values import UNKNOWN, Closure, Definition, Env, Pack, Tensor, Value, Want
from spacec.source import SourceFile, Span
from spacec.syntax import ast

MAX_NESTING = 150
"""Definitions inside each other; a finite recursion that needs more is written as a repeat."""
MAX_NODES = 400_000
"""Nodes of one elaboration, over all regions."""
MAX_REPEAT = 10_000


class Evaluate(Protocol):
    def __call__(self, m: Machine, cx: Cx, expr: ast.Expr, env: Env, want: Want | None = None) -> Value: ...


class Apply(Protocol):
    def __call__(self, m: Machine, cx: Cx, expr: ast.Expr, env: Env, x: Value, want: Want | None = None) -> Value: ...


@dataclass(frozen=True)
class Instance:
    """A finished region, with the shape of its result."""

    region: Region
    result: Value
    own_symbols: bool


@dataclass(eq=False)
class Machine:
    """One elaboration: what it knows, what it has reported, what it has built."""

    source: SourceFile
    """The user's file; libraries have others."""
    sink: Sink
    ops: OpTable
    defaults: Mapping[str, Mapping[str, AttrValue]]
    root_env: Env
    evaluate: Evaluate
    apply: Apply
    instances: dict[Hashable, Instance] = field(default_factory=dict)
    active: list[tuple[Hashable, str, Span]] = field(default_factory=list)
    """Definitions being elaborated: instance key, name, where it was called."""
    preconditions: dict[Precondition, Span] = field(default_factory=dict)
    binders: dict[Hashable, Binder] = field(default_factory=dict)
    skeletons: dict[int, tuple[str, Span]] = field(default_factory=dict)
    shared_data: dict[int, tuple[Value, Region]] = field(default_factory=dict)
    shared_symbols: dict[tuple[int, int], Symbol] = field(default_factory=dict)
    surveyed: set[int] = field(default_factory=set)
    uses: set[int] = field(default_factory=set)
    """Bindings (by id of their syntax) that some live text reached."""
    inline_bindings: dict[int, ast.Binding] = field(default_factory=dict)
    nodes: int = 0

    @property
    def nodes_exceeded(self) -> bool:
        return self.nodes >= MAX_NODES

    def fail(
        self,
        code: str,
        span: Span,
        headline: str,
        label: str = "",
        *,
        labels: tuple[Label, ...] = (),
        notes: tuple[str, ...] = (),
        help: str = "",
    ) -> Value:
        """Report, and return the value that keeps everything downstream silent.

        A finding inside a library is shown at the user's own text that led there.
        """
        if span.source is not self.source:
            use = next(((name, at) for _, name, at in reversed(self.active) if at.source is self.source), None)
            if use is not None:
                labels = (Label(span, label or "found here"), *labels)
                span, label, help = use[1], f"in this use of `{use[0]}`", ""
        self.sink.add(Diagnostic(code, headline, span, label, labels, notes, help))
        return UNKNOWN

    def count_nodes(self, builder: Builder, span: Span) -> bool:
        """Whether the space is still within its size limit; reports once when it is not."""
        self.nodes += 1
        if self.nodes == MAX_NODES:
            self.fail("E0408", span, f"the space has over {MAX_NODES:,} nodes", "the limit was passed here")
        return self.nodes < MAX_NODES


def fingerprint(value: Value, root: Env) -> Hashable | None:
    """A key that is equal only for values that elaborate alike; ``None`` where there is none (captured tensors)."""
    match value:
        case Tensor():
            return None
        case Pack():
            parts = tuple(fingerprint(v, root) for v in value.items)
            return None if None in parts else ("pack", *parts)
        case Closure():
            return _closure_key(value.expr, value.env, root)
        case Definition():
            captured = _closure_key(value.binding, value.env, root)
            return None if captured is None else (captured, id(value.binder))
        case OpSpec():
            return ("op", value.name)
        case bool() | int() | float() | str():
            return (type(value).__name__, value)
        case _:
            return value


def _closure_key(node: ast.Node, env: Env, root: Env) -> Hashable | None:
    names, inline = free_names(node)
    captured: list[Hashable] = [id(node)]
    if inline:
        captured.append(id(env.home))
    for name in sorted(names):
        scope = env.depth_of(name)
        if scope is None or scope is root or scope.parent is None:
            continue
        key = fingerprint(scope.names[name], root)
        if key is None:
            return None
        captured.append((name, key))
    return tuple(captured)


def free_names(node: object) -> tuple[frozenset[str], bool]:
    """Every name mentioned in a piece of syntax, and whether it binds inline.

    Bound names are included: a superset is safe for keys.
    """
    found: set[str] = set()
    inline = False
    stack: list[object] = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, ast.Name):
            found.add(item.id)
        elif isinstance(item, tuple):
            stack.extend(item)
        elif isinstance(item, ast.Node):
            inline |= isinstance(item, ast.Inline)
            stack.extend(v for k, v in vars(item).items() if not k.endswith("span"))
        if isinstance(item, ast.Append):
            found.add(item.target)
    return frozenset(found), inline
