"""Base of strategies that search on a share of the channels (:mod:`spacec.passes.partial`).

Their options have ``partial``, the K of 1/K. Choices that cannot be narrowed run in full, which the record tells; a
space in which all would is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from spacec.search.context import SearchContext
from spacec.search.gradient import GradientStrategy
from spacec.search.space_like import SpaceLike


class PartialStrategy(GradientStrategy):
    """See the module."""

    undo: ClassVar[str] = "-o partial=1"
    """How to search on all channels."""

    def supernet_options(self) -> Mapping[str, Any]:
        return form(self.options.partial)

    def unsupported(self, space: SpaceLike) -> str:
        if why := super().unsupported(space):
            return why
        why = without_shares(space, self.options.partial)
        return f"{why} (`{self.undo}` searches on all channels)" if why else ""

    def on_epoch(self, epoch: int) -> None:
        super().on_epoch(epoch)
        if epoch == 0:
            report_whole(self.ctx, self.options.partial)


def form(parts: int) -> dict[str, Any]:
    """The form of a supernet on 1/``parts`` of the channels."""
    return {"partial": parts} if parts > 1 else {}


def without_shares(space: SpaceLike, parts: int) -> str:
    """Why no choice of ``space`` can run on a share of its channels; empty if one can, or if ``parts`` is 1."""
    if parts == 1:
        return ""
    found = space.partial_channels(parts)
    if found.narrowed:
        return ""
    reasons = Counter(found.whole.values())
    why = f": {max(reasons, key=lambda r: reasons[r])}" if reasons else ""
    return f"none of its choices can run on a share of their channels{why}"


def report_whole(ctx: SearchContext, parts: int) -> None:
    """Record the choices that run on all of their channels, each with why."""
    whole = dict(ctx.space.partial_channels(parts).whole)
    if whole:
        count = "1 choice runs" if len(whole) == 1 else f"{len(whole)} choices run"
        ctx.recorder.event("partial channels", f"{count} on all channels, not on a share", whole)
