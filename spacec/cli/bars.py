"""Histograms in one line of text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import ceil

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII = " .:-=+*#@"


def bars(shares: Sequence[float], encoding: str | None = None) -> str:
    """One character per share, as high as it is large; whatever is not nothing is seen.

    ``encoding``: of what it is printed to, standard output by default; without block characters it is ASCII.
    """
    levels = BLOCKS if can_write(BLOCKS, encoding or getattr(sys.stdout, "encoding", None) or "ascii") else ASCII
    most = max(shares, default=0) or 1
    return "".join(levels[ceil(8 * share / most)] for share in shares)


def can_write(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
