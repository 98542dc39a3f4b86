"""``spacec explain``: the page of a diagnostic's code, of an op, or of a definition of the library."""

from __future__ import annotations

import textwrap

import click

from spacec.cli.output import tell


@click.command()
@click.argument("name", metavar="[CODE|NAME]", required=False)
def explain(name: str | None) -> None:
    """Explain a diagnostic, an op or a definition of the library; without a name, list them all.

    \b
    Example:
      spacec explain E0301
      spacec explain sep_conv
    """
    from spacec.cli.library import page  # the library and the pages are read only here

    tell(page(name) if name else _contents())


def _contents() -> str:
    from spacec.cli.library import groups
    from spacec.diagnostics.codes import codes

    lines: list[str] = []
    for title, names in groups().items():
        lines += [title, *textwrap.wrap("  ".join(names), 96, initial_indent="  ", subsequent_indent="  "), ""]
    lines.append("codes")
    lines += [f"  {info.code}  {info.title}" for info in codes().values()]
    return "\n".join(lines)
