"""``spacec count``: how many architectures a space has, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from spacec.cli.numbers import SHOWN_DIGITS, rounded
from spacec.cli.output import tell, tell_json
from spacec.cli.progress import working
from spacec.cli.spaces import file_argument, further_constraints, json_option, open_space, space_options
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest

if TYPE_CHECKING:
    from spacec.driver import Space
    from spacec.facade.distinctness import Notion

UNCOUNTABLE = ("E0510", "E0513")
"""Codes of constraints that are not counted under: too much work, or no sum over decisions."""
NOTIONS = {
    "networks": "different networks",
    "live": "architectures that differ in what is on a path from input to output",
    "expressions": "different networks, where equal ops of equal inputs are one",
}
"""What tells distinct architectures apart."""


@click.command()
@file_argument
@space_options
@click.option("--owner", metavar="NAME", help="Count the ways to decide what one let, tied or net owns.")
@click.option(
    "--distinct",
    type=click.Choice(tuple(NOTIONS)),
    is_flag=False,
    flag_value="networks",
    help="Count what architectures come to, not how they are decided: networks, or by another notion.",
)
@json_option
def count(
    file: str,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    owner: str | None,
    distinct: Notion | None,
    as_json: bool,
) -> None:
    """Count the architectures of a space, exactly.

    Every valid assignment of the active decisions counts once. Where the constraints cannot be counted under in bounded
    work, the answer is an estimate from uniform samples, and says so; distinct networks that are not counted exactly
    are bounded.

    \b
    Example:
      spacec count grammars/nas_bench_201.space --where 'params <= 500K'
      spacec count grammars/nas_bench_201.space --distinct live
    """
    space = open_space(file, params, preset, ops)
    if owner is not None:
        known_owner(space, owner)
    with working("counting"):
        facts = found(space, owner) if distinct is None else found_distinct(space, owner, distinct)
    if as_json:
        stated = {"space": space.name, "digest": space.digest, "where": [s.text for s in further_constraints()]}
        tell_json({**stated, "owner": owner, "notion": distinct or "derivations", **facts})
        return
    what = "architectures" if owner is None else f"ways to decide {owner}"
    what = what if distinct is None else NOTIONS[distinct]
    if facts["exact"]:
        tell(f"{written(facts['count'])} {what}")
        return
    low, high = map(few_digits, facts["interval"])
    if "proof" in facts:
        tell(f"from {low} to {high} {what}: {facts['proof']}")
        return
    tell(f"about {few_digits(facts['count'])} {what}: an estimate")
    tell(f"95 % confidence interval {low} to {high}, from {facts['samples']:,} uniform samples")


def found(space: Space, owner: str | None) -> dict[str, Any]:
    """``count`` and whether it is ``exact``; of an estimate also its ``interval`` and the number of ``samples``."""
    try:
        return {"count": space.count(owner), "exact": True}
    except SpacecError as error:
        if error.diagnostics[0].code not in UNCOUNTABLE or owner is not None or not space.limited:
            raise
    from spacec.space.estimates import count_valid  # only here

    share, (low, middle, high) = count_valid(space.table)
    return {"count": middle, "exact": False, "interval": [low, high], "samples": share.samples}


def found_distinct(space: Space, owner: str | None, notion: Notion) -> dict[str, Any]:
    """As :func:`found`; of networks that are not counted exactly the ``interval`` they are in, and its ``proof``."""
    try:
        return {"count": space.count(owner, distinct=notion), "exact": True}
    except SpacecError as error:
        if error.diagnostics[0].code != "E0514" or owner is not None or notion != "networks":
            raise
    bounds = space.distinct_bounds()
    return {"count": None, "exact": False, "interval": [bounds.low, bounds.high], "proof": bounds.proof}


def known_owner(space: Space, owner: str) -> None:
    """Raise E0603 where nothing that decides is called so."""
    owners = space.table.owners
    if owner not in owners:
        near = nearest(owner, owners)
        hint = f"did you mean {near!r}?" if near else ""
        note = f"what decides in {space.name}: {', '.join(owners[:12])}{', …' * (len(owners) > 12)}"
        raise SpacecError(
            Diagnostic("E0603", f"nothing that decides in {space.name} is named {owner!r}", notes=(note,), help=hint)
        )


def written(number: int) -> str:
    """All digits in groups of three; beside many, the power of ten."""
    return f"{number:,}" + (f" (about {rounded(number)})" if number >= 10**SHOWN_DIGITS else "")


def few_digits(number: int) -> str:
    return f"{number:,}" if number < 10**6 else rounded(number)
