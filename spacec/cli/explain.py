"""``spacec explain``: the page of a diagnostic's code."""

from __future__ import annotations

import click

from spacec.cli.output import tell


@click.command()
@click.argument("code", metavar="CODE")
def explain(code: str) -> None:
    """Explain a diagnostic, with a failing and a mended example.

    \b
    Example:
      spacec explain E0301
    """
    from spacec.diagnostics.explain import explain as page  # the pages are read only here

    tell(page(code.upper()))
