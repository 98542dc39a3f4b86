"""What a format is, and what its files share: safe reading of literals, and errors with a place.

A format binds to a space by the shape of its decisions, never by its name: :attr:`Format.bind` looks at
the table (and, where wiring matters, the graph), and says what does not fit.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.source import SourceFile, Span
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.subject import Subject
from spacec.space.values import Value

LONGEST = 20_000
"""Characters of a text that is read."""


@dataclass(frozen=True)
class Bound:
    """A format for one space. ``read`` gives the values of active decisions, ``write`` the text.

    Both raise :class:`SpacecError`: E0632 for a text that is not of the format, E0633 for an architecture
    that the format cannot say.
    """

    read: Callable[[str], Mapping[str, Value]]
    write: Callable[[Architecture], str]


@dataclass(frozen=True)
class Format:
    """``looks`` says cheaply whether a text may be of it; ``bind`` raises E0631 for a space of another shape."""

    name: str
    about: str
    looks: Callable[[str], bool]
    bind: Callable[[Subject], Bound]


def misfit(name: str, table: DecisionTable, reason: str) -> SpacecError:
    """E0631."""
    return SpacecError(Diagnostic("E0631", f"{table.space} has not the shape of {name!r}", notes=(reason,)))


def reject(text: str, headline: str, token: str = "", note: str = "") -> NoReturn:
    """Raise E0632, pointing at the first place where ``token`` stands in the text."""
    at = text.find(token) if token else -1
    span = Span(SourceFile("<architecture>", text), at, at + len(token)) if at >= 0 else None
    raise SpacecError(Diagnostic("E0632", headline, span, notes=(note,) if note else ()))


def unsaid(name: str, headline: str) -> SpacecError:
    """E0633."""
    return SpacecError(Diagnostic("E0633", f"{name!r} cannot say this architecture: {headline}"))


def literal(text: str, name: str) -> Any:
    """The value of a Python literal (or of JSON, whose ``true``, ``false`` and ``null`` do not occur here)."""
    if len(text) > LONGEST:
        reject(text[:40], f"this is no {name!r} text: it has {len(text):,} characters")
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        reject(text, f"this is no {name!r} text")


def integers(value: Any) -> tuple[int, ...] | None:
    """A flat list or tuple of whole numbers."""
    if isinstance(value, list | tuple) and all(type(x) is int for x in value):
        return tuple(value)
    return None


@dataclass(frozen=True)
class Names:
    """Between a decision's candidates and a format's names for them, by the candidates' labels."""

    name: str
    native: Mapping[str, tuple[str, ...]]
    """Labels under which each operation of the format is known in grammars; its own name is one of them."""

    def of(self, table: DecisionTable, decision: Decision) -> tuple[str, ...]:
        """The format's names of a decision's candidates, in order; E0631 where one has none."""
        known = {_plain(label): own for own, labels in self.native.items() for label in (own, *labels)}
        told = [known.get(_plain(label)) for label in decision.labels]
        for label, own in zip(decision.labels, told, strict=True):
            if own is None:
                raise misfit(self.name, table, f"{decision.id} has a candidate {label!r}, for which it has no name")
        names = tuple(own for own in told if own is not None)
        if len(set(names)) != len(names):
            raise misfit(self.name, table, f"two candidates of {decision.id} would have one name")
        return names


def _plain(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", label.lower())


def candidate(names: tuple[str, ...], given: object, text: str, decision: Decision) -> int:
    """The index of a named candidate; E0632 where the decision has none of that name."""
    if given in names:
        return names.index(str(given))
    reject(text, f"{decision.id} has no candidate {given!r}", str(given), f"its candidates are {', '.join(names)}")


def only_ops(table: DecisionTable, decisions: Iterable[Decision], name: str) -> None:
    """E0631 unless all are choices between operations that are always asked."""
    for decision in decisions:
        if decision.kind != "op" or getattr(decision.active, "parts", None) != frozenset():
            raise misfit(name, table, f"{decision.id} is no choice between operations that is always asked")
