"""How commands print: facts on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import click

from spacec.diagnostics.model import Diagnostic
from spacec.diagnostics.render import render_text


def colour(stream: TextIO | None) -> bool:
    """Whether to colour: only on a terminal (``None`` is a closed stream), and never where ``NO_COLOR`` is set."""
    return (
        stream is not None and stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def show(diagnostics: Sequence[Diagnostic]) -> None:
    """Diagnostics for a person, on standard error."""
    say(render_text(diagnostics, color=colour(sys.stderr)).rstrip("\n"))


def say(text: str) -> None:
    """A message on standard error."""
    click.echo(text, err=True, color=colour(sys.stderr))


def tell(text: str) -> None:
    """A fact on standard output."""
    click.echo(text, color=colour(sys.stdout))


def tell_json(facts: Any) -> None:
    """Facts as JSON on standard output; integers stay exact."""
    tell(json.dumps(facts, indent=2, ensure_ascii=False))


def table(rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """Rows in aligned columns; the last column is ragged."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)] if rows else []
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append((indent + "  ".join([*cells, row[-1]])).rstrip())
    return "\n".join(lines)


def facts(pairs: Mapping[str, str]) -> str:
    """``name   value`` lines."""
    return table([(name, value) for name, value in pairs.items()], indent="")
