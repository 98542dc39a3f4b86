"""Diagnostics as text for people, as one line each, as JSON data, and as workflow commands.

Renders what it is given, in that order. Characters that a terminal would obey or not show are replaced, so a hostile
file cannot write escape sequences through its own error messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spacec.diagnostics.model import Diagnostic
from spacec.diagnostics.snippet import Painter, shown, snippets
from spacec.source import Span


def render_text(diagnostics: Sequence[Diagnostic], color: bool = False, width: int | None = None) -> str:
    """Every diagnostic with its source lines, and a count at the end; folded to ``width`` columns, if given."""
    paint = Painter(color, width)
    blocks = [_block(diagnostic, paint) for diagnostic in diagnostics]
    return "\n\n".join([*blocks, summary(diagnostics)]) if blocks else ""


def summary(diagnostics: Sequence[Diagnostic]) -> str:
    """``2 errors, 1 warning``."""
    errors = sum(d.severity == "error" for d in diagnostics)
    counts = (("error", errors), ("warning", len(diagnostics) - errors))
    return ", ".join(f"{n} {word}{'s' * (n != 1)}" for word, n in counts if n)


def _block(diagnostic: Diagnostic, paint: Painter) -> str:
    lead = f"{diagnostic.severity}[{diagnostic.code}]"
    first, *rest = paint.fold(shown(diagnostic.headline), len(lead) + 2)
    lines = [f"{paint(lead, diagnostic.severity)}: {paint(first, 'strong')}"]
    lines += [f"{' ' * (len(lead) + 2)}{paint(part, 'strong')}" for part in rest]
    marks = [(label.span, label.text, False) for label in diagnostic.labels]
    if diagnostic.span is not None:
        marks.insert(0, (diagnostic.span, diagnostic.label, True))
    gutter, pictures = snippets(marks, paint, diagnostic.severity)
    lines += pictures
    remarks = [("note", note) for note in diagnostic.notes]
    if diagnostic.help:
        remarks.append(("help", diagnostic.help))
    lines += [f"{gutter} {paint('=', 'frame')} {kind}: {_indented(text, gutter, paint)}" for kind, text in remarks]
    return "\n".join(lines)


def _indented(text: str, gutter: str, paint: Painter) -> str:
    margin = f"{gutter}         "
    parts = (part for line in text.split("\n") for part in paint.fold(shown(line), len(margin)))
    return f"\n{margin}".join(parts)


def render_concise(diagnostics: Sequence[Diagnostic]) -> str:
    """One line each: ``file:line:column: E0301 headline``."""
    return "\n".join(
        (f"{shown(str(d.span))}: " if d.span else "") + f"{d.code} {shown(d.headline)}" for d in diagnostics
    )


def render_json(diagnostics: Sequence[Diagnostic]) -> list[dict[str, Any]]:
    """Plain data. Lines and columns are one-based; an end column is the first one after the span."""
    return [
        {
            "code": d.code,
            "severity": d.severity,
            "headline": d.headline,
            **_place(d.span),
            "label": d.label,
            "labels": [{**_place(label.span), "text": label.text} for label in d.labels],
            "notes": list(d.notes),
            "help": d.help,
        }
        for d in diagnostics
    ]


def _place(span: Span | None) -> dict[str, Any]:
    if span is None:
        return dict.fromkeys(("file", "line", "column", "end_line", "end_column"))
    (line, column), (end_line, end_column) = span.source.position(span.start), span.source.position(span.end)
    return {
        "file": span.source.name, "line": line, "column": column, "end_line": end_line, "end_column": end_column,
    }  # fmt: skip


def render_github(diagnostics: Sequence[Diagnostic]) -> str:
    """Workflow commands, which a continuous-integration run shows beside the changed lines."""
    return "\n".join(_command(d) for d in diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    place = _place(diagnostic.span)
    names = {"file": "file", "line": "line", "column": "col", "end_line": "endLine", "end_column": "endColumn"}
    properties = {out: place[key] for key, out in names.items() if place[key] is not None}
    properties["title"] = diagnostic.code
    listed = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in properties.items())
    parts = [diagnostic.headline, diagnostic.label, *diagnostic.notes]
    if diagnostic.help:
        parts.append(f"help: {diagnostic.help}")
    message = "\n".join(part for part in parts if part)
    return f"::{diagnostic.severity} {listed}::{_escaped(message, '')}"


def _escaped(text: str, special: str) -> str:
    return "".join(f"%{ord(c):02X}" if c in "%\r\n" or c in special else c for c in text)
