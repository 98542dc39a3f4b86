"""Wires the stages: the text of a grammar in, a :class:`~spacec.facade.Space` out.

Guarantees: nothing here imports torch; nothing outlives a :class:`Session`; bad input ends in one
:class:`SpacecError` that holds every finding about the file.
"""

from __future__ import annotations

import functools
import importlib.resources
import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, SupportsIndex

from spacec.diagnostics.model import Diagnostic, Sink, SpacecError
from spacec.facade import Space
from spacec.hooks import Registry, installed
from spacec.hooks.local import Source, with_local_ops
from spacec.ir.cases import remembered
from spacec.ir.graph import SpaceGraph
from spacec.ir.ops import OpTable
from spacec.measuring import Form, OwnCost, read_table, with_costs
from spacec.memory import no_collection
from spacec.modules import kept_modules, read_modules
from spacec.passes.merge_calls import MergeCalls
from spacec.passes.prune_dead import PruneDead
from spacec.sema.broken import report_names
from spacec.sema.costs import ADDED, MEASURED
from spacec.sema.elaborate import Elaborated, elaborate
from spacec.sema.modules import Import
from spacec.sema.unread import warn_of_unread
from spacec.source import Kept, SourceFile, Span
from spacec.space.applications import CostFunction
from spacec.space.decisions import DecisionTable
from spacec.space.skeleton import build_table, may_have_too_many
from spacec.syntax import ast
from spacec.syntax.parse import parse, parse_where
from spacec.syntax.read import source_from_path

__all__ = ["Session", "Space", "load", "loads", "parameters_of"]

PRELUDE = ("prelude", "sequence", "graphs")
"""Files of the standard library."""
LIBRARY_PATH = "SPACEC_PATH"


@dataclass(frozen=True)
class Session:
    """What a compilation may use: installed plugins and their ops, and the standard library."""

    registry: Registry
    ops: OpTable
    prelude: tuple[ast.File, ...] = field(repr=False)
    folders: tuple[Path, ...] = ()
    """The library path: where files of ``use`` are looked up that do not stand beside their user."""
    costs: Mapping[str, OwnCost] = field(default_factory=dict)
    """Costs of the user's own, by name."""
    constrained: bool = True
    """What a text's own ``where`` says counts; without, tables that it names need not be there."""
    own_ops: tuple[Source, ...] = ()
    """Where the user's own ops come from, which are among ``ops``."""
    kept: Kept | None = None
    """Files that the text is made of, which are not looked up then."""

    @staticmethod
    def default(ops: Iterable[Source] = (), libraries: Iterable[str | Path] = ()) -> Session:
        """What is installed, the ops of a user's own torch modules (classes, or files that define them), and folders.

        ``libraries`` are looked up before the folders of the environment variable ``SPACEC_PATH``.
        """
        stated = (Path(name) for name in os.environ.get(LIBRARY_PATH, "").split(os.pathsep) if name)
        return _session(tuple(ops), (*map(Path, libraries), *stated), {}, True, None)

    def __reduce__(self) -> tuple[Callable[..., Session], tuple[Any, ...]]:
        """What makes it again where the same plugins are installed: in another process, in another folder."""
        sources = tuple(s if isinstance(s, type) else Path(s).absolute() for s in self.own_ops)
        folders = tuple(f.absolute() for f in self.folders)
        return _session, (sources, folders, dict(self.costs), self.constrained, self.kept)

    def compile(
        self,
        source: SourceFile,
        params: Mapping[str, Any] | None = None,
        preset: str | None = None,
        where: tuple[SourceFile, ...] = (),
    ) -> Space:
        """The space of a text, in the form that ``preset`` and then ``params`` choose.

        ``where`` are the conditions of further constraints, which read as if they stood in the text.
        """
        with no_collection(), remembered():
            return self._compile(source, dict(params or {}), preset, where)

    def _compile(
        self, source: SourceFile, params: dict[str, Any], preset: str | None, where: tuple[SourceFile, ...]
    ) -> Space:
        sink = Sink()
        file = parse(source, sink)
        if sink.failed:
            report_names(file, self.prelude, self.ops, sink)
        sink.check()
        items = file.items if self.constrained else tuple(i for i in file.items if not isinstance(i, ast.Where))
        file = replace(file, items=(*items, *map(parse_where, where)))
        imports = read_modules(file, self.folders, self.registry, sink, self.kept)
        sink.check()
        given = {name: as_expression(name, value) for name, value in params.items()}
        found, graph = self._graph(file, imports, sink, given, preset)
        warn_of_unread(file, sink)

        def other(arguments: Mapping[str, object]) -> Form:
            stated = {name: as_expression(name, value) for name, value in arguments.items()}
            needed = {p.name for p in file.header.params if p.default is None} if file.header else set()
            kept = {name: value for name, value in given.items() if name in needed}
            return form(*self._graph(file, imports, Sink(), {**kept, **stated}, None))

        def form(found: Elaborated, graph: SpaceGraph) -> Form:
            return Form(graph, build_table(graph, found.limits, self._dormant(file, imports, found)))

        def table() -> DecisionTable:
            folder, costs = Path(source.name).parent, self.costs
            return with_costs(form(found, graph), found.measures, folder, other, costs, where, self._tables())

        limited = bool(found.limits)
        eager = limited or may_have_too_many(graph)  # what is wrong with it shows here
        make = functools.partial(_same, table()) if eager else table
        warnings = tuple(d for d in sink.diagnostics if d.severity == "warning")
        again = Again(self, source, params, preset)

        def costed(name: str, function: CostFunction, sizes: Mapping[str, int]) -> Space:
            more = {**self.costs, name: own_cost(name, function, sizes)}
            return replace(self, costs=more).compile(source, params, preset, where)

        shown = (graph.name, source.text, found.parameters, found.presets)
        return Space(*shown, graph, make, again, costed, where, limited, warnings)

    def kept_files(
        self, source: SourceFile, params: Mapping[str, Any], preset: str | None, where: tuple[SourceFile, ...]
    ) -> Kept:
        """The files that a text which compiles is made of: those it uses, and tables that it measures by."""
        file, sink = parse(source), Sink()
        file = replace(file, items=(*file.items, *map(parse_where, where)))
        imports = read_modules(file, self.folders, self.registry, sink, self.kept)
        given = {name: as_expression(name, value) for name, value in params.items()}
        found = elaborate(file, self.prelude, self.ops, sink, given, preset, imports, self.costs)
        sink.check()
        assert found is not None, "an elaboration without errors has a result"
        kept, known = kept_modules(imports), self._tables()
        measures = [m for m in found.measures if m.kind == "latency"]
        tables = [known.get(m.name) or read_table(m, Path(source.name).parent, where) for m in measures]
        begin = len(kept.files)
        return replace(kept, files=(*kept.files, *tables), tables={m.name: begin + k for k, m in enumerate(measures)})

    def _tables(self) -> dict[str, SourceFile]:
        return {} if self.kept is None else {name: self.kept.files[k] for name, k in self.kept.tables.items()}

    def _graph(
        self,
        file: ast.File,
        imports: tuple[Import, ...],
        sink: Sink,
        given: Mapping[str, ast.Expr],
        preset: str | None,
    ) -> tuple[Elaborated, SpaceGraph]:
        """The graph of one form of the space, after all passes."""
        found = elaborate(file, self.prelude, self.ops, sink, given, preset, imports, self.costs)
        sink.check()
        assert found is not None, "an elaboration without errors has a result"
        graph = MergeCalls().apply(PruneDead().apply(found.graph, sink), sink)
        sink.check()
        return found, graph

    def _dormant(self, file: ast.File, imports: tuple[Import, ...], found: Elaborated) -> dict[str, str]:
        """Digests of the lets that this form does not reach, from the default form or a preset that does."""
        digests: dict[str, str] = {}
        wanted = set(found.unused)
        for preset in (None, *found.presets):
            if not wanted:
                break
            other = elaborate(file, self.prelude, self.ops, Sink(), {}, preset, imports, self.costs)
            if other is None:
                continue
            unmerged = Sink()
            graph = MergeCalls().apply(other.graph, unmerged)
            if unmerged.failed:
                continue
            owners = build_table(graph).owner_digests
            reached = {owner: digest for owner, digest in owners.items() if owner.partition("[")[0] in wanted}
            digests.update(reached)
            wanted -= {owner.partition("[")[0] for owner in reached}
        return digests


@dataclass(frozen=True)
class Again:
    """Compiles a text once more, under constraints beside its own; by this a space is pickled.

    A pickle has the file's path as an absolute one, since what the text uses is looked up beside it.
    """

    session: Session
    source: SourceFile
    params: Mapping[str, Any]
    preset: str | None

    def __call__(self, where: tuple[SourceFile, ...]) -> Space:
        return self.session.compile(self.source, self.params, self.preset, where)

    def kept_files(self, where: tuple[SourceFile, ...]) -> Kept:
        """The files that the text is made of."""
        return self.session.kept_files(self.source, self.params, self.preset, where)

    def __reduce__(self) -> tuple[type[Again], tuple[Any, ...]]:
        name = self.source.name
        known = os.path.abspath(name) if os.path.isfile(name) else name
        return Again, (self.session, SourceFile(known, self.source.text), self.params, self.preset)


def _session(
    ops: tuple[Source, ...], folders: tuple[Path, ...], costs: Mapping[str, OwnCost], limit: bool, kept: Kept | None
) -> Session:
    registry = installed()
    return Session(registry, with_local_ops(registry.ops(), ops), _prelude(), folders, costs, limit, ops, kept)


def own_cost(name: str, function: CostFunction, sizes: Mapping[str, int]) -> OwnCost:
    """A cost of the user's own; ``ValueError`` for a name that no ``where`` could mention, or that is taken."""
    if not name.isidentifier() or name in (*MEASURED, *ADDED):
        raise ValueError(f"{name!r} cannot be the name of a cost")
    return OwnCost(function, dict(sizes))


def _same(table: DecisionTable) -> DecisionTable:
    return table


def load(
    path: str | Path,
    /,
    *,
    preset: str | None = None,
    ops: Iterable[Source] = (),
    libraries: Iterable[str | Path] = (),
    costs: Mapping[str, CostFunction] | None = None,
    **params: Any,
) -> Space:
    """The space of a ``.space`` file.

    ``params`` set header parameters (numbers, texts, lists), over those of ``preset``. ``ops`` are a
    user's own torch modules: classes, or Python files that define them. ``libraries`` are folders in
    which ``use`` looks for files, before those of ``SPACEC_PATH``. ``costs`` are costs of the user's own that
    the ``where`` of the file may name, as :meth:`spacec.Space.with_cost` takes them. Raises :class:`SpacecError`.
    """
    session = replace(Session.default(ops, libraries), costs={n: own_cost(n, f, {}) for n, f in (costs or {}).items()})
    return session.compile(source_from_path(path), params, preset)


def loads(
    text: str,
    /,
    *,
    name: str = "<string>",
    preset: str | None = None,
    ops: Iterable[Source] = (),
    libraries: Iterable[str | Path] = (),
    costs: Mapping[str, CostFunction] | None = None,
    **params: Any,
) -> Space:
    """The space of a text; ``name`` is how messages call it. See :func:`load`."""
    session = replace(Session.default(ops, libraries), costs={n: own_cost(n, f, {}) for n, f in (costs or {}).items()})
    return session.compile(SourceFile(name, text), params, preset)


def parameters_of(path: str | Path) -> tuple[str, ...]:
    """Names of the header parameters of a ``.space`` file."""
    header = parse(source_from_path(path)).header
    return tuple(p.name for p in header.params) if header else ()


def as_expression(name: str, value: Any) -> ast.Expr:
    """A Python value as the language writes it, placed in a text of its own so that findings can show it.

    Raises :class:`SpacecError` (E0503) for what is neither number, text nor list of these.
    """
    written = _written(value)
    if written is None:
        kind = type(value).__name__
        headline = f"parameter '{name}' is of type {kind}, not a number, a text or a list of these"
        raise SpacecError(Diagnostic("E0503", headline))
    source = SourceFile(f"parameter {name}", written)
    return _placed(value, Span(source, 0, len(written)))


def _placed(value: Any, span: Span) -> ast.Expr:
    if isinstance(value, str):
        return ast.String(value, span=span)
    if isinstance(value, list | tuple):
        return ast.ListOf(tuple(_placed(v, span) for v in value), span=span)
    number = value if isinstance(value, float) else operator.index(value)
    if number < 0:
        return ast.Unary("-", ast.Number(-number, span=span), span=span)
    return ast.Number(number, span=span)


def _written(value: Any) -> str | None:
    match value:
        case str():
            return f'"{value}"'
        case list() | tuple():
            items = [_written(v) for v in value]
            return None if None in items else f"[{', '.join(map(str, items))}]"
        case float():
            return repr(value) if math.isfinite(value) else None
        case SupportsIndex():
            return str(operator.index(value))
    return None


@functools.cache
def _prelude() -> tuple[ast.File, ...]:
    folder = importlib.resources.files("spacec.std")
    files = {f"{name}.space": folder.joinpath(f"{name}.space").read_text(encoding="utf-8") for name in PRELUDE}
    return tuple(parse(SourceFile(name, text)) for name, text in files.items())
