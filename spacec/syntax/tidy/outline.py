"""The tokens and comments of a file, with what the tree says about them.

Assumes a file that parses. Everything after this reads and sets marks of pieces by their index; the tree is not
needed again. Parentheses that :func:`outline` adds (around a sum that is a stage of a chain) are pieces of length 0
in the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from spacec.diagnostics.model import Sink
from spacec.source import SourceFile
from spacec.syntax import ast
from spacec.syntax.lexer import OPENERS, lex
from spacec.syntax.tables import END
from spacec.syntax.walk import nodes

TOP = -1
"""Stands for the block of the items of a file."""

_COMMENT = re.compile(r"#[^\n]*")


@dataclass
class Piece:
    """A token: what stands before it, and how. ``breaks``: a line begins here; ``blank``: after an empty line."""

    text: str
    kind: str
    start: int
    end: int
    gap: int = 1
    breaks: bool = False
    blank: bool = False
    comments: list[tuple[str, bool]] = field(default_factory=list)
    """Comments with a line of their own before this piece, each with whether an empty line is before it."""
    trailing: str = ""
    """A comment that ends the line after this piece, and where it starts in the text."""
    trailing_start: int = 0

    @property
    def forced(self) -> bool:
        """Whether a comment before it has a line of its own."""
        return bool(self.comments)


@dataclass
class Outline:
    """``partner``: bracket to bracket. ``statements``: first piece of each, with the bracket of its block.

    ``firsts``: of each ``|`` and ``>>``, the first piece of the first alternative or stage. ``bars``: of a parenthesis
    that holds nothing but alternatives, their ``|``. ``signs``: arithmetic between two operands, with whether it is
    written without blanks.
    """

    source: SourceFile
    pieces: list[Piece]
    partner: dict[int, int] = field(default_factory=dict)
    blocks: set[int] = field(default_factory=set)
    statements: dict[int, int] = field(default_factory=dict)
    firsts: dict[int, int] = field(default_factory=dict)
    bars: dict[int, list[int]] = field(default_factory=dict)
    signs: dict[int, bool] = field(default_factory=dict)

    def hanging(self, opener: int) -> bool:
        """Whether what a bracket holds begins on the next line."""
        return self.pieces[opener + 1].breaks


def outline(source: SourceFile, tree: ast.File) -> Outline:
    """The pieces of a file that parses, the last one the end of the file."""
    found = _Reader(source, tree)
    return found.outline


class _Reader:
    def __init__(self, source: SourceFile, tree: ast.File) -> None:
        self.tree = list(nodes(tree))
        self.tokens = [t for t in lex(source, Sink()).tokens if t.end > t.start or t.kind == END]
        self.ends = [t.end for t in self.tokens]
        self.opened: Counter[int] = Counter()
        self.closed: Counter[int] = Counter()
        for node in self.tree:
            if isinstance(node, ast.Pipe):
                for stage in node.stages:
                    self._guard(stage.stage if isinstance(stage, ast.Typed) else stage)
        self.outline = Outline(source, self._pieces(source.text))
        numbered = reversed(list(enumerate(self.outline.pieces)))
        self.at = {p.start: i for i, p in numbered if p.kind != END and (p.end > p.start or p.kind == "(")}
        self._brackets()
        starts: set[int] = set()
        for node in self.tree:
            self._mark(node, starts)
        self._blocks(starts)

    def _guard(self, stage: ast.Expr) -> None:
        """Parentheses around a sum, unless it has its own."""
        if not isinstance(stage, ast.Binary) or stage.op not in ("+", "-"):
            return
        last = bisect_left(self.ends, stage.span.end)
        first = bisect_left(self.ends, stage.span.start + 1)
        before = self.tokens[first - 1].kind if first else ""
        if (before, self.tokens[last + 1].kind) != ("(", ")"):
            self.opened[stage.span.start] += 1
            self.closed[stage.span.end] += 1

    def _pieces(self, text: str) -> list[Piece]:
        pieces: list[Piece] = []
        end = 0
        for token in self.tokens:
            if token.kind == ";":
                continue  # what stands between two statements is written anew
            own = [Piece("(", "(", token.start, token.start) for _ in range(self.opened[token.start])]
            own.append(Piece(token.text, token.kind, token.start, token.end))
            _read_gap(text, end, token.start, own[0], pieces[-1] if pieces else None)
            pieces += own
            pieces += [Piece(")", ")", token.end, token.end) for _ in range(self.closed[token.end])]
            end = token.end
        return pieces

    def _brackets(self) -> None:
        opened: list[int] = []
        for i, piece in enumerate(self.outline.pieces):
            if piece.kind in OPENERS:
                opened.append(i)
            elif piece.kind in OPENERS.values():
                self.outline.partner[i] = opened[-1]
                self.outline.partner[opened.pop()] = i

    def _sign(self, left: ast.Node, *kinds: str) -> int:
        """The piece that is the sign after an operand, whatever parentheses the operand stands in."""
        i = bisect_left(self.ends, left.span.end) + 1
        while self.tokens[i].kind not in kinds:
            i += 1
        return self._real(self.tokens[i].start)

    def _real(self, offset: int) -> int:
        """The piece of a token, the parentheses added before it left out."""
        i = self.at[offset]
        while self.outline.pieces[i].start == self.outline.pieces[i].end:
            i += 1
        return i

    def _blocks(self, starts: set[int]) -> None:
        """The brackets that hold statements, and of every statement the bracket that holds it."""
        found, opened = self.outline, [TOP]
        for i, piece in enumerate(found.pieces):
            if i in starts:
                found.statements[i] = opened[-1]
            if piece.kind in OPENERS:
                opened.append(i)
                if piece.kind == "{" and (i + 1 in starts or found.partner[i] == i + 1):
                    found.blocks.add(i)
            elif piece.kind in OPENERS.values():
                opened.pop()

    def _mark(self, node: ast.Node, starts: set[int]) -> None:
        found = self.outline
        match node:
            case ast.File():
                header = (node.header,) if node.header else ()
                starts.update(self._real(item.span.start) for item in (*header, *node.items))
            case ast.Dag() | ast.For():
                starts.update(self._real(statement.span.start) for statement in node.body)
            case ast.If():
                whole = [self._real(statement.span.start) for statement in (*node.then, *node.orelse)]
                starts.update(i for i in whole if found.pieces[i - 1].kind != "else")
            case ast.Pipe():
                for stage in node.stages[:-1]:
                    found.firsts[self._sign(stage, ">>")] = self.at[node.span.start]
            case ast.Alternatives() if len(node.candidates) > 1:
                self._alternatives(node)
            case ast.Binary(op="+" | "-" | "*" | "/" | "//" | "%"):
                sign = self._sign(node.left, node.op)
                found.signs[sign] = self._is_tight(sign) and not self._holds_wide(node)
            case ast.Range(low=low, high=high) | ast.Slice(low=low, high=high):
                for end in (low, high):
                    if end is not None:
                        self._tighten(end)
            case _:
                pass

    def _alternatives(self, node: ast.Alternatives) -> None:
        found = self.outline
        first = self.at[node.span.start]
        bars = [self._sign(candidate, "|") for candidate in node.candidates[:-1]]
        found.firsts.update(dict.fromkeys(bars, first))
        closer = found.partner.get(first - 1)
        if closer is not None and found.pieces[first - 1].kind == "(" and found.pieces[closer - 1].end == node.span.end:
            found.bars[first - 1] = bars

    # -------------------------------------------------------------- blanks around arithmetic

    def _is_tight(self, sign: int) -> bool:
        pieces = self.outline.pieces
        return pieces[sign - 1].end == pieces[sign].start and pieces[sign].end == pieces[sign + 1].start

    def _holds_wide(self, node: ast.Binary) -> bool:
        """Whether an operand without parentheses has blanks, so that a sign without would mislead."""
        return any(
            self._bare(side) and not self.outline.signs[self._sign(side.left, side.op)]
            for side in (node.left, node.right)
            if isinstance(side, ast.Binary) and side.op not in ("and", "or", "^")
        )

    def _tighten(self, node: ast.Expr) -> None:
        """No blanks in the ends of a range, which bind looser than they look."""
        if not isinstance(node, ast.Binary) or not self._bare(node):
            return
        self.outline.signs[self._sign(node.left, node.op)] = True
        self._tighten(node.left)
        self._tighten(node.right)

    def _bare(self, node: ast.Node) -> bool:
        first, last = bisect_left(self.ends, node.span.start + 1), bisect_left(self.ends, node.span.end)
        return (self.tokens[first - 1].kind if first else "", self.tokens[last + 1].kind) != ("(", ")")


def _read_gap(text: str, start: int, end: int, piece: Piece, before: Piece | None) -> None:
    """What stands between two tokens: comments, line breaks, empty lines."""
    at = start
    for match in _COMMENT.finditer(text, start, end):
        lines = text.count("\n", at, match.start())
        comment = match[0].rstrip()
        if before is not None and not lines and not piece.comments:
            before.trailing, before.trailing_start = comment, match.start()
        else:
            piece.comments.append((comment, lines > 1))
        at = match.end()
    lines = text.count("\n", at, end)
    piece.breaks = piece.breaks or lines > 0 or at > start
    piece.blank = lines > 1
