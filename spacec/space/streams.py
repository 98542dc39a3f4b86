"""Uniform ranks in bulk: the numbers that ``Random(seed).randrange(total)`` gives one after the other.

The Mersenne Twister's 32-bit words are read in bulk and joined, cut and rejected as ``randrange`` does
it, so that the sequence depends on the seed alone: not on how many numbers are taken at a time, on
the platform, or on numpy, whose own distributions may change between versions.
"""

from __future__ import annotations

from random import Random
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

NARROW = 62
"""Numbers of at most this many bits are handled as int64."""

_WORD = 32

Ranks = NDArray[np.int64] | list[int]
"""Ranks in bulk: int64 where all possible ones have at most :data:`NARROW` bits, else Python integers."""


def words(rng: Random, count: int) -> NDArray[np.uint32]:
    """The next 32-bit words of a generator."""
    if count == 0:
        return np.zeros(0, dtype=np.uint32)
    return np.frombuffer(rng.getrandbits(_WORD * count).to_bytes(count * _WORD // 8, "little"), dtype="<u4")


class Stream(Protocol):
    """A sequence of ranks; it may end."""

    def take(self, count: int) -> Ranks: ...


class RankStream:
    """Endless uniform ranks below ``total``, which is at least one."""

    def __init__(self, total: int, seed: int) -> None:
        self.total = total
        self.narrow = total.bit_length() <= NARROW
        self._rng = Random(seed)
        self._left: Ranks = self._try(0)

    def take(self, count: int) -> Ranks:
        """The next ``count`` ranks."""
        parts: list[Any] = [self._left]
        have = len(self._left)
        while have < count:
            more = self._try((count - have) * 5 // 4 + 8)
            parts.append(more)
            have += len(more)
        found = np.concatenate(parts) if self.narrow else [rank for part in parts for rank in part]
        self._left = found[count:]
        return found[:count]

    def _try(self, tries: int) -> Ranks:
        """The accepted ones of so many tries."""
        bits = self.total.bit_length()
        width = -(-bits // _WORD)
        drawn = words(self._rng, tries * width).reshape(tries, width).copy()
        drawn[:, -1] >>= np.uint32(width * _WORD - bits)  # getrandbits keeps the high bits of its last word
        if self.narrow:
            ranks = drawn[:, 0].astype(np.int64)
            if width == 2:
                ranks |= drawn[:, 1].astype(np.int64) << _WORD
            return ranks[ranks < self.total]
        step, flat = width * _WORD // 8, drawn.astype("<u4").tobytes()
        found = (int.from_bytes(flat[i : i + step], "little") for i in range(0, len(flat), step))
        return [rank for rank in found if rank < self.total]


class DistinctStream:
    """A uniformly random order of all ranks below ``total``, as far as it is taken (Fisher and Yates's shuffle).

    Memory grows with what has been taken, not with ``total``: only numbers that have changed places are kept.
    """

    def __init__(self, total: int, seed: int) -> None:
        self.total = total
        self._rng = Random(seed)
        self._taken = 0
        self._moved: dict[int, int] = {}

    def take(self, count: int) -> Ranks:
        """The next ``count`` ranks, or as many as are left."""
        found: list[int] = []
        moved, rng = self._moved, self._rng
        for place in range(self._taken, min(self._taken + count, self.total)):
            other = place + rng.randrange(self.total - place)
            here = moved.pop(place, place)
            found.append(here if other == place else moved.get(other, other))
            if other != place:
                moved[other] = here
        self._taken += len(found)
        return np.array(found, dtype=np.int64) if self.total.bit_length() <= NARROW else found
