"""Benchmarks: tables of architectures that others have trained, asked in the terms of a space.

A plugin's target (hook ``spacec_benchmarks``) is a function ``open(table, path)`` that returns a :class:`Benchmark`
for the space of a :class:`~spacec.space.decisions.DecisionTable`, reading ``path`` or what a package ships. It checks
that the space fits by :func:`fitted` and finds a user's file by :func:`data_file`. Guarantees: a query answers for
exactly the architecture asked, or ends in a diagnostic; nothing is interpolated, nothing downloaded. No torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, SupportsIndex

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.space.adapt import adapt
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision, DecisionTable

DATA_FOLDER = "SPACEC_DATA"
"""Environment variable: the folder where files of benchmarks are looked for that are not named."""

Direction = Literal["max", "min"]


@dataclass(frozen=True)
class Measure:
    """A column of a benchmark: its name, which direction is better, its unit, and what it is in a few words."""

    name: str
    direction: Direction = "max"
    unit: str = ""
    help: str = ""


@dataclass(frozen=True)
class Measured:
    """An answer: values by the name of the measure.

    ``seconds`` is what training and rating the architecture cost those who made the table, ``None`` where it does
    not say. A measure that the table lacks for this architecture or data set is not in ``metrics``.
    """

    metrics: Mapping[str, float]
    seconds: float | None = None


Lookup = Callable[[Architecture, Mapping[str, str]], Measured | None]
"""Answers for an architecture of the space and one answer to each question; ``None``: the table does not have it."""


@dataclass(frozen=True)
class Benchmark:
    """A table of measured architectures, bound to one space."""

    name: str
    space: DecisionTable = field(repr=False)
    metrics: tuple[Measure, ...]
    """The first is the one that a search follows."""
    lookup: Lookup = field(repr=False)
    which: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What can be asked for besides the architecture (``dataset``, ``epochs``, ``seed``), with its possible values;
    the first is taken unless another is asked for."""
    source: str = ""
    """Where the numbers come from: a package and its version, or a file."""
    again: Callable[[], Benchmark] | None = field(default=None, repr=False, compare=False)
    """Opens it once more, in another process too: what a pickle of it holds. Without, it travels as it is."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return super().__reduce_ex__(protocol) if self.again is None else (self.again, ())

    def query(self, arch: Architecture, **which: object) -> Measured:
        """What the table says of ``arch``; ``which`` as in ``query(arch, dataset="cifar100", epochs=12)``.

        Raises :class:`SpacecError`: E0602 for an architecture of another space, E0731 for a data set, number of
        epochs or other question that the benchmark does not have, E0732 for an architecture that it does not have.
        """
        asked = self.asked(which)
        found = self.lookup(adapt(self.space, arch), asked)
        if found is None:
            chosen = f" for {', '.join(f'{k} {v}' for k, v in asked.items())}" if asked else ""
            headline = f"benchmark '{self.name}' does not have the architecture {arch.text()}{chosen}"
            raise SpacecError(Diagnostic("E0732", headline, notes=(f"it was read from {self.source}",)))
        return found

    def asked(self, which: Mapping[str, object]) -> dict[str, str]:
        """One answer to every question: those of ``which``, and the first of the others. Raises E0731."""
        found: list[Diagnostic] = []
        for name, value in which.items():
            if name not in self.which:
                found.append(self._no_such(f"cannot be asked for '{name}'", name, tuple(self.which)))
            elif str(value) not in self.which[name]:
                found.append(self._no_such(f"has no {name} '{value}'", str(value), self.which[name]))
        if found:
            raise SpacecError(found)
        return {name: str(which.get(name, values[0])) for name, values in self.which.items()}

    def measure(self, name: str) -> Measure:
        """A column by name; ``name:min`` or ``name:max`` also says which direction is better. Raises E0731."""
        bare, _, direction = name.partition(":")
        found = next((m for m in self.metrics if m.name == bare), None)
        if found is None:
            raise SpacecError(self._no_such(f"has no metric '{bare}'", bare, [m.name for m in self.metrics]))
        if direction not in ("", "max", "min"):
            headline = f"metric '{bare}' of benchmark '{self.name}' cannot be better by '{direction}'"
            raise SpacecError(Diagnostic("E0731", headline, notes=("a metric's direction is max or min",)))
        return replace(found, direction="min" if direction == "min" else "max") if direction else found

    def _no_such(self, fault: str, name: str, known: Sequence[str]) -> Diagnostic:
        near = nearest(name, known)
        notes = (f"it has {', '.join(known)}",) if known else ("it is asked for an architecture and nothing else",)
        help = f"did you mean '{near}'?" if near else ""
        return Diagnostic("E0731", f"benchmark '{self.name}' {fault}", notes=notes, help=help)


Names = tuple[str, ...]
"""How a candidate may be called; the first name is the one that the table uses."""


def fitted(
    table: DecisionTable, benchmark: str, questions: Sequence[Sequence[Names]]
) -> Callable[[Architecture], tuple[str, ...]]:
    """Reads architectures of the space of ``table`` as the answers to a benchmark's ``questions``.

    A space fits where its decisions, in their order, are these questions: each takes exactly one of the candidates
    named, in any order. The function returned gives the candidates' first names; it refuses an architecture in which
    one of the decisions is not asked. How the decisions are wired is not compared. Raises :class:`SpacecError` (E0730)
    that says what differs first.
    """
    if len(table.decisions) != len(questions):
        raise misfit(table, benchmark, f"it decides {len(table.decisions)} things, not {len(questions)}")
    readers = []
    for decision, candidates in zip(table.decisions, questions, strict=True):
        names = _first_names(decision, candidates)
        if names is None:
            raise misfit(table, benchmark, _difference(decision, candidates))
        readers.append((decision.id, names))

    def read(arch: Architecture) -> tuple[str, ...]:
        values = arch.values
        chosen = []
        for name, names in readers:
            value = values.get(name)
            if not isinstance(value, int):
                raise misfit(table, benchmark, f"{name} is not asked in {arch.text()}")
            chosen.append(names[value])
        return tuple(chosen)

    return read


def misfit(table: DecisionTable, benchmark: str, why: str) -> SpacecError:
    """E0730: the space is not the one that the benchmark was made of."""
    headline = f"benchmark '{benchmark}' does not fit {table.space}: {why}"
    return SpacecError(Diagnostic("E0730", headline, table.decisions[0].span if table.decisions else None))


def data_file(benchmark: str, path: str | Path | None, names: Sequence[str], get: str) -> Path:
    """The file or folder of a benchmark: ``path``, else the first of ``names`` in the folder of ``SPACEC_DATA``.

    ``get`` says where to get it. Raises :class:`SpacecError` (E0733) where there is none.
    """
    if path is not None:
        if Path(path).exists():
            return Path(path)
        raise SpacecError(Diagnostic("E0733", f"benchmark '{benchmark}': no such file '{path}'", notes=(get,)))
    folder = os.environ.get(DATA_FOLDER, "")
    found = next((p for n in names if folder and (p := Path(folder) / n).exists()), None)
    if found is not None:
        return found
    where = f"the folder {folder}" if folder else f"a folder that {DATA_FOLDER} names"
    put = f", or put it into {where} as {' or '.join(names)}" if names else ""
    help = f"name it by --file (path= in Python){put}"
    raise SpacecError(Diagnostic("E0733", f"benchmark '{benchmark}' needs a file", notes=(get,), help=help))


def unreadable(benchmark: str, path: str | Path, why: str) -> SpacecError:
    """E0734: a file that is not what the benchmark reads."""
    return SpacecError(Diagnostic("E0734", f"benchmark '{benchmark}' cannot read '{path}': {why}"))


def _first_names(decision: Decision, candidates: Sequence[Names]) -> tuple[str, ...] | None:
    """The first name of each of the decision's candidates in its own order, ``None`` where they do not fit."""
    if decision.kind == "subset":
        return None
    first = {name: names[0] for names in candidates for name in names}
    known = tuple(first.get(label, "") for label in decision.labels)
    return known if sorted(known) == sorted(names[0] for names in candidates) else None


def _difference(decision: Decision, candidates: Sequence[Names]) -> str:
    wanted = " | ".join(names[0] for names in candidates)
    if decision.kind == "subset":
        return f"{decision.id} picks elements, where one of {wanted} is asked for"
    return f"{decision.id} chooses among {' | '.join(decision.labels)}, not {wanted}"
