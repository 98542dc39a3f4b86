"""The formats by name: reading, writing, and telling which one a text is of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.formats import darts, nas_bench_101, nas_bench_201, nas_bench_301, naslib, nni, numbers, transnas
from spacec.space.formats.model import Bound, Format
from spacec.space.subject import Subject
from spacec.space.validate import findings

FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        darts.FORMAT,
        nas_bench_101.FORMAT,
        nas_bench_201.FORMAT,
        nas_bench_301.FORMAT,
        transnas.FORMAT,
        numbers.MACRO_FORMAT,
        numbers.SIZE_FORMAT,
        naslib.FORMAT,
        nni.FORMAT,
    )
}


def bound(subject: Subject, name: str) -> Bound:
    """A format for a space, made once. Raises :class:`SpacecError`: E0630 for an unknown one, E0631 for no fit."""
    known = FORMATS.get(name)
    if known is None:
        near = nearest(name, FORMATS)
        hint = f"did you mean {near!r}?" if near else ""
        notes = (f"the formats are {', '.join(FORMATS)}",)
        raise SpacecError(Diagnostic("E0630", f"no format is named {name!r}", notes=notes, help=hint))
    key = ("format", name)
    found: Bound | None = subject.table.memo.get(key)
    if found is None:
        found = subject.table.memo[key] = known.bind(subject)
    return found


def fitting(subject: Subject) -> tuple[str, ...]:
    """The formats that the space has the shape of."""
    return tuple(name for name in FORMATS if _bound_or_none(subject, name) is not None)


def _bound_or_none(subject: Subject, name: str) -> Bound | None:
    try:
        return bound(subject, name)
    except SpacecError as error:
        if any(d.code not in ("E0631", "E0623") for d in error.diagnostics):
            raise
    return None


def text_of(given: str | Mapping[str, Any] | Sequence[Any]) -> str:
    """The text that a value of another project is known by: of a mapping its JSON, else what Python prints."""
    if isinstance(given, str):
        return given
    return json.dumps(given) if isinstance(given, Mapping) else repr(given)


def read(subject: Subject, text: str, name: str | None = None) -> Architecture:
    """The architecture of a text of another project.

    Without a name, of the one format that the text looks like and the space has the shape of. Raises
    :class:`SpacecError`: E0630 to E0632, or E0603 to E0605 where the space has no such architecture.
    """
    text = text.strip()
    if name is not None:
        return _read(subject, bound(subject, name), text)
    looks = [each.name for each in FORMATS.values() if each.looks(text)]
    fits = {each: made for each in looks if (made := _bound_or_none(subject, each)) is not None}
    if not fits:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        known = ", ".join(fitting(subject)) or "none"
        notes: tuple[str, ...] = (f"formats of this space's shape: {known}",)
        if looks:
            notes = (f"it looks like {' or '.join(looks)}, whose shape {subject.table.space} has not", *notes)
        raise SpacecError(
            Diagnostic("E0632", f"{shown!r} is of no format that fits {subject.table.space}", notes=notes)
        )
    special = [each for each in fits if each != nni.NAME] or list(fits)  # any JSON object may be an export of NNI
    return _read(subject, fits[special[0]], text)


def _read(subject: Subject, made: Bound, text: str) -> Architecture:
    values = dict(made.read(text))
    wrong = findings(subject.table, values, where=False)
    if wrong:
        raise SpacecError(wrong)
    return architecture_of(subject.table, values)


def native(text: str) -> bool:
    """Whether a text is plainly of some format: not one that could be a digest or a file of spacec's own."""
    text = text.strip()
    plain = (each for each in FORMATS.values() if each.name not in (numbers.MACRO, nni.NAME))
    return any(each.looks(text) for each in plain) or (
        text.startswith("{") and ('"normal/op_' in text or '"cell/' in text)
    )


def write(subject: Subject, arch: Architecture, name: str) -> str:
    """The text of an architecture. Raises :class:`SpacecError`: E0630, E0631, or E0633 where it cannot be said."""
    return bound(subject, name).write(arch)
