"""Compiling texts for tests of the front end, without the driver."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from spacec.diagnostics.model import Diagnostic, Sink, SpacecError
from spacec.driver import PRELUDE
from spacec.ir.graph import SpaceGraph
from spacec.measuring import Form, with_costs
from spacec.passes.merge_calls import MergeCalls
from spacec.passes.prune_dead import PruneDead
from spacec.sema.broken import report_names
from spacec.sema.elaborate import Elaborated, elaborate
from spacec.source import SourceFile
from spacec.space.decisions import DecisionTable
from spacec.space.feasible import infeasible
from spacec.space.skeleton import build_table
from spacec.std.primitives import PRIMITIVE_TABLE
from spacec.syntax import ast
from spacec.syntax.parse import parse


@cache
def prelude() -> tuple[ast.File, ...]:
    folder = resources.files("spacec.std")
    texts = {name: folder.joinpath(f"{name}.space").read_text(encoding="utf-8") for name in PRELUDE}
    return tuple(parse(SourceFile(name, text)) for name, text in texts.items())


def front_end(text: str, name: str = "t.space", **given: object) -> tuple[Sink, Elaborated | None, SpaceGraph | None]:
    """The sink, what elaboration gave, and the graph after the passes."""
    sink = Sink()
    tree = parse(SourceFile(name, text), sink)
    if sink.failed:
        report_names(tree, prelude(), PRIMITIVE_TABLE, sink)
        return sink, None, None
    found = elaborate(tree, prelude(), PRIMITIVE_TABLE, sink, given)
    graph = MergeCalls().apply(PruneDead().apply(found.graph, sink), sink) if found is not None else None
    return sink, found, graph


def table_of(text: str, name: str = "t.space", **given: object) -> DecisionTable:
    """The decision table of a text without errors."""
    sink, found, graph = front_end(text, name, **given)
    sink.check()
    assert found is not None
    assert graph is not None
    loaded = Form(graph, build_table(graph, found.limits))

    def form(arguments: Mapping[str, object]) -> Form:
        inner, _, other = front_end(text, name, **arguments)
        inner.check()
        assert other is not None
        return Form(other, build_table(other))

    return with_costs(loaded, found.measures, Path(), form, {})


def findings(text: str, name: str = "t.space", **given: object) -> tuple[Diagnostic, ...]:
    """Everything reported, up to what the constraints leave, in the order of a reader."""
    sink = front_end(text, name, **given)[0]
    if sink.failed:
        return sink.ordered()
    try:
        nothing_left = infeasible(table_of(text, name, **given))
    except SpacecError as error:
        return error.diagnostics
    return (*sink.ordered(), *([nothing_left] if nothing_left else []))


HEAD = "space s(C = 8, classes = 10)\ninput  image:  [3, 32, 32]\noutput logits: [classes]\n"
"""A head for small spaces."""


def codes(text: str, **given: object) -> list[str]:
    """The codes of everything reported."""
    return [d.code for d in findings(text, **given)]  # type: ignore[arg-type]  # no parameter is called "name"
