"""The costs of a ``where`` that need more than the loaded form: other forms, input sizes, latency tables.

Assumes a table whose constraints mention cost symbols and the measures that say what they stand for.
Guarantees: every cost symbol has its terms, keyed by the decisions of the loaded form.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from spacec.diagnostics.model import Diagnostic, Label, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.ir.flatten import flatten
from spacec.ir.graph import SpaceGraph
from spacec.ir.sizes import evaluate
from spacec.source import SourceFile
from spacec.space.applications import CostFunction, function_terms
from spacec.space.compare import compare_decisions
from spacec.space.constraints import check_symbols
from spacec.space.decisions import CostTerm, DecisionTable
from spacec.space.deferred import Deferred
from spacec.space.latency import latency_terms, read_latencies
from spacec.space.measures import Measure, at_sizes, counted, owned
from spacec.syntax.read import source_from_path

SHOWN = 5
"""Names that a message lists before it says how many more there are."""


@dataclass(frozen=True)
class OwnCost:
    """A cost that a user's function tells op by op, at sizes of the inputs."""

    function: CostFunction
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Form:
    """One form of a space: its graph and its decisions."""

    graph: SpaceGraph
    table: DecisionTable


Forms = Callable[[Mapping[str, object]], Form]
"""Compiles another form: values of header parameters in, defaults elsewhere."""


def with_costs(
    loaded: Form,
    measures: Sequence[Measure],
    folder: Path,
    forms: Forms,
    own: Mapping[str, OwnCost],
    added: Sequence[SourceFile] = (),
    kept: Mapping[str, SourceFile] | None = None,
) -> DecisionTable:
    """The table with the terms of every measured cost; ``folder`` is where paths of tables begin.

    See :func:`read_table` for ``added``. ``kept`` are tables by the names of the costs that are read from them.

    ``own`` are the user's costs, by name; each is among the costs of the table, whether it is measured or not.

    Raises :class:`SpacecError`: E0530 where a latency table cannot be read, E0531 and E0532 for what
    it says, E0533 where a form decides otherwise, E0505 for a label that no choice has, E0512 where
    the size of an input is missing or does not fit.
    """
    known: dict[tuple[tuple[str, object], ...], Form] = {(): loaded}
    costs: dict[str, tuple[CostTerm, ...]] = {}
    for measure in measures:
        if measure.kind in ("picks", "depth", "count"):
            _check_label(loaded.table, measure)
            costs[measure.name] = counted(loaded.table, measure)
            continue
        if measure.form not in known:
            known[measure.form] = _form(loaded.table, measure, forms)
        reader = functools.partial(_kept_or_read, kept or {}, folder, added)
        costs[measure.name] = _measured(known[measure.form], measure, reader, own)
    made = Deferred.over(loaded.table.costs, costs)
    makers = {name: functools.partial(_own, loaded, name, cost) for name, cost in own.items() if name not in costs}
    table = replace(loaded.table, costs=made.later(makers))
    check_symbols(table)
    return table


def read_table(measure: Measure, folder: Path, added: Sequence[SourceFile] = ()) -> SourceFile:
    """The latency table that a cost is read from, by a path that begins in ``folder``.

    Paths in ``added`` texts, which are no part of the space's file, begin in the working directory; what is not there
    is looked for in the folder. Raises :class:`SpacecError` (E0530) where it cannot be read.
    """
    folders = [Path(), folder] if measure.span.source in added else [folder]
    try:
        there = (folder / measure.path for folder in folders)
        return source_from_path(next((path for path in there if path.exists()), folders[0] / measure.path))
    except SpacecError as error:
        raise SpacecError(_unreadable(measure, folders, error.diagnostics[0])) from None


def _kept_or_read(
    kept: Mapping[str, SourceFile], folder: Path, added: Sequence[SourceFile], measure: Measure
) -> SourceFile:
    return kept.get(measure.name) or read_table(measure, folder, added)


def _own(form: Form, name: str, cost: OwnCost) -> dict[str, tuple[CostTerm, ...]]:
    """A user's cost of the loaded form, at the sizes that it was given with."""
    flat = flatten(form.graph, full=True)
    return {name: function_terms(flat, form.table.by_id, name, cost.function, cost.sizes)}


def _measured(
    form: Form, measure: Measure, read: Callable[[Measure], SourceFile], own: Mapping[str, OwnCost]
) -> tuple[CostTerm, ...]:
    sizes = dict(measure.sizes)
    for needed in form.graph.root.preconditions:
        free = {s.name for s in getattr(needed.dim, "symbols", ())}
        if free and free <= set(sizes) and evaluate(needed.dim, lambda s: sizes[s.name]) % needed.divisor:
            headline = f"the network of `{measure.name}` does not take this size: {needed}"
            raise SpacecError(Diagnostic("E0512", headline, measure.span))
    if measure.kind == "own":
        cost = own[measure.label]
        at = {**cost.sizes, **sizes}
        return function_terms(flatten(form.graph, full=True), form.table.by_id, measure.name, cost.function, at)
    if measure.kind != "latency":
        return at_sizes(form.table.costs[measure.kind], sizes)
    table = read_latencies(read(measure), measure.span)
    return latency_terms(flatten(form.graph, full=True), form.table.by_id, table, sizes, measure.span)


def _unreadable(measure: Measure, folders: Sequence[Path], why: Diagnostic) -> Diagnostic:
    beside = [(folder / measure.path).parent for folder in folders]
    names = sorted(p.name for place in beside if place.is_dir() for p in place.glob("*.csv"))
    close = nearest(Path(measure.path).name, names)
    return Diagnostic(
        "E0530",
        f"the latency table cannot be read: {why.headline}",
        measure.span,
        notes=(
            f"its path is relative to {'the working directory, or else to ' * (len(folders) > 1)}the grammar's file",
        ),
        help=f"did you mean `{Path(measure.path).parent / close}`?" if close else "",
    )


def _check_label(table: DecisionTable, measure: Measure) -> None:
    """A label that no choice of its owner has is a slip; an owner without choices in this form is not."""
    labels = [label for d in table.decisions if owned(d, measure.owner) for label in d.labels]
    if measure.kind != "count" or measure.label in labels or not labels:
        return
    close = nearest(measure.label, labels)
    whose = f"`{measure.owner}`" if measure.owner else "the space"
    raise SpacecError(
        Diagnostic(
            "E0505",
            f'no choice of {whose} has a candidate "{measure.label}"',
            measure.span,
            notes=(f"its candidates are {_listed(dict.fromkeys(labels))}",),
            help=f'did you mean "{close}"?' if close else "",
        )
    )


def _form(table: DecisionTable, measure: Measure, forms: Forms) -> Form:
    """Another form, which must decide what the loaded one decides."""
    try:
        form = forms(dict(measure.form))
    except SpacecError as error:
        seen = Label(measure.span, "this form of the space is measured")
        raise SpacecError([replace(d, labels=(*d.labels, seen)) for d in error.diagnostics]) from None
    names = _differing(table, form.table)
    if names or form.table.digest != table.digest:
        raise SpacecError(
            Diagnostic(
                "E0533",
                f"the form of `{measure.name}` has other decisions ({form.table.digest}, not {table.digest})",
                measure.span,
                notes=(f"they differ in {_listed(names)}",) if names else (),
            )
        )
    return form


def _differing(loaded: DecisionTable, other: DecisionTable) -> list[str]:
    """Ids of decisions that the other form has and the loaded one has not, or has otherwise; and the reverse."""
    changes = compare_decisions(other, loaded)
    told = [
        c.id for c in changes if c.old is not None and (c.new is None or any(a.name != "priors" for a in c.aspects))
    ]
    return told + [c.id for c in changes if c.old is None and c.new is not None and c.new.owner in other.owners]


def _listed(names: object) -> str:
    every = [str(n) for n in names] if isinstance(names, list | dict) else []
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
