"""The notions of distinctness, counted: exactly, by listing all architectures where they are few, or bounded.

=============  ==========================================================================================
derivations    assignments of the active decisions
live           derivations that differ in more than what no path joins to input and output, where zeros end paths
networks       normal forms up to isomorphism: weights keep their identity
expressions    normal forms in which equal ops of equal inputs are one, also where they have weights
=============  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from random import Random

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.space.algebra import algebra, enumerate_architectures
from spacec.space.architecture import Architecture
from spacec.space.distinct import Distinct, NotCounted, expression
from spacec.space.identity import Networks
from spacec.space.sample import sample

LISTED = 5_000_000
"""Nodes of the bodies of all architectures together, where these are listed one by one: about a minute on one core."""


@dataclass(frozen=True)
class Interval:
    """A number is from ``low`` to ``high`` for certain; ``proof`` says why."""

    low: int
    high: int
    proof: str


def count_distinct(found: Distinct, notion: str) -> int:
    """How many architectures a notion tells apart. Raises :class:`SpacecError` (E0514) where it is not known."""
    if notion not in ("networks", "live", "expressions"):
        notions = "derivations, live, networks or expressions"
        raise SpacecError(
            Diagnostic("E0514", f"{notion!r} is no notion of distinct architectures", notes=(f"one of {notions}",))
        )
    known = found.counts.get(notion)
    if known is None:
        known = found.counts[notion] = _count(found, notion)
    return known


def _count(found: Distinct, notion: str) -> int:
    why = "this notion is counted by listing all architectures"
    if notion == "networks":
        try:
            return found.total
        except NotCounted as error:
            why = str(error)
    size = algebra(found.table).total
    nodes = sum(len(b.nodes) for bodies in found.bodies.values() for b in bodies) + len(found.networks.body.nodes)
    if size * nodes > LISTED:
        raise not_counted(notion, why, size)
    return len({_mark(found.networks, arch, notion) for arch in enumerate_architectures(found.table)})


def _mark(networks: Networks, arch: Architecture, notion: str) -> Hashable:
    """What is equal for architectures that a notion takes for one."""
    if notion == "live":
        return networks.live(arch)
    return networks.canonical(arch) if notion == "networks" else expression(networks.form(arch.get))


def _long(number: int) -> str:
    """A number in full, or where that takes a line or more a power of ten below it."""
    return f"{number:,}" if number < 10**30 else f"over 10^{int((number.bit_length() - 1) * 0.30102999)}"


def not_counted(notion: str, why: str, size: int) -> SpacecError:
    notes = (why, f"{_long(size)} architectures are too many to be listed one by one")
    help = "`space.distinct_bounds()` gives two numbers that it is between" if notion == "networks" else ""
    return SpacecError(
        Diagnostic("E0514", f"the distinct architectures ({notion}) are not counted exactly", notes=notes, help=help)
    )


def refuse_part(part: bool) -> None:
    """Raise E0514 where distinct architectures of a part, or by other weights, are asked for."""
    if part:
        headline = "distinct architectures are counted and drawn of the whole space, under its constraints, all alike"
        raise SpacecError(Diagnostic("E0514", headline))


def bounds(found: Distinct, samples: int) -> Interval:
    """See :meth:`spacec.facade.distinctness.Distinctness.distinct_bounds`."""
    try:
        exact = count_distinct(found, "networks")
        return Interval(exact, exact, "counted exactly")
    except SpacecError as error:
        if error.diagnostics[0].code != "E0514":
            raise
    high = algebra(found.table).total
    drawn = sample(found.table, samples)
    low = len({found.networks.canonical(arch) for arch in drawn})
    return Interval(
        low,
        high,
        f"{low:,} of {samples:,} drawn architectures have different certificates; there are {_long(high)} in all",
    )


def draw_networks(found: Distinct, n: int, rng: Random) -> list[Architecture]:
    """``n`` architectures, uniform over networks. Raises :class:`SpacecError` (E0514) where they are not counted."""
    try:
        return list(found.sample(n, rng))
    except NotCounted:
        count_distinct(found, "networks")  # refuses where they cannot be listed either
    first = {found.networks.canonical(a): a for a in reversed(list(enumerate_architectures(found.table)))}
    listed = [first[mark] for mark in sorted(first)]
    return [listed[rng.randrange(len(listed))] for _ in range(n)]
