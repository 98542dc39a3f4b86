"""``spacec fmt``: lays out space files.

A file is replaced whole or not at all; one that does not parse is left alone.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import click

from spacec.cli.files import STDIN, read_source, space_files, write_whole
from spacec.cli.output import colour, say, show, tell
from spacec.diagnostics.model import SpacecError
from spacec.source import SourceFile

_STYLES = {"+": "32", "-": "31", "@": "36"}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(allow_dash=True), metavar="FILE...")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit with 1 if a file would change.")
@click.option("--diff", "as_diff", is_flag=True, help="Write nothing; print what would change.")
@click.pass_context
def fmt(ctx: click.Context, files: tuple[str, ...], only_check: bool, as_diff: bool) -> None:
    """Lay out space files: blanks, indentation, long lines, parentheses around sums in chains.

    Lines end where you end them and comments stay; columns that you align stay aligned. FILE may be a folder, or -
    for standard input, which is printed laid out. The exit code is 1 if a file has errors (it is left alone) and,
    with --check or --diff, if a file would change.

    \b
    Example:
      spacec fmt grammars/darts.space --check
    """
    from spacec.syntax.tidy import tidy  # not needed for --help

    changed = failed = 0
    names = space_files(files)
    for name in names:
        try:
            source = read_source(name)
            text = tidy(source)
        except SpacecError as error:
            show(error.diagnostics)
            failed += 1
            continue
        differs = text != source.text
        changed += differs
        if as_diff:
            _show_difference(source, text)
        elif only_check:
            if differs:
                say(f"would lay out {source.name}")
        elif name == STDIN:
            sys.stdout.write(text)
        elif differs:
            write_whole(Path(name), text)
            say(f"laid out {source.name}")
    if names != (STDIN,) and not as_diff:
        say(_summary(len(names) - changed - failed, changed, failed, only_check))
    ctx.exit(1 if failed or (changed and (only_check or as_diff)) else 0)


def _summary(same: int, changed: int, failed: int, only_check: bool) -> str:
    what = "would change" if only_check else "changed"
    counts = ((changed, what), (same, "unchanged"), (failed, "left alone for errors"))
    return ", ".join(f"{n} file{'s' * (n != 1)} {what}" for n, what in counts if n)


def _show_difference(source: SourceFile, text: str) -> None:
    lines = difflib.unified_diff(
        source.text.splitlines(), text.splitlines(), source.name, f"{source.name} (laid out)", lineterm=""
    )
    painted = colour(sys.stdout)
    for line in lines:
        style = _STYLES.get(line[:1]) if painted else None
        tell(f"\x1b[{style}m{line}\x1b[0m" if style else line)
