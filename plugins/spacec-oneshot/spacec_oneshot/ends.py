"""The smallest and the largest network of a space, by number of weights."""

from __future__ import annotations

from spacec.diagnostics.model import SpacecError
from spacec.search.space_like import SpaceLike
from spacec.space.architecture import Architecture

COST = "params"


def ends(space: SpaceLike) -> tuple[Architecture, Architecture]:
    """The architectures of the fewest and of the most weights, exactly."""
    return space.extreme(COST, "min"), space.extreme(COST, "max")


def no_ends(space: SpaceLike) -> str:
    """Why they cannot be told; empty if they can."""
    try:
        ends(space)
    except SpacecError as error:
        return f"its smallest and its largest network are not known: {error.diagnostics[0].headline}"
    return ""
