"""Text to the same text, well laid out: what ``spacec fmt`` does.

Assumes a file that parses. Guarantees: the tree of the result is that of the file; every comment is kept, in its order;
a second run changes nothing. The author decides where a line ends and which columns stand below each other; blanks,
indentation, sums inside chains and lines that are too long are decided here.
"""

from __future__ import annotations

from spacec.source import SourceFile
from spacec.syntax.parse import parse
from spacec.syntax.tidy.align import aligned
from spacec.syntax.tidy.breaks import settle_breaks
from spacec.syntax.tidy.outline import outline
from spacec.syntax.tidy.place import break_long_lines
from spacec.syntax.tidy.spacing import settle_gaps
from spacec.syntax.tidy.write import written

WIDTH = 120
"""Columns of a line, a trailing comment apart."""


def tidy(source: SourceFile) -> str:
    """The text of a file, laid out; raises :class:`~spacec.diagnostics.model.SpacecError` where it does not parse."""
    found = outline(source, parse(source))
    settle_gaps(found)
    settle_breaks(found)
    break_long_lines(found, WIDTH)
    return written(found, aligned(found, WIDTH))
