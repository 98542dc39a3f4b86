"""Latency tables: milliseconds of single ops, as a user measured them, and the latency of a network out of them.

A table is a CSV file with the columns ``op``, ``input``, ``attributes`` (which may be left out) and ``ms``:

    op,input,attributes,ms
    conv,16x32x32,kernel=3 out=16,0.021
    *,*,,0

``input`` is the shape without the batch (several inputs joined by ``+``), ``attributes`` are those that
matter, ``*`` stands for any. Of the rows that fit an application the most exact one counts: a named op
before any op, then a named input, then more attributes. A network's latency is the sum over its ops, as
if they ran one after the other; lines that are blank or begin with ``#`` are skipped.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from spacec.diagnostics.model import Diagnostic, Label, SpacecError
from spacec.ir.conditions import Cond
from spacec.ir.dims import Dim, Poly
from spacec.ir.flat import FlatGraph, FlatOp
from spacec.ir.ops import AttrValue
from spacec.ir.sizes import evaluate
from spacec.ir.types import TensorType
from spacec.source import SourceFile, Span
from spacec.space.applications import OpenSizes, TooManySizes, applied, cases_of, missing_sizes
from spacec.space.architecture import Architecture
from spacec.space.decisions import CostTerm, Decision, DecisionTable
from spacec.space.values import Number

COLUMNS = ("op", "input", "attributes", "ms")
ANY = "*"
BYTE_ORDER_MARK = "\ufeff"
"""What spreadsheets write at the start of a file."""
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?|\.[0-9]+")
_SHAPE = re.compile(r"[0-9]+(x[0-9]+)*(\+[0-9]+(x[0-9]+)*)*")


@dataclass(frozen=True)
class Row:
    """One measured op; ``input`` and ``op`` may be :data:`ANY`."""

    op: str
    input: str
    attributes: tuple[tuple[str, str], ...]
    ms: Fraction
    line: int

    def fits(self, op: str, shape: str, attributes: Mapping[str, str]) -> bool:
        return (
            self.op in (ANY, op)
            and self.input in (ANY, shape)
            and all(attributes.get(name) == value for name, value in self.attributes)
        )

    @property
    def exactness(self) -> tuple[bool, bool, int]:
        return self.op != ANY, self.input != ANY, len(self.attributes)


@dataclass(frozen=True)
class LatencyTable:
    """The rows of one file."""

    source: SourceFile
    rows: tuple[Row, ...]

    def line(self, number: int) -> Span:
        """The whole of a line, for diagnostics."""
        return _line(self.source, number)


def read_latencies(source: SourceFile, use: Span | None = None) -> LatencyTable:
    """The rows of a file, which ``use`` names. Raises :class:`SpacecError` (E0531) with every line that is no row."""
    seen = (Label(use, "the table is used here"),) if use is not None else ()
    found: list[Diagnostic] = []

    def wrong(line: int, headline: str, note: str = "") -> None:
        notes = (note,) if note else ()
        found.append(Diagnostic("E0531", headline, _line(source, line), labels=seen, notes=notes))

    lines = _lines(source)
    try:
        head_line, head = next(lines)
    except StopIteration:
        wrong(1, "this latency table is empty", f"its first line names the columns: {','.join(COLUMNS)}")
        raise SpacecError(found) from None
    missing = [c for c in COLUMNS if c not in head and c != "attributes"]
    unknown = [c for c in head if c not in COLUMNS]
    if missing or unknown or len(set(head)) < len(head):
        what = f"has no column `{missing[0]}`" if missing else f"has the column `{(unknown or head)[0]}`"
        wrong(head_line, f"this latency table {what}", f"its first line names the columns: {','.join(COLUMNS)}")
        raise SpacecError(found)
    rows: list[Row] = []
    for number, cells in lines:
        if len(cells) != len(head):
            wrong(number, f"{len(cells)} cells in a table of {len(head)} columns")
            continue
        row = _row(dict(zip(head, cells, strict=True)), number)
        if isinstance(row, str):
            wrong(number, row)
        else:
            rows.append(row)
    if found:
        raise SpacecError(found)
    return LatencyTable(source, tuple(rows))


def _lines(source: SourceFile) -> Iterator[tuple[int, list[str]]]:
    for number, text in enumerate(source.text.removeprefix(BYTE_ORDER_MARK).splitlines(), 1):
        if text.strip() and not text.lstrip().startswith("#"):
            yield number, [cell.strip() for cell in next(csv.reader([text]))]


def _row(cells: Mapping[str, str], line: int) -> Row | str:
    """The row, or what is wrong with it."""
    op, shape, ms = cells["op"], cells["input"], cells["ms"]
    if not op:
        return "this row names no op"
    if shape != ANY and not _SHAPE.fullmatch(shape):
        return f"the input `{shape}` is neither a shape such as 16x32x32 nor `*`"
    if not _NUMBER.fullmatch(ms):
        return f"`{ms}` is no number of milliseconds"
    pairs = [part.partition("=") for part in cells.get("attributes", "").split()]
    wrong = next((f"{a}{sign}{b}" for a, sign, b in pairs if not (a and sign and b)), None)
    if wrong is not None:
        return f"`{wrong}` is not of the form name=value"
    if len({a for a, _, _ in pairs}) < len(pairs):
        return "an attribute is named twice"
    return Row(op, shape, tuple(sorted((a, b) for a, _, b in pairs)), Fraction(ms), line)


def _line(source: SourceFile, number: int) -> Span:
    start = sum(len(text) for text in source.text.splitlines(keepends=True)[: number - 1])
    return Span(source, start, start + len(source.line(number)) if source.text else start)


# ----------------------------------------------------------------- of a network


def latency_terms(
    graph: FlatGraph,
    decisions: Mapping[str, Decision],
    table: LatencyTable,
    sizes: Mapping[str, int],
    use: Span,
) -> tuple[CostTerm, ...]:
    """Milliseconds of every op under the condition that it runs, looked up for each combination of elastic sizes.

    Raises :class:`SpacecError`: E0532 where no row fits, or two fit equally well; E0512 where a size
    of an input is missing.
    """
    work = _Lookup(graph, decisions, table, sizes, use)
    for node in graph.nodes:
        if isinstance(node, FlatOp):
            work.add(node)
    if work.found:
        raise SpacecError(list(work.found.values()))
    return tuple(CostTerm(when, Poly((((), ms),)) if ms.denominator > 1 else int(ms)) for when, ms in work.sums.items())


class _Lookup:
    def __init__(
        self,
        graph: FlatGraph,
        decisions: Mapping[str, Decision],
        table: LatencyTable,
        sizes: Mapping[str, int],
        use: Span,
    ) -> None:
        self.graph, self.decisions, self.table, self.sizes, self.use = graph, decisions, table, sizes, use
        self.sums: dict[Cond, Fraction] = {}
        self.found: dict[tuple[str, str], Diagnostic] = {}
        """Findings by op and what is wrong: one for each, however often it is applied."""
        self.known: dict[tuple[str, str, tuple[tuple[str, str], ...]], Row | None] = {}
        self.by_op: dict[str, list[Row]] = {}
        for row in table.rows:
            self.by_op.setdefault(row.op, []).append(row)

    def add(self, node: FlatOp) -> None:
        types = [self.graph.nodes[i].type for i in node.inputs]
        try:
            cases = list(cases_of(self.graph, self.decisions, node, self.sizes))
        except OpenSizes as error:
            given = ", ".join(f"{n} = 64" for n in error.names)
            help = f'give it: `latency("…", {given})`'
            self.report(node, "E0512", f"a latency depends on the input size {', '.join(error.names)}", help)
            return
        except TooManySizes:
            self.report(node, "E0532", f"`{node.spec.name}` has too many sizes here to look each of them up")
            return
        for condition, values in cases:
            row = self.look_up(node, types, values)
            if row is not None:
                self.sums[condition] = self.sums.get(condition, Fraction(0)) + row.ms

    def look_up(self, node: FlatOp, types: list[TensorType], values: Mapping[str, Number]) -> Row | None:
        op, shape = node.spec.name, "+".join(shape_text(t, values) for t in types)
        attributes = {name: attribute_text(value, values) for name, value in node.attrs.items()}
        key = (op, shape, tuple(sorted(attributes.items())))
        if key in self.known:
            return self.known[key]
        fitting = [r for r in (*self.by_op.get(op, ()), *self.by_op.get(ANY, ())) if r.fits(op, shape, attributes)]
        best = max((r.exactness for r in fitting), default=None)
        rows = [r for r in fitting if r.exactness == best]
        self.known[key] = rows[0] if rows else None
        if not rows:
            told = " ".join(f"{a}={b}" for a, b in key[2] if b)
            note = f"this application is {op},{shape},{told}"
            self.report(node, "E0532", f"the latency table has no row for `{op}` on {shape}", note=note)
        elif len(rows) > 1:
            lines = " and ".join(str(r.line) for r in rows[:2])
            self.report(node, "E0532", f"lines {lines} of the latency table fit `{op}` on {shape} equally well")
        return self.known[key]

    def report(self, node: FlatOp, code: str, headline: str, help: str = "", note: str = "") -> None:
        notes = (note, "a row `*,*,,0` covers what is not measured") if note else ()
        labels = (Label(node.span, "applied here"),) if node.span.source.text else ()
        finding = Diagnostic(code, headline, self.use, "of this table", labels, notes, help)
        self.found.setdefault((node.spec.name, headline), finding)


@dataclass(frozen=True)
class Application:
    """An op at given sizes, as a row of a table names it: ``node`` of the graph, ``values`` by the symbols' keys."""

    op: str
    input: str
    attributes: str
    node: int = field(compare=False)
    values: Mapping[str, Number] = field(compare=False)


def distinct_applications(
    graph: FlatGraph, table: DecisionTable, sizes: Mapping[str, int], arch: Architecture | None = None
) -> tuple[list[Application], list[Span]]:
    """What a table must tell of a space, or of one architecture; and where ops are that have too many sizes to list.

    ``graph`` is the graph written out. Raises :class:`SpacecError` (E0512) where the size of an input is missing.
    """
    found: dict[Application, None] = {}
    left: dict[Span, None] = {}
    if arch is not None:
        places = {id(node): k for k, node in enumerate(graph.nodes)}
        for node, values in applied(graph, table, arch, "a latency", sizes):
            found.setdefault(_application(graph, places[id(node)], node, values))
        return list(found), []
    for place, each in enumerate(graph.nodes):
        if not isinstance(each, FlatOp):
            continue
        try:
            for _, values in cases_of(graph, table.by_id, each, sizes):
                found.setdefault(_application(graph, place, each, values))
        except OpenSizes as error:
            raise SpacecError(missing_sizes("a latency", error.names)) from None
        except TooManySizes:
            left.setdefault(each.span)
    return list(found), list(left)


def _application(graph: FlatGraph, place: int, node: FlatOp, values: Mapping[str, Number]) -> Application:
    shape = "+".join(shape_text(graph.nodes[i].type, values) for i in node.inputs)
    texts = ((name, attribute_text(value, values)) for name, value in sorted(node.attrs.items()))
    told = " ".join(f"{name}={text}" for name, text in texts if text and not any(c in text for c in " =\t"))
    return Application(node.spec.name, shape or ANY, told, place, values)


def _number(dim: Dim, values: Mapping[str, Number]) -> str:
    return str(evaluate(dim, lambda s: values[s.key]))


def shape_text(t: TensorType, values: Mapping[str, Number]) -> str:
    """A shape as a table writes it; ``values`` gives every size by its symbol's key."""
    return "x".join(_number(d, values) for d in t.dims)


def attribute_text(value: AttrValue, values: Mapping[str, Number]) -> str:
    """An attribute as a table writes it: flags as 0 and 1, nothing for none, lists joined by ``:``."""
    match value:
        case None:
            return ""
        case bool():
            return str(int(value))
        case Poly():
            return _number(value, values)
        case tuple():
            return ":".join(attribute_text(v, values) for v in value)
        case _:
            return str(value)
