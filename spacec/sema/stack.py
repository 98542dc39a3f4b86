"""The interpreter's stack during an elaboration, which recurses as deep as definitions and expressions nest."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType
from typing import TypeVar

T = TypeVar("T")

_FRAMES = 40_000
"""Python frames that the deepest legal nesting needs; frames of pure Python take no C stack."""
_WORDS = 70_000
"""More than half of a power of two of bytes: what is left of the block that it makes CPython take holds the frames
of any ordinary recursion. In blocks of CPython's own 16 KiB, a loop around the border of two would map and unmap
memory at every call."""


def on_deep_stack(work: Callable[[], T]) -> T:
    """What ``work`` returns, with room for deep recursion."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _FRAMES))
    try:
        return _roomy(work)  # type: ignore[no-any-return]  # a function made from code has no signature
    finally:
        sys.setrecursionlimit(before)


def _call(work: Callable[[], T]) -> T:
    return work()


_roomy = FunctionType(_call.__code__.replace(co_stacksize=_WORDS), globals(), "_roomy")
