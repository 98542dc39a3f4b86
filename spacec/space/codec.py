"""Architectures as text and as JSON, and back.

The text form is one line, safe in a shell: ``9c41e07a:normal=0+1,sep3,skip:reduce=-,...``: the digest,
then per owner the values of its active decisions, in order. JSON spells the ids out. Reading accepts
the name of a candidate, or its index where no candidate is named by a number. Constraints are not
looked at: they belong to a form, not to an architecture's identity (language rule 3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.source import SourceFile, Span
from spacec.space.activity import walk
from spacec.space.adapt import belongs, foreign
from spacec.space.architecture import EMPTY, Architecture, architecture_of, spelling_of
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.sample import sample
from spacec.space.validate import findings, missing, no_value
from spacec.space.values import Value, is_value

FORMAT = "spacec architecture"
VERSION = 1

_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_GROUP = re.compile(r"([A-Za-z0-9_@%./-]+)=([A-Za-z0-9_@%./+,-]+)")
_INDEX = re.compile(r"[0-9]{1,9}")
_RANDOM = re.compile(r"random:(-?[0-9]{1,18})")

_Given = str | int | tuple[int, ...]


def to_json(arch: Architecture) -> str:
    """JSON text: format and version, space, digests, and every active decision by id."""
    decisions = {
        name: list(value) if isinstance(value, tuple) else token
        for (name, value), (_, token) in zip(arch.choices, arch.tokens, strict=True)
    }
    data = {
        "format": FORMAT,
        "version": VERSION,
        "space": arch.space,
        "digest": arch.digest,
        "owners": dict(arch.owner_digests),
        "decisions": decisions,
    }
    return json.dumps(data, indent=2) + "\n"


Native = Callable[[str], Architecture | None]
"""The architecture of a text that is plainly another project's; ``None`` for any other text."""


def read_architecture(
    table: DecisionTable, spec: str | Path | Mapping[str, Any], native: Native = lambda text: None
) -> Architecture:
    """The architecture that a person names: ``random:SEED``, the text form, JSON (text or data), or a file of either.

    ``native`` is asked first, for the text itself and for that of a file.

    Raises :class:`SpacecError` (E0601 to E0605, or E0511 for a random one of an empty space).
    """
    if isinstance(spec, Path):
        return _read_file(table, spec, native)
    spec = (json.dumps(spec) if isinstance(spec, Mapping) else spec).strip()
    found = native(spec)
    if found is not None:
        return found
    if spec.startswith("random:"):
        seed = _RANDOM.fullmatch(spec)
        if seed is None:
            raise SpacecError(_malformed(f"{spec!r} names no seed", None, "random: is followed by a whole number"))
        return sample(table, 1, int(seed[1]))[0]
    if spec.startswith("{"):
        return from_json(table, spec)
    if not spec.endswith((".json", ".txt")) and ("=" in spec or _DIGEST.fullmatch(spec)):
        return from_text(table, spec)
    return _read_file(table, Path(spec), native)


def _read_file(table: DecisionTable, path: Path, native: Native) -> Architecture:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "not a text file"
        note = "an architecture is its text form, a file of it or of JSON, or random:SEED"
        raise SpacecError(_malformed(f"cannot read the architecture {str(path)!r}: {reason}", None, note)) from None
    found = native(text)
    if found is not None:
        return found
    if text.lstrip().startswith("{") or path.suffix == ".json":
        return from_json(table, text, str(path))
    return from_text(table, text, str(path))


def from_text(table: DecisionTable, text: str, name: str = "<architecture>") -> Architecture:
    """Read the text form. Raises :class:`SpacecError` (E0601 to E0605) with a span in the text, called ``name``."""
    return _TextReader(table, text.strip(), name).read()


class _TextReader:
    def __init__(self, table: DecisionTable, text: str, name: str) -> None:
        self.table = table
        self.source = SourceFile(name, text)
        self.spelling = spelling_of(table)
        self.waiting: dict[str, list[tuple[str, Span]]] = {}
        """Per spelled owner, the values not read yet, last first."""

    def read(self) -> Architecture:
        digest, _, rest = self.source.text.partition(":")
        if not _DIGEST.fullmatch(digest):
            raise SpacecError(_malformed("an architecture starts with the digest of its space", self.span(0, digest)))
        self.split(rest, len(digest) + 1)
        known = self.spelling.owners.values()
        if digest != self.table.digest:
            strange = [o for o in self.waiting if o not in known]
            raise SpacecError(foreign(self.table, "", digest, strange, self.span(0, digest)))
        for owner, values in self.waiting.items():
            if owner not in known:
                near = nearest(owner, known)
                span = self.span(values[-1][1].start - len(owner) - 1, owner)
                hint = f"did you mean {near!r}?" if near else ""
                headline = f"nothing in {self.table.space} is named {owner!r}"
                raise SpacecError(Diagnostic("E0603", headline, span, help=hint))
        chosen = walk(self.table, self.choose)
        for owner, values in self.waiting.items():
            if values:
                headline = f"{owner} has no active decision left for {values[-1][0]!r}"
                raise SpacecError(Diagnostic("E0605", headline, values[-1][1]))
        return architecture_of(self.table, chosen)

    def split(self, rest: str, start: int) -> None:
        for part in rest.split(":") if rest else ():
            group = _GROUP.fullmatch(part)
            if group is None:
                raise SpacecError(_malformed("expected OWNER=VALUE,VALUE,...", self.span(start, part)))
            owner, at = group[1], start + len(group[1]) + 1
            if owner in self.waiting:
                raise SpacecError(_malformed(f"{owner} is given twice", self.span(start, owner)))
            values: list[tuple[str, Span]] = []
            for token in group[2].split(","):
                values.append((token, self.span(at, token)))
                at += len(token) + 1
            self.waiting[owner] = values[::-1]
            start += len(part) + 1

    def choose(self, decision: Decision) -> Value:
        values = self.waiting.get(self.spelling.owners[decision.owner])
        if not values:
            end = len(self.source.text)
            raise SpacecError(missing(decision, Span(self.source, end, end)))
        token, span = values.pop()
        value = named_value(self.table, decision, token)
        if value is None:
            raise SpacecError(no_value(self.table, decision, token, span))
        return value

    def span(self, start: int, text: str) -> Span:
        return Span(self.source, start, start + len(text))


def from_json(table: DecisionTable, text: str, name: str = "<architecture>") -> Architecture:
    """Read JSON; ``name`` is shown in findings.

    An architecture of another form is read if all owners that this form uses have their digests.
    Raises :class:`SpacecError` (E0601 to E0605).
    """
    source = SourceFile(name, text)
    data = _object(source)
    digest, owners, given = data["digest"], data.get("owners", {}), data["decisions"]
    known = {name: named_value(table, table.by_id[name], value) for name, value in given.items() if name in table.by_id}
    if not belongs(table, digest, owners):
        unfit = [name for name in given if known.get(name) is None]
        unfit = unfit or [o for o in table.owners if owners.get(o) != table.owner_digests.get(o)]
        raise SpacecError(foreign(table, data["space"], digest, unfit))
    spans = {name: _key_span(source, name) for name in given}
    wrong = [no_value(table, table.by_id[n], given[n], spans[n]) for n, value in known.items() if value is None]
    if wrong:
        raise SpacecError(wrong)
    chosen: dict[str, Any] = dict(known) if digest != table.digest else {n: known.get(n) for n in given}
    wrong = findings(table, chosen, where=False, spans=spans)
    if wrong:
        raise SpacecError(wrong)
    return architecture_of(table, chosen)


def _object(source: SourceFile) -> dict[str, Any]:
    """The parsed text, with every field of its proper type; lists of elements as tuples."""
    try:
        data = json.loads(source.text)
    except json.JSONDecodeError as error:
        raise SpacecError(
            _malformed(f"{source.name} is not JSON: {error.msg}", Span(source, error.pos, error.pos + 1))
        ) from None
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        raise SpacecError(_malformed(f"{source.name} is not an architecture", None)) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise SpacecError(_malformed(f"{source.name} is not an architecture", None, f'its "format" must be "{FORMAT}"'))
    if data.get("version") != VERSION:
        headline = f"{source.name} has version {data.get('version')!r} of the format; this spacec reads {VERSION}"
        raise SpacecError(_malformed(headline, _key_span(source, "version")))
    fields = {"space": str, "digest": str, "owners": dict, "decisions": dict}
    for field, kind in fields.items():
        if not isinstance(data.get(field), kind):
            raise SpacecError(_malformed(f"{source.name} has no proper {field!r}", _key_span(source, field)))
    for name, value in data["decisions"].items():
        if isinstance(value, list) and all(type(e) is int for e in value):
            data["decisions"][name] = tuple(value)
        elif type(value) not in (int, str):
            headline = f"the value of {name} is neither a candidate nor a list of elements"
            raise SpacecError(_malformed(headline, _key_span(source, name)))
    return data


def named_value(table: DecisionTable, decision: Decision, given: _Given) -> Value | None:
    """What a text, an index or a tuple of elements names; ``None`` for nothing that the decision can take."""
    value: Value | None = given if not isinstance(given, str) else _named(table, decision, given)
    return value if value is not None and is_value(decision, value) else None


def _named(table: DecisionTable, decision: Decision, token: str) -> Value | None:
    if decision.kind == "subset":
        parts = [] if token == EMPTY else token.split("+")
        return tuple(map(int, parts)) if all(_INDEX.fullmatch(p) for p in parts) else None
    names = spelling_of(table).candidates[decision.id]
    if token in names:
        return names.index(token)
    if decision.labels.count(token) == 1:
        return decision.labels.index(token)
    by_number = _INDEX.fullmatch(token) and not any(_INDEX.fullmatch(n) for n in names)
    return int(token) if by_number else None


def _key_span(source: SourceFile, key: str) -> Span | None:
    quoted = json.dumps(key)
    at = source.text.find(quoted)
    return None if at < 0 else Span(source, at, at + len(quoted))


def _malformed(headline: str, span: Span | None, note: str = "") -> Diagnostic:
    return Diagnostic("E0601", headline, span, notes=(note,) if note else ())
