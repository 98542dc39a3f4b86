"""From the syntax of a file to the space graph: the whole of semantic analysis.

Assumes a parsed file and parsed libraries. Guarantees, if the sink holds no error: every
architecture of the graph is well shaped, every name is resolved, every use of a let or tied decides
alike. All errors found are in the sink.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spacec.diagnostics.model import Label, Sink
from spacec.ir.graph import Port, Region, SpaceGraph, Step
from spacec.ir.ops import OpTable
from spacec.sema.apply import apply
from spacec.sema.builder import Builder, Cx
from spacec.sema.evaluate import evaluate
from spacec.sema.header import bind_parameters, check_presets, plain_value, read_defaults
from spacec.sema.limits import read_limits
from spacec.sema.machine import Machine
from spacec.sema.modules import Import, definitions, items_of, used_names
from spacec.sema.ports import (
    Declared,
    entering,
    given_to,
    ports_of,
    read_port,
    report_clashes,
    size_symbols,
)
from spacec.sema.scopes import report_duplicates, report_unknown
from spacec.sema.stack import on_deep_stack
from spacec.sema.statements import run_dag
from spacec.sema.values import UNKNOWN, Env, Home, Pack, Value
from spacec.source import NOWHERE
from spacec.space.decisions import Limit
from spacec.space.measures import Measure
from spacec.syntax import ast


@dataclass(frozen=True)
class Elaborated:
    """The graph of one form of a space, and what the rest of the compiler needs to know beside it."""

    graph: SpaceGraph
    parameters: dict[str, object]
    limits: tuple[Limit, ...]
    measures: tuple[Measure, ...]
    """What the cost symbols of the limits stand for."""
    unused: tuple[str, ...]
    """Lets and tieds that this form does not reach."""
    presets: tuple[str, ...]


def elaborate(
    file: ast.File,
    libraries: tuple[ast.File, ...],
    ops: OpTable,
    sink: Sink,
    given: Mapping[str, ast.Expr | object] | None = None,
    preset: str | None = None,
    imports: tuple[Import, ...] = (),
    costs: Iterable[str] = (),
) -> Elaborated | None:
    """Elaborate one form of a space; ``None`` where errors stand in the way (they are in ``sink``).

    ``libraries`` are visible everywhere (the prelude); ``imports`` are what the file's ``use`` lines
    bring in. ``given`` maps header parameters to values (numbers, texts, tuples) or expressions;
    ``costs`` are the names of a user's own costs.
    """
    return on_deep_stack(lambda: _Run(file, libraries, ops, sink, imports, frozenset(costs)).run(given or {}, preset))


def as_value(value: object) -> ast.Expr | Value:
    """A Python value as data of the language; syntax stays. Raises ``TypeError`` for anything else."""
    if isinstance(value, ast.Expr):
        return value
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return Pack(tuple(v for item in value if not isinstance(v := as_value(item), ast.Node)))
    raise TypeError(f"a parameter is a number, a text or a list of these, not {type(value).__name__}")


class _Run:
    """One elaboration from start to end."""

    def __init__(
        self,
        file: ast.File,
        libraries: tuple[ast.File, ...],
        ops: OpTable,
        sink: Sink,
        imports: tuple[Import, ...],
        costs: frozenset[str],
    ) -> None:
        self.file = file
        prelude: dict[str, Value] = dict(ops.ops)
        outer = Env(prelude, top=True)
        for library in libraries:
            prelude.update(definitions(library.items, outer))
        self.m = Machine(file.span.source, sink, ops, {}, evaluate, apply, costs=costs)
        self.imports = imports
        self.names: dict[str, Value] = {}
        self.used: dict[str, Value] = {}
        self.env = Env(self.names, Env(self.used, outer, top=True), top=True)
        self.outer = outer

    def run(self, given: Mapping[str, ast.Expr | object], preset: str | None) -> Elaborated | None:
        m, file = self.m, self.file
        if file.header is None:
            m.fail("E0206", file.span, "this file declares no space", help="begin with `space NAME(…)`")
            return None
        report_duplicates(m, file.items, file.header)
        presets = {i.name: i for i in file.items if isinstance(i, ast.Preset)}
        check_presets(m, file.header, presets)
        arguments = {k: as_value(v) for k, v in given.items()}
        self.names.update(bind_parameters(m, file.header, self.env, presets, preset, arguments))
        parameters = {p.name: plain_value(self.names[p.name]) for p in file.header.params}
        self.names.update(definitions(file.items, self.env))
        own = {i.name for i in file.items if isinstance(i, ast.Binding)}
        self.used.update(used_names(m, file, self.imports, self.env, self.outer, own))
        ports = [i for i in file.items if isinstance(i, ast.Port)]
        self.names.update(size_symbols(m, ports, self.env))
        m.defaults = read_defaults(m, file.items, self.env)
        inputs = [p for i in ports if i.direction == "input" and (p := read_port(m, i, self.env))]
        outputs = [p for i in ports if i.direction == "output" and (p := read_port(m, i, self.env))]
        m.inputs.update({i.name: i.name_span for i in ports if i.direction == "input"})
        self._one_graph(ports_of(inputs))
        report_clashes(m, [*inputs, *outputs])
        for item in file.items:
            report_unknown(m, item, self.env)
        if not self._complete(ports):
            return self._finish(None, parameters, presets)
        for direction, found in (("input", inputs), ("output", outputs)):
            if not found and not m.sink.failed:
                m.fail("E0206", file.header.span, f"this form of the space has no {direction}", "every `when` is false")
        graph = self._build(file.header.name, inputs, outputs) if len(inputs) and len(outputs) else None
        return self._finish(graph, parameters, presets)

    def _one_graph(self, inputs: tuple[Port, ...]) -> None:
        """Every graph-typed tensor describes the nodes of one graph, so a space has one at most."""
        graphs = [p for p in inputs if p.type.kind == "graph"]
        for other in graphs[1:]:
            label = (Label(graphs[0].span, "the first one"),)
            self.m.fail("E0306", other.span, "a space has one graph at most", "a second graph", labels=label)

    def _complete(self, ports: list[ast.Port]) -> bool:
        """Whether the file has what every space has."""
        header = self.file.header
        span = header.span if header else NOWHERE
        found = True
        for direction in ("input", "output"):
            if not any(p.direction == direction for p in ports):
                self.m.fail(
                    "E0206",
                    span,
                    f"the space has no {direction}",
                    help=f"declare one: `{direction} name: [channels, height, width]`",
                )
                found = False
        if not any(isinstance(i, ast.Net) for i in self.file.items):
            self.m.fail("E0206", span, "the space has no `net`", help="define it: `net = …`")
            found = False
        return found

    def _finish(
        self, graph: SpaceGraph | None, parameters: dict[str, object], presets: Mapping[str, ast.Preset]
    ) -> Elaborated | None:
        m = self.m
        unused: list[str] = []
        for item in (*self.file.items, *items_of(self.imports)):
            if isinstance(item, ast.Binding) and item.kind != "def" and id(item) not in m.uses:
                unused.append(item.name)
        assert self.file.header is not None
        limits, measures = read_limits(m, self.file.items, self.file.header, self.env)
        if graph is None or m.sink.failed:
            return None
        return Elaborated(graph, parameters, limits, measures, tuple(unused), tuple(presets))

    def _build(self, name: str, inputs: list[Declared], outputs: list[Declared]) -> SpaceGraph | None:
        m = self.m
        net = next(i for i in self.file.items if isinstance(i, ast.Net))
        region = Region("net", tuple(p.type for p in ports_of(inputs)))
        cx = Cx(Builder(region), Step(""))
        results = self._results(cx, net, entering(inputs), outputs)
        if m.exhausted or any(r is UNKNOWN for r in results):
            return None
        final = [out for one, value in zip(outputs, results, strict=True) for out in given_to(m, net, one, value)]
        if len(final) < len(ports_of(outputs)):
            return None
        cx.builder.finish(tuple(final))
        region.preconditions = tuple(m.preconditions)
        return SpaceGraph(name, region, ports_of(inputs), ports_of(outputs))

    def _results(self, cx: Cx, net: ast.Net, x: Value, outputs: list[Declared]) -> list[Value]:
        """The value of each output: what ``net`` gives or returns, or what its dag assigned to the output names."""
        m = self.m
        if not isinstance(net.value, ast.Dag):
            value = apply(m, cx, net.value, self.env.nest({}, Home(cx.builder.region, cx.step)), x)
        else:
            flow = run_dag(m, cx, net.value, self.env, x, None)
            if flow is None:
                return [UNKNOWN]
            if flow.result is None:
                return [self._assigned(net, port, flow.env) for port in outputs]
            value = flow.result
        if len(outputs) == 1 or value is UNKNOWN:
            return [value]
        if isinstance(value, Pack) and len(value.items) == len(outputs):
            return list(value.items)
        names = ", ".join(p.name for p in outputs)
        return [
            m.fail(
                "E0307",
                net.value.span,
                f"`net` gives one value for the outputs {names}",
                help="assign each output name in a `dag`",
            )
        ]

    def _assigned(self, net: ast.Net, port: Declared, env: Env) -> Value:
        value = env.names.get(port.name)
        if value is None and self.m.exhausted:
            return UNKNOWN
        if value is None:
            return self.m.fail(
                "E0206",
                net.value.span,
                f"the output `{port.name}` is never assigned",
                help=f"assign it: `{port.name} = …`",
            )
        return value
