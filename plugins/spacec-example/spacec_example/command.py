"""A command: an ordinary click command, imported when it is called."""

from __future__ import annotations

import click

import spacec


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def alphabet(file: str) -> None:
    """List the operations that a space chooses from.

    \b
    Example:
      spacec alphabet grammars/darts.space
    """
    space = spacec.load(file)
    for label in sorted({label for d in space.decisions if d.kind == "op" for label in d.labels}):
        click.echo(label)
