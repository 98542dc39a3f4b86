"""The state of one elaboration, and the seam between its parts.

Evaluating data and applying networks are mutually recursive; each lives in its own file and
reaches the other through the two functions that :class:`Machine` carries, so imports stay acyclic.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spacec.diagnostics.model import Diagnostic, Label, Sink
from spacec.ir.dims import Symbol
from spacec.ir.graph import Binder, DecisionRef, Mention, Region
from spacec.ir.naming import Layer
from spacec.ir.ops import AttrValue, OpSpec, OpTable, Precondition
from spacec.sema.builder import Builder, Cx
from spacec.sema.values import UNKNOWN, Closure, Definition, Env, Pack, Tensor, Value, Want
from spacec.source import SourceFile, Span
from spacec.syntax import ast
from spacec.syntax.free import free_names

MAX_NESTING = 150
"""Definitions inside each other; a finite recursion that needs more is written as a repeat."""
MAX_NODES = 40_000
"""Nodes of one elaboration, over all regions."""
MAX_EXPANDED = 200_000
"""Nodes of a region with every call in it written out: what naming, costs and networks walk over."""
MAX_STEPS = 500_000
"""Expressions evaluated and list elements made; the largest published space takes a few thousand."""
MAX_REPEAT = 10_000
MAX_CANDIDATES = 10_000
"""Of one choice."""
MAX_ELEMENTS = 1_000
"""That one pick chooses among: each has a slot of its own."""
MAX_FINDINGS = 100
"""After which a file is given up; as many as anyone reads."""
MAX_DEPTH = 1_000
"""Copies of a depth choice: each names every depth that reaches it."""


class Evaluate(Protocol):
    def __call__(self, m: Machine, cx: Cx, expr: ast.Expr, env: Env, want: Want | None = None) -> Value: ...


class Apply(Protocol):
    def __call__(self, m: Machine, cx: Cx, expr: ast.Expr, env: Env, x: Value, want: Want | None = None) -> Value: ...


@dataclass(frozen=True)
class Mentions:
    """What a piece of syntax mentions; holding the node keeps its id from being given to another."""

    node: ast.Node
    names: tuple[str, ...]
    """What it takes from around it (:func:`free_names`), sorted; a superset is safe for keys."""
    inline: bool
    """Whether it binds inline."""


@dataclass(frozen=True)
class Instance:
    """A finished region, with the shape of its result."""

    region: Region
    result: Value
    own: bool
    """It stands for one activation only."""
    cut: bool = False
    """It has no result because a bound was passed."""


@dataclass(eq=False)
class Machine:
    """One elaboration: what it knows, what it has reported, what it has built."""

    source: SourceFile
    """The user's file; libraries have others."""
    sink: Sink
    ops: OpTable
    defaults: Mapping[str, Mapping[str, AttrValue]]
    """What the user's file resets, for itself and everything that it calls."""
    evaluate: Evaluate
    apply: Apply
    library_defaults: dict[int, Mapping[str, Mapping[str, AttrValue]]] = field(default_factory=dict)
    """What libraries reset for their own text, by id of their source."""
    loading: list[Span] = field(default_factory=list)
    """The ``use`` lines on the way to the library whose head and names are being read."""
    instances: dict[Hashable, Instance] = field(default_factory=dict)
    active: list[tuple[Hashable, str, Span]] = field(default_factory=list)
    """Definitions being elaborated: instance key, name, where it was called."""
    preconditions: dict[Precondition, Span] = field(default_factory=dict)
    binders: dict[Hashable, Binder] = field(default_factory=dict)
    skeletons: dict[Binder, tuple[str, Span]] = field(default_factory=dict)
    lawful: dict[Binder, Region] = field(default_factory=dict)
    """The region that a binder's last lawful use gave."""
    weights: dict[Binder, tuple[Region, Span]] = field(default_factory=dict)
    """The region of the first use of each tied binder, and where that is."""
    layers: dict[int, tuple[tuple[str, Layer], ...]] = field(default_factory=dict)
    """Keys and layers of what has state in a region, by its id."""
    shared_data: dict[Binder, tuple[Value, Region]] = field(default_factory=dict)
    shared_symbols: dict[tuple[Binder, int], Symbol] = field(default_factory=dict)
    mentioned: dict[DecisionRef, Mention] = field(default_factory=dict)
    """Decisions that sizes speak of."""
    surveyed: set[int] = field(default_factory=set)
    bodies: dict[Binder, Region] = field(default_factory=dict)
    """The first region of each let and tied that is a network."""
    owners: dict[str, Binder] = field(default_factory=dict)
    """The lets and tieds of files that decide or weigh, by name."""
    uses: set[int] = field(default_factory=set)
    """Bindings (by id of their syntax) that some live text reached."""
    inline_bindings: dict[int, ast.Binding] = field(default_factory=dict)
    costs: frozenset[str] = frozenset()
    """Costs of the user's own that a ``where`` may name."""
    inputs: dict[str, Span] = field(default_factory=dict)
    """The inputs of the space, and where they are declared."""
    mentions: dict[int, Mentions] = field(default_factory=dict)
    """What pieces of syntax mention, by id of the node."""
    endless: set[str] = field(default_factory=set)
    """Definitions that were reported to contain themselves."""
    levels: dict[int, int] = field(default_factory=dict)
    """How many bounded definitions are being elaborated inside each other, by id of their syntax."""
    cut: bool = False
    """A bound was passed, and nothing has taken another way since (:mod:`spacec.sema.bounds`)."""
    nodes: int = 0
    steps: int = 0
    crowded: bool = False
    """Whether the limit on nodes was reported."""

    @property
    def exhausted(self) -> bool:
        """Whether a limit on the work of one elaboration was passed (and reported), or there are enough findings."""
        full = len(self.sink.diagnostics) >= MAX_FINDINGS
        return full or self.nodes >= MAX_NODES or self.steps > MAX_STEPS

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

        A finding inside a library is shown at the user's own text that led there; one about the
        library as it stands, at its own place, with the ``use`` beside it.
        """
        if self.loading and span.source is not self.loading[-1].source:
            labels = (*labels, Label(self.loading[-1], "used here"))
            self.sink.add(Diagnostic(code, headline, span, label, labels, notes, help))
            return UNKNOWN
        if span.source is not self.source:
            if any((d.code, d.span, d.headline) == (code, span, headline) for d in self.sink.diagnostics):
                return UNKNOWN  # reported about the library as it stands
            use = next(((name, at) for _, name, at in reversed(self.active) if at.source is self.source), None)
            if use is not None:
                labels = (Label(span, label or "found here"), *labels)
                span, label, help = use[1], f"in this use of `{use[0]}`", ""
        if len(self.sink.diagnostics) < MAX_FINDINGS:
            self.sink.add(Diagnostic(code, headline, span, label, labels, notes, help))
        return UNKNOWN

    def reset(self, op: str, param: str, span: Span) -> AttrValue:
        """What ``default`` lines give a parameter of an op in a piece of text; ``None``: nothing.

        The user's file comes first, then the library that the text stands in.
        """
        own = self.defaults.get(op, {})
        if param in own:
            return own[param]
        return self.library_defaults.get(id(span.source), {}).get(op, {}).get(param)

    def count_nodes(self, builder: Builder, span: Span, expanded: int = 1) -> bool:
        """Whether the space is still within its size limits; reports once when it is not.

        ``expanded`` is what the node stands for with every call in it written out.
        """
        self.nodes += 1
        if self.nodes >= MAX_NODES and not self.crowded:
            self.crowded = True
            self.fail("E0408", span, f"the space has over {MAX_NODES:,} nodes", "the limit was passed here")
        region = builder.region
        if region.expanded <= MAX_EXPANDED < region.expanded + expanded:
            text = f"the space has over {MAX_EXPANDED:,} nodes once its definitions are written out"
            self.fail("E0408", span, text, "the limit was passed here")
        region.expanded += expanded
        return self.nodes < MAX_NODES and region.expanded <= MAX_EXPANDED

    def packed(self, items: Sequence[Value], span: Span) -> Value:
        """A pack, if the space may still make one of its size: lists of lists can double at every step."""
        pack = Pack(tuple(items))
        return pack if self.spend(span, pack.size) else UNKNOWN

    def spend(self, span: Span, steps: int = 1) -> bool:
        """Whether the evaluation of data is still within its limit; reports once when it is not."""
        before, self.steps = self.steps, self.steps + steps
        if before <= MAX_STEPS < self.steps:
            text = f"this space takes over {MAX_STEPS:,} steps to evaluate"
            self.fail("E0408", span, text, "the limit was passed here")
        return self.steps <= MAX_STEPS


def fingerprint(m: Machine, value: Value) -> Hashable | None:
    """A key that is equal only for values that elaborate alike; ``None`` where there is none (captured tensors)."""
    match value:
        case Tensor():
            return None
        case Pack():
            parts = tuple(fingerprint(m, v) for v in value.items)
            return None if None in parts else ("pack", *parts)
        case Closure():
            return _closure_key(m, value.expr, value.env)
        case Definition():
            captured = _closure_key(m, value.binding, value.env)
            return None if captured is None else (captured, value.binder)
        case OpSpec():
            return ("op", value.name)
        case bool() | int() | float() | str():
            return (type(value).__name__, value)
        case _:
            return value


def _closure_key(m: Machine, node: ast.Node, env: Env) -> Hashable | None:
    known = mentions(m, node)
    captured: list[Hashable] = [id(node)]
    if known.inline:
        captured.append(env.home)  # itself, not its id: that may be given to another once it is gone
    for name in known.names:
        scope = env.depth_of(name)
        if scope is None or scope.top:
            continue
        key = fingerprint(m, scope.names[name])
        if key is None:
            return None
        captured.append((name, key))
    return tuple(captured)


def mentions(m: Machine, node: ast.Node) -> Mentions:
    """Every name that a piece of syntax takes from around it, and whether it binds inline; read once for each node."""
    known = m.mentions.get(id(node))
    if known is None:
        known = m.mentions[id(node)] = _mentions(node)
    return known


def _mentions(node: ast.Node) -> Mentions:
    inline = False
    stack = [node]
    while stack and not inline:
        inline = isinstance(stack[-1], ast.Inline)
        stack.extend(ast.parts(stack.pop()))
    return Mentions(node, tuple(sorted(free_names(node))), inline)
