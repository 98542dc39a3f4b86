"""Text to tokens.

Guarantees: a list that ends in one ``$END`` token; every finding about single characters, numbers and strings is in
the sink, and what they stood for is replaced by the token most likely meant, so that the parser need not report the
same place again (``BAD`` where nothing is likely). A line that begins with ``(`` or ``[`` after something complete
gets a ``;`` before it, so that it never becomes the arguments or the index of the line above.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from spacec.diagnostics.model import Diagnostic, Sink
from spacec.source import SourceFile, Span
from spacec.syntax.tables import END

MAX_NESTING = 100
"""Of brackets and of the tree; everything after the parser may recurse over the tree."""
MAX_TOKENS = 150_000
MAX_WORD = 200
MAX_ERRORS = 20
"""Findings after which a file is given up."""

BAD = "BAD"
ITEM_WORDS = frozenset({"space", "use", "input", "output", "default", "preset", "net", "where"})
BINDING_WORDS = frozenset({"def", "let", "tied"})
RESERVED = ITEM_WORDS | BINDING_WORDS | frozenset(
    {"within", "from", "pick", "in", "for", "if", "else", "return", "when", "elastic", "dag", "and", "or", "not"}
)  # fmt: skip
OPENERS = {"(": ")", "[": "]", "{": "}"}
_ENDS_OPERAND = frozenset({"NAME", "NUMBER", "STRING", ")", "]", "}", "in", "any"})

_TOKEN = re.compile(
    r"""
    (?P<skip>[ \t\r\n\f]+|\#[^\n]*)
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?[A-Za-z0-9_]*)
  | (?P<string>"[^"\n]*"?|'[^'\n]*'?)
  | (?P<foreign>\.\.\.|&&|\|\||\*\*|\|>|:=|-=|\*=|/=|!(?!=))
  | (?P<sign>>>|->|\+=|\.\.|//|<=|>=|==|!=|[-+*/%^<>=.,:;|@(){}\[\]])
  | (?P<unknown>[^\sA-Za-z0-9_"'\#\-+*/%^<>=.,:;|@(){}\[\]!&]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)

_FOREIGN = {
    "&&": "and",
    "||": "or",
    "|>": ">>",
    "!": "not",
    "**": "^",
    "...": "..",
    ":=": "=",
    "\u2026": "..",  # ellipsis
    "\u2264": "<=",  # less or equal
    "\u2265": ">=",  # greater or equal
    "\u2260": "!=",  # not equal
    "\u2192": "->",  # arrow
    "\u00bb": ">>",  # guillemet
    "\u226b": ">>",  # much greater
    "\u00d7": "*",  # times
    "\u00b7": "*",  # dot
    "\u2212": "-",  # minus
    "\u2013": "-",  # en dash
    "\u2227": "and",  # logical and
    "\u2228": "or",  # logical or
    "\u00ac": "not",  # logical not
    "\u2208": "in",  # element of
}


class Token(NamedTuple):
    """``kind`` is the word or sign itself, or NAME, NUMBER, STRING, ERROR, BAD, $END; ``first`` on its line."""

    kind: str
    text: str
    start: int
    end: int
    first: bool = False


class Lexed(NamedTuple):
    """``complete`` is false where lexing gave up; the parser then says nothing about the end it meets."""

    tokens: list[Token]
    complete: bool


def lex(source: SourceFile, sink: Sink) -> Lexed:
    """The tokens of a text."""
    return _Lexer(source, sink).run()


class _Lexer:
    def __init__(self, source: SourceFile, sink: Sink) -> None:
        self.source = source
        self.sink = sink
        self.tokens: list[Token] = []
        self.blocks: list[bool] = []  # for every open bracket: does it hold statements?

    def run(self) -> Lexed:
        text = self.source.text
        first = True
        complete = True
        for match in _TOKEN.finditer(text, 1 if text.startswith("\ufeff") else 0):
            group = match.lastgroup
            if group == "skip":
                first = first or "\n" in match[0]
                continue
            kind = self._kind(str(group), match)
            if kind in OPENERS:
                self._open(kind, match.start(), first)
            elif kind in (")", "]", "}") and self.blocks:
                self.blocks.pop()
            self.tokens.append(Token(kind, match[0], match.start(), match.end(), first))
            first = False
            if len(self.blocks) > MAX_NESTING or len(self.tokens) > MAX_TOKENS:
                self._too_much(match.start(), match.end())
                complete = False
            if not complete or len(self.sink.diagnostics) >= MAX_ERRORS:
                complete = False
                break
        end = self.tokens[-1].end if self.tokens and not complete else len(text)
        self.tokens.append(Token(END, "", end, end, True))
        return Lexed(self.tokens, complete)

    def _kind(self, group: str, match: re.Match[str]) -> str:
        text = match[0]
        if group == "sign":
            return text
        if group == "word":
            return self._word(text, match.start())
        if group == "number":
            if len(text) > MAX_WORD:
                self._error("E0108", match, f"a number of {len(text)} characters", "no number is this long")
            return "NUMBER"
        if group == "string":
            self._check_string(match)
            return "STRING"
        return self._foreign(match)

    def _word(self, text: str, start: int) -> str:
        last = self.tokens[-1].kind if self.tokens else ""
        if len(text) > MAX_WORD:
            span = Span(self.source, start, start + len(text))
            label = f"names have at most {MAX_WORD} characters"
            self.sink.add(Diagnostic("E0108", f"a name of {len(text)} characters", span, label))
        if last == ".":
            return "NAME"
        if text in RESERVED:
            return text
        return "any" if text == "any" and last == "pick" else "NAME"

    def _check_string(self, match: re.Match[str]) -> None:
        text = match[0]
        if len(text) < 2 or text[-1] != text[0]:
            self._error("E0103", match, "this string has no end", f"no closing `{text[0]}` on this line")
        elif text[0] == "'":
            self._error("E0110", match, "a string in single quotes", 'strings are written "like this"')

    def _foreign(self, match: re.Match[str]) -> str:
        text = match[0]
        meant = _FOREIGN.get(text)
        if meant:
            self._error("E0110", match, f"`{text}` is not a sign of this language", f"write `{meant}`")
            return meant
        shown = ", ".join(_shown(c) for c in dict.fromkeys(text[:40]))
        noun = "character" if len(set(text[:40])) == 1 else "characters"
        self._error("E0102", match, f"unknown {noun} {shown}", "not part of the language")
        return BAD

    def _open(self, kind: str, start: int, first: bool) -> None:
        """Tracks what the bracket holds; see the module's word on lines that begin with one."""
        last = self.tokens[-1].kind if self.tokens else ""
        complete = last in _ENDS_OPERAND
        if first and kind != "{" and complete and (not self.blocks or self.blocks[-1]):
            self.tokens.append(Token(";", "", start, start))
        self.blocks.append(kind == "{" and (complete or last == "else"))

    def _too_much(self, start: int, end: int) -> None:
        span = Span(self.source, start, end)
        if len(self.blocks) > MAX_NESTING:
            diagnostic = Diagnostic("E0106", "brackets nested too deep", span, f"more than {MAX_NESTING} open here")
        else:
            diagnostic = Diagnostic("E0108", "the file is too long", span, f"more than {MAX_TOKENS} words and signs")
        self.sink.add(diagnostic)

    def _error(self, code: str, match: re.Match[str], headline: str, label: str) -> None:
        self.sink.add(Diagnostic(code, headline, Span(self.source, match.start(), match.end()), label))


def _shown(character: str) -> str:
    return f"`{character}`" if character.isprintable() else f"U+{ord(character):04X}"
