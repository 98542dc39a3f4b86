"""Columns of pieces, and breaks in lines that are too long.

A line that goes on a statement begins where it is understood: ``|`` two columns before the first alternative and ``>>``
three before the first stage, so that alternatives and stages stand below each other; anything else below the first
element of its bracket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from spacec.syntax.lexer import OPENERS
from spacec.syntax.tidy.breaks import leads
from spacec.syntax.tidy.outline import TOP, Outline

INDENT = 2
FARTHEST = 40
"""Columns from the start of a statement to the first of alternatives or stages that others still stand below."""
_NONE: Mapping[int, int] = {}


@dataclass
class _Bracket:
    """``line`` is the column where its line begins, ``inside`` that of what it holds; the last statement in a block."""

    opener: int
    line: int
    inside: int
    statement: int = TOP
    statement_line: int = 0


class Placer:
    """Columns of the pieces of whole statements; ``least`` gives pieces that must not stand further left."""

    def __init__(self, found: Outline, least: Mapping[int, int] = _NONE) -> None:
        self.found = found
        self.least = least
        self.columns = [0] * len(found.pieces)
        self.natural = [0] * len(found.pieces)
        self.brackets: list[_Bracket] = []
        self.line = 0

    def run(self, first: int, last: int) -> None:
        """Place the pieces of ``first`` up to before ``last``: one item of the file, or several."""
        self.brackets = [_Bracket(TOP, 0, 0)]
        for i in range(first, last):
            self._place(i)

    def end(self, i: int) -> int:
        """The column after a piece."""
        return self.columns[i] + len(self.found.pieces[i].text)

    def _place(self, i: int) -> None:
        piece = self.found.pieces[i]
        closes = piece.kind in OPENERS.values()
        if piece.breaks:
            self.natural[i] = self.columns[i] = self.line = self._start(i)
        else:
            self.natural[i] = self.end(i - 1) + gap(self.found, i)
            self.columns[i] = max(self.natural[i], self.least.get(i, 0))
        if closes:
            self.brackets.pop()
        if i in self.found.statements:
            self.brackets[-1].statement, self.brackets[-1].statement_line = i, self.line
        if piece.kind in OPENERS:
            held = self.line + INDENT
            if i not in self.found.blocks and not self.found.hanging(i):
                held = self.columns[i] + 1 + padded(self.found, i)
            self.brackets.append(_Bracket(i, self.line, held))

    def _start(self, i: int) -> int:
        """Where a line that begins with this piece starts."""
        found, kind = self.found, self.found.pieces[i].kind
        top = self.brackets[-1]
        in_block = top.opener in found.blocks or top.opener == TOP
        if kind in OPENERS.values():
            hangs = in_block or found.hanging(top.opener)
            return top.line if hangs else self.columns[top.opener]
        if i in found.statements or kind == "else":
            return top.inside
        base = top.statement_line if in_block else top.inside
        if i in found.firsts:
            back = 2 if kind == "|" else 3
            if in_block and self.columns[found.firsts[i]] - base > FARTHEST:
                return base + INDENT
            floor = self.columns[top.opener] if not in_block and not found.hanging(top.opener) else base
            return max(floor, self.columns[found.firsts[i]] - back)
        if in_block:
            return self._value(top.statement, i) if found.pieces[i - 1].kind == "," else base + 2 * INDENT
        return base if found.pieces[i - 1].kind in (",", *OPENERS) else base + INDENT

    def _value(self, start: int, stop: int) -> int:
        """The column of the first of the values or conditions of a statement that goes on at ``stop``."""
        first, k = start, start
        while k < stop:
            if self.found.pieces[k].kind == "=":
                first = k
            k = self.found.partner.get(k, k) + 1  # what brackets hold apart
        return self.columns[first + 1]


def gap(found: Outline, i: int) -> int:
    """Blanks between a piece and the one before it on its line."""
    if i - 1 in found.bars and padded(found, i - 1):
        return 1
    opener = found.partner.get(i)
    if opener is not None and opener in found.bars and padded(found, opener):
        return 1
    return found.pieces[i].gap


def padded(found: Outline, opener: int) -> bool:
    """Whether a parenthesis holds alternatives on several lines: its content then stands apart from it."""
    return any(found.pieces[bar].breaks for bar in found.bars.get(opener, ())) and not found.hanging(opener)


def break_long_lines(found: Outline, width: int) -> None:
    """Breaks lines beyond ``width`` where they bind loosest, filling each line as far as it goes."""
    items = [i for i, owner in found.statements.items() if owner == TOP]
    placer = Placer(found)
    for first, last in pairwise([*items, len(found.pieces) - 1]):
        start = first
        while True:
            placer.run(first, last)
            line = _long_line(found, placer, start, last, width)
            if line is None:
                break
            start = line[0]
            if not _break(found, placer, *line, width):
                start = line[1]


def _long_line(found: Outline, placer: Placer, start: int, last: int, width: int) -> tuple[int, int] | None:
    """The first line from ``start`` on that is too long: its first piece, and that of the next line."""
    for i in range(start, last):
        if found.pieces[i].breaks:
            start = i
        if (i + 1 == last or found.pieces[i + 1].breaks) and placer.end(i) > width:
            return start, i + 1
    return None


_ORDER = {"|": 0, ">>": 1, "{": 2, ",": 3, "->": 4, "when": 4, "@": 4, "or": 5, "and": 6}


def _break(found: Outline, placer: Placer, start: int, stop: int, width: int) -> bool:
    """Break a line once, or open the blocks in it; false where nothing can be broken.

    If the next line goes on with the same list, it is filled up anew.
    """
    places: dict[tuple[int, int], list[int]] = {}
    depth = 0
    for i in range(start, stop + 1):
        kind = found.pieces[i].kind
        depth -= kind in OPENERS.values()
        order = _order(found, i)
        if i > start and order is not None and (order != _ORDER["{"] or found.partner[i] < stop):
            places.setdefault((depth, order), []).append(i + (order == _ORDER["{"]))
        depth += kind in OPENERS
    fitting = {key: [i for i in here if i < stop and placer.end(i - 1) <= width] for key, here in places.items()}
    key = min((key for key, here in fitting.items() if here), default=min(places, default=None))
    at = (fitting[key] or places[key][:1])[-1] if key is not None else stop
    if key is None or at == stop:
        return False
    if key[1] == _ORDER["{"]:
        _open(found, (fitting[key] or places[key])[0] - 1)
        return True
    found.pieces[at].breaks = True
    if stop in places[key] and not found.pieces[stop].forced and not found.pieces[stop - 1].trailing:
        found.pieces[stop].breaks = False
    for opener in found.blocks:
        if opener < at < found.partner[opener]:
            _open(found, opener)
    return True


def _order(found: Outline, i: int) -> int | None:
    """How loosely a break at this piece would bind, ``None`` where there can be none."""
    kind = found.pieces[i].kind
    if i in found.blocks:
        return _ORDER["{"] if i + 1 < found.partner[i] else None
    if leads(found, i):
        return _ORDER.get(kind, 7)
    comma = found.pieces[i - 1].kind == "," and kind not in OPENERS.values() and i not in found.statements
    return _ORDER[","] if comma else None


def _open(found: Outline, opener: int) -> None:
    """A block on one line gets one line for each statement."""
    if found.pieces[opener + 1].breaks:
        return
    found.pieces[found.partner[opener]].breaks = True
    for i, owner in found.statements.items():
        if owner == opener:
            found.pieces[i].breaks = True
    for outer in found.blocks:
        if outer < opener < found.partner[outer]:
            _open(found, outer)
