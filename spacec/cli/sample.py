"""``spacec sample``: architectures drawn at random."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.output import tell, tell_json, tell_json_list, tell_lines
from spacec.cli.progress import counted, working
from spacec.cli.spaces import file_argument, input_sizes, json_option, open_space, space_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spacec.driver import Space
    from spacec.space.architecture import Architecture
    from spacec.space.strata import Stratum

PARTS = 1_000
"""Parts that a space is cut into, at most; each is counted by itself."""

STREAMED = 1_000
"""Architectures beyond which they are drawn while they are printed."""


@click.command()
@file_argument
@space_options
@click.option("-n", "--count", "number", type=click.IntRange(min=0), default=1, show_default=True, help="How many.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed; the same seed gives the same architectures."
)
@click.option("--without-replacement", "once", is_flag=True, help="Draw every architecture at most once.")
@click.option("--weighted", is_flag=True, help="By the product of the prior weights instead of uniformly.")
@click.option(
    "--per-decision", is_flag=True, help="Every decision by itself, all its candidates alike, whatever the priors."
)
@click.option("--distinct", is_flag=True, help="Uniformly over different networks, where these can be counted.")
@click.option("--stratify", metavar="COST", help="That many of each part of the space by a cost, such as params.")
@click.option("--bins", type=click.IntRange(1, PARTS), help="Parts equally wide in the cost; 5 by default.")
@click.option("--quantiles", type=click.IntRange(1, PARTS), help="Parts of about the same size instead.")
@click.option("--size", "sizes", multiple=True, metavar="NAME=N", help="A free input size, for the cost (H=64).")
@json_option
def sample(
    file: str,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    number: int,
    seed: int,
    once: bool,
    weighted: bool,
    per_decision: bool,
    distinct: bool,
    stratify: str | None,
    bins: int | None,
    quantiles: int | None,
    sizes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Draw architectures uniformly from those that are valid, one line of text each.

    Constraints are met without rejection wherever the valid architectures can be counted; else the acceptance rate is
    told on standard error.

    \b
    Example:
      spacec sample grammars/nas_bench_201.space -n 5 --seed 1
      spacec sample grammars/darts.space --where 'params <= 250K' -n 100 --without-replacement
      spacec sample grammars/darts.space --stratify params --quantiles 4 -n 10
    """
    if (per_decision and (weighted or once)) or (distinct and (weighted or once or per_decision)):
        raise click.UsageError("--per-decision and --distinct are laws of their own")
    if stratify is None and (bins or quantiles or sizes):
        raise click.UsageError("--bins, --quantiles and --size go with --stratify")
    if stratify is not None and (weighted or per_decision or distinct or (bins and quantiles)):
        raise click.UsageError("--stratify draws uniformly from --bins or from --quantiles")
    space = open_space(file, params, preset, ops)
    if stratify is not None:
        with working("drawing"):
            strata = space.sample_stratified(
                number,
                stratify,
                cuts=None,
                bins=0 if quantiles else bins or 5,
                quantiles=quantiles or 0,
                seed=seed,
                replace=not once,
                **input_sizes(space, sizes),
            )
        _tell_strata(space, stratify, strata, as_json)
        return
    with working("drawing"):
        if distinct:
            drawn: Iterable[Architecture] = space.sample(number, seed, distinct=True)
        elif per_decision:
            drawn = space.sample_decisions(number, seed)
        else:
            drawn = _drawn(space, number, seed, once, weighted)
    drawn = counted(drawn, "printing", number)
    if as_json:
        tell_json_list(space.to_json(arch) for arch in drawn)
        return
    tell_lines(arch.text() for arch in drawn)


def _tell_strata(space: Space, cost: str, strata: tuple[Stratum, ...], as_json: bool) -> None:
    if as_json:
        tell_json([_stratum_facts(space, stratum) for stratum in strata])
        return
    for stratum in strata:
        low = "" if stratum.low is None else f"{_number(stratum.low)} <= "
        high = "" if stratum.high is None else f" < {_number(stratum.high)}"
        size = "an unknown number of" if stratum.size is None else f"{stratum.size:,}"
        tell(f"# {low}{cost}{high}: {size} architecture{'' if stratum.size == 1 else 's'}")
        tell_lines(arch.text() for arch in stratum.drawn)


def _stratum_facts(space: Space, stratum: Stratum) -> dict[str, Any]:
    """Bounds are numbers, or ``None``; a size of ``None`` is one that cannot be counted."""
    low, high = (float(b) if isinstance(b, Fraction) else b for b in (stratum.low, stratum.high))
    archs = [space.to_json(arch) for arch in stratum.drawn]
    rate = None if stratum.rejection is None else stratum.rejection.rate
    return {"low": low, "high": high, "size": stratum.size, "acceptance": rate, "architectures": archs}


def _number(bound: int | Fraction) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{float(bound):g}"


def _drawn(space: Space, number: int, seed: int, once: bool, weighted: bool) -> Iterable[Architecture]:
    if once or number <= STREAMED:
        return space.sample(number, seed, replace=not once, weighted=weighted)
    return islice(space.sampler(seed, weighted=weighted), number)
