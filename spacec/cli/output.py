"""How commands print: facts on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, TextIO

import click

from spacec.diagnostics.model import Diagnostic, DiagnosticWarning
from spacec.diagnostics.render import render_text

LINES = 256
"""Lines that are printed at once."""
_OBEYED = re.compile("\x1b(?!\\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, the start of an escape sequence that is no colour, and marks that turn the order of text."""


def colour(stream: TextIO | None) -> bool:
    """Whether to colour: on a terminal (``None`` is a closed stream) that can, or where ``FORCE_COLOR`` asks for it.

    ``NO_COLOR`` wins (see no-color.org and force-color.org); an empty variable is one that is not set.
    """
    if stream is None or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width(stream: TextIO | None) -> int | None:
    """Columns of the terminal, ``None`` where there is none; ``COLUMNS`` overrides either."""
    stated = os.environ.get("COLUMNS", "")
    if stated.isdecimal() and int(stated):
        return int(stated)
    if stream is None or not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):  # a stream that only looks like a terminal
        return None


def show(diagnostics: Sequence[Diagnostic]) -> None:
    """Diagnostics for a person, on standard error."""
    text = render_text(diagnostics, color=colour(sys.stderr), width=width(sys.stderr))
    say(text.rstrip("\n"))


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Findings that code warns of are shown as diagnostics, every time; other warnings as Python does."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", DiagnosticWarning)
        plain = warnings.showwarning

        def shown(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if isinstance(message, DiagnosticWarning):
                show((message.diagnostic,))
            else:
                plain(message, category, filename, lineno, file, line)

        warnings.showwarning = shown
        yield


def tame(text: str) -> str:
    """The text, with what a terminal would obey spelled out, colours and line ends apart: names come from files."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str) -> None:
    """A message on standard error."""
    click.echo(tame(text), err=True, color=colour(sys.stderr))


def tell(text: str) -> None:
    """A fact on standard output."""
    click.echo(tame(text), color=colour(sys.stdout))


def tell_lines(lines: Iterable[str]) -> None:
    """Many facts, a line each, printed while they are found; some at a time, since printing each takes longest."""
    waiting, size = iter(lines), 1
    while block := list(islice(waiting, size)):
        tell("\n".join(block))
        size = min(2 * size, LINES)


def tell_json(facts: Any) -> None:
    """Facts as JSON on standard output; integers stay exact."""
    tell(json.dumps(facts, indent=2, ensure_ascii=False))


def tell_json_list(items: Iterable[Any]) -> None:
    """A list as :func:`tell_json` prints it, while its items are found."""
    waiting = iter(items)
    first = list(islice(waiting, 1))
    if not first:
        tell("[]")
        return
    whole = (json.dumps(item, indent=2, ensure_ascii=False) for item in chain(first, waiting))
    shown = (text.replace("\n", "\n  ") for text in whole)  # a line break inside a text is written as \\n
    click.echo("[", nl=False)
    before = "\n  "
    for text in shown:
        click.echo(before + tame(text), nl=False)
        before = ",\n  "
    tell("\n]")


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
