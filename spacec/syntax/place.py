"""The place of a syntax error, as the rules of :mod:`spacec.syntax.mistakes` look at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from spacec.diagnostics.model import Diagnostic, Label
from spacec.source import SourceFile, Span
from spacec.syntax.lexer import OPENERS, Token
from spacec.syntax.recover import Opened
from spacec.syntax.tables import END

OPERATORS = frozenset(
    {">>", "->", "+", "-", "*", "/", "//", "%", "^", "|", "@", "<=", ">=", "==", "!=", "<", ">", "and", "or", "not",
     "when", "in", "."}
)  # fmt: skip
CLOSERS = {close: open_ for open_, close in OPENERS.items()}
_OPERANDS = frozenset(
    {"NAME", "NUMBER", "STRING", "(", "[", "{", "let", "tied", "def", "dag", "elastic", "in", "-", "not", "from",
     "pick", "*", "any"}
)  # fmt: skip
_STATEMENTS = frozenset({"NAME", "for", "if", "return", "def", "let", "tied"})
_ITEMS = frozenset({"use", "input", "output", "default", "preset", "net", "where", "def", "let", "tied", "space", END})
_NAMED = {"NAME": "a name", "NUMBER": "a number", "STRING": "a string in double quotes", END: "the end of the file"}


@dataclass(frozen=True)
class Place:
    """``tokens[at]`` cannot stand here: ``expected`` are the kinds that can, ``opened`` the brackets still open."""

    source: SourceFile
    tokens: Sequence[Token]
    at: int
    opened: Sequence[Opened]
    expected: frozenset[str]

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    @property
    def found(self) -> str:
        """The token as a headline names it."""
        return quoted(self.token)

    def back(self, n: int) -> Token:
        """The n-th token before."""
        return self.tokens[self.at - n] if n <= self.at else Token("", "", 0, 0)

    def ahead(self, n: int) -> Token:
        """The n-th token after."""
        return self.tokens[min(self.at + n, len(self.tokens) - 1)]

    @cached_property
    def line(self) -> tuple[Token, ...]:
        """The tokens before this one, back to the first on the last line that has any."""
        i = self.at
        while i > 0 and not self.tokens[i - 1].first:
            i -= 1
        return tuple(self.tokens[max(0, i - 1) : self.at])

    @property
    def wants_operand(self) -> bool:
        return {"NAME", "NUMBER"} <= self.expected

    @property
    def wants_block(self) -> bool:
        return "{" in self.expected and "NUMBER" not in self.expected

    @property
    def wants_statement(self) -> bool:
        return {"NAME", "return"} <= self.expected and "NUMBER" not in self.expected

    @property
    def wants_item(self) -> bool:
        return "net" in self.expected and "NUMBER" not in self.expected and self.expected <= _ITEMS

    @property
    def innermost(self) -> Opened | None:
        return self.opened[-1] if self.opened else None

    def span(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    def error(
        self, code: str, headline: str, label: str, at: Token | None = None, help_: str = "", also: Label | None = None
    ) -> Diagnostic:
        """A finding at this token, or at another."""
        place = self.span(at if at is not None else self.token)
        return Diagnostic(code, headline, place, label, (also,) if also else (), help=help_)

    def wanted(self) -> str:
        """What can stand here, in words."""
        if self.wants_item:
            return "expected `def`, `let`, `tied`, `net` or another item"
        left, words = set(self.expected), []
        if self.wants_statement:
            words.append("a statement")
            left -= _STATEMENTS | {";"}
        elif self.wants_operand:
            words.append("an expression")
            left -= _OPERANDS
        elif "+" in left:
            words.append("an operator")
            if ">>" in left:  # the colon of a label and the dots of a range are not what is missing
                left -= {":", ".."}
            left -= OPERATORS | {"(", "[", "=", ";"} | _STATEMENTS | _ITEMS
        words += sorted(_NAMED.get(kind, f"`{kind}`") for kind in left)
        return "expected " + (" or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words))


def quoted(token: Token) -> str:
    """A token as a headline names it."""
    if token.kind == END:
        return "the end of the file"
    text = token.text if len(token.text) <= 40 else token.text[:37] + "..."
    return f"`{text}`"
