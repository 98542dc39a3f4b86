"""Source text and positions.

Every position in spacec is a half-open range of character offsets into one
:class:`SourceFile`; lines and columns are derived only when a person reads them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class SourceFile:
    """A text and the name by which a person knows it (a path, or ``<string>``)."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def _starts(self) -> list[int]:
        starts, at = [0], self.text.find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = self.text.find("\n", at + 1)
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """One-based line and column of a character offset."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a one-based line, without its line break."""
        start = self._starts[number - 1]
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r")


@dataclass(frozen=True)
class Span:
    """Half-open range ``[start, end)`` of character offsets in ``source``."""

    source: SourceFile = field(repr=False)
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """The range from the start of this span to the end of ``other``."""
        return Span(self.source, min(self.start, other.start), max(self.end, other.end))

    def __str__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"


NOWHERE = Span(SourceFile("<none>", ""), 0, 0)
"""For nodes made by the compiler, not by a person."""


OWN = -1
"""The place of a space's own text among the files that make it up."""


@dataclass(frozen=True)
class Kept:
    """The files beside its own text that a space is made of: with them it loads where none of them can be found.

    Files are meant by their place in ``files``. ``uses``: by the file that has a ``use`` (:data:`OWN` for the space's
    own text) and by what stands there, the file that was found. ``tables``: by the name of a measured cost, the table
    that it is read from.
    """

    files: tuple[SourceFile, ...] = ()
    uses: Mapping[tuple[int, str], int] = field(default_factory=dict)
    tables: Mapping[str, int] = field(default_factory=dict)
