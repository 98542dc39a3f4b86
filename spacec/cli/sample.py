"""``spacec sample``: architectures drawn at random."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from spacec.cli.output import tell_json, tell_lines
from spacec.cli.spaces import file_argument, json_option, open_space, space_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spacec.driver import Space
    from spacec.space.architecture import Architecture

STREAMED = 1_000
"""Architectures beyond which they are drawn while they are printed."""


@click.command()
@file_argument
@space_options
@click.option("-n", "--count", "number", type=click.IntRange(min=0), default=1, show_default=True, help="How many.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed; the same seed gives the same architectures."
)
@click.option("--without-replacement", "distinct", is_flag=True, help="Draw every architecture at most once.")
@click.option("--weighted", is_flag=True, help="By the product of the prior weights instead of uniformly.")
@click.option(
    "--per-decision", is_flag=True, help="Every decision by itself, all its candidates alike, whatever the priors."
)
@json_option
def sample(
    file: str,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    number: int,
    seed: int,
    distinct: bool,
    weighted: bool,
    per_decision: bool,
    as_json: bool,
) -> None:
    """Draw architectures uniformly from those that are valid, one line of text each.

    Constraints are met without rejection wherever the valid architectures can be counted; else the acceptance rate is
    told on standard error.

    \b
    Example:
      spacec sample grammars/nas_bench_201.space -n 5 --seed 1
      spacec sample grammars/darts.space --where 'params <= 250K' -n 100 --without-replacement
    """
    if per_decision and (weighted or distinct):
        raise click.UsageError("--per-decision goes with neither --weighted nor --without-replacement")
    space = open_space(file, params, preset, ops)
    drawn = _drawn(space, number, seed, distinct, weighted, per_decision)
    if as_json:
        tell_json([space.to_json(arch) for arch in drawn])
        return
    tell_lines(arch.text() for arch in drawn)


def _drawn(
    space: Space, number: int, seed: int, distinct: bool, weighted: bool, per_decision: bool
) -> Iterable[Architecture]:
    if per_decision:
        return space.sample_decisions(number, seed)
    if distinct or number <= STREAMED:
        return space.sample(number, seed, replace=not distinct, weighted=weighted)
    return islice(space.sampler(seed, weighted=weighted), number)
