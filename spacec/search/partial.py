"""What strategies on partial channels share: saying which choices run in full, and refusing where all would."""

from __future__ import annotations

from collections import Counter

from spacec.search.context import SearchContext
from spacec.search.space_like import SpaceLike


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
