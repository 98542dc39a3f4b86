"""``spacec graph``: a picture of a space, or of one architecture of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spacec.cli.output import say, tell
from spacec.cli.progress import working
from spacec.cli.spaces import file_argument, open_space, space_options
from spacec.diagnostics.model import Diagnostic, SpacecError

if TYPE_CHECKING:
    from spacec.facade import Space
    from spacec.space.architecture import Architecture

SUFFIXES = (".svg", ".dot", ".gv", ".mmd", ".mermaid")


@click.command()
@file_argument
@space_options
@click.option("--arch", metavar="A", help="Draw only what this architecture keeps: its text, a JSON file, random:SEED.")
@click.option(
    "--depth",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Levels of definitions to write out in place.",
)
@click.option("--expand", is_flag=True, help="Write every definition out in place.")
@click.option("--format", "form", type=click.Choice(["svg", "dot", "mermaid"]), help="Instead of the file's suffix.")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, allow_dash=True), metavar="FILE",
              help="picture.svg, .dot or .mmd; - for standard output.")  # fmt: skip
def graph(
    file: str,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    arch: str | None,
    depth: int,
    expand: bool,
    form: str | None,
    output: str,
) -> None:
    """Draw a space: the network, and each definition that decides as a panel with its candidates.

    SVG needs no other program; dot is for Graphviz, Mermaid for Markdown pages.

    \b
    Example:
      spacec graph grammars/darts.space -o darts.svg
      spacec graph grammars/darts.space --arch random:1 --format mermaid -o -
    """
    suffix = f".{form}" if form else Path(output).suffix.lower() if output != "-" else ".svg"
    if not form and suffix not in SUFFIXES:
        headline = f"'{Path(output).name}' has a suffix that no picture has"
        raise SpacecError(Diagnostic("E0717", headline, notes=(f"known: {', '.join(SUFFIXES)}; or state --format",)))
    space = open_space(file, params, preset, ops)
    chosen = None if arch is None else space.architecture(arch)
    with working("drawing"):
        text = drawn(space, chosen, suffix, depth, expand)
    if output == "-":
        tell(text.rstrip("\n"))
        return
    from spacec.search.files import write_text  # the one writer of whole files

    write_text(Path(output), text)
    say(f"wrote {output}")


def drawn(space: Space, arch: Architecture | None, suffix: str, depth: int = 0, expand: bool = False) -> str:
    """The text of a picture by its file's suffix."""
    from spacec.draw.paint import render
    from spacec.draw.read import EVERY, read_picture
    from spacec.draw.text import WRITERS, dot, mermaid

    picture = read_picture(space.graph, space.table, arch, EVERY if expand else depth, facts_of(space, arch))
    writers = {".svg": render, ".dot": dot, ".mermaid": mermaid} | WRITERS
    return writers[suffix](picture)


def facts_of(space: Space, arch: Architecture | None) -> tuple[str, ...]:
    """What stands below the title: how many architectures there are, or which one this is and its size."""
    header = ", ".join(
        f"{name} = {value}" for name, value in space.header.items() if not isinstance(value, list | tuple)
    )
    if arch is not None:
        return (arch.text(), f"{space.params(arch):,} weights" + (f"; {header}" if header else ""))
    where = tuple(f"where {c.text}" for c in space.table.constraints if c.text)
    return (f"{counted(space)} architectures" + (f"; {header}" if header else ""), *where)


def counted(space: Space) -> str:
    """The number of architectures; very large ones in powers of ten, and a word where it cannot be counted."""
    try:
        count = space.count()
    except SpacecError as error:
        if any(d.code != "E0510" for d in error.diagnostics):
            raise
        return "uncounted"
    if count < 10**24:
        return f"{count:,}"
    digits = str(count)
    return f"{digits[0]}.{digits[1:3]} \u00d7 10^{len(digits) - 1}"
