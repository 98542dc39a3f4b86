"""``spacec sample``: architectures drawn uniformly."""

from __future__ import annotations

import click

from spacec.cli.output import tell, tell_json
from spacec.cli.spaces import file_argument, json_option, open_space, space_options


@click.command()
@file_argument
@space_options
@click.option("-n", "number", type=click.IntRange(min=0), default=1, show_default=True, help="How many.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed; the same seed gives the same architectures."
)
@json_option
def sample(
    file: str, params: tuple[str, ...], preset: str | None, ops: tuple[str, ...], number: int, seed: int, as_json: bool
) -> None:
    """Draw architectures uniformly from those that are valid, one line of text each.

    \b
    Example:
      spacec sample grammars/nas_bench_201.space -n 5 --seed 1
    """
    space = open_space(file, params, preset, ops)
    drawn = space.sample(n=number, seed=seed)
    if as_json:
        tell_json([space.to_json(arch) for arch in drawn])
        return
    for arch in drawn:
        tell(arch.text())
