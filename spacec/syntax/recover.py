"""Where parsing goes on after an error.

Skips to the next place that surely begins something: a statement of the innermost open block, the brace that closes
it, or an item. Words that only items begin with, and ``def``, ``let`` and ``tied`` in the first column, end every open
block, since a missing brace is likelier than an item inside one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from spacec.syntax.lexer import BINDING_WORDS, ITEM_WORDS, OPENERS, Token
from spacec.syntax.tables import END

_STATEMENT_WORDS = BINDING_WORDS | {"for", "if", "return"}


class Opened(NamedTuple):
    """A bracket that is open where the error is."""

    token: Token
    block: bool


def resume(text: str, tokens: Sequence[Token], at: int, opened: Sequence[Opened]) -> tuple[int, int]:
    """The token to go on with, and how many of the open brackets stay open."""
    blocks = [i for i, bracket in enumerate(opened) if bracket.block]
    keep = blocks[-1] + 1 if blocks else 0
    pending = [bracket.token.kind for bracket in opened[keep:]]
    inner: list[str] = []
    for i in range(at, len(tokens)):
        token = tokens[i]
        if token.kind == END or begins_item(
            text, token, tokens[min(i + 1, len(tokens) - 1)], bool(blocks or pending or inner)
        ):
            return i, 0
        if token.kind in OPENERS:
            inner.append(token.kind)
        elif token.kind in (")", "]", "}"):
            if _close(token.kind, inner) or _close(token.kind, pending):
                continue
            if token.kind == "}" and blocks:
                return i, keep
        elif not inner and _resumes_block(tokens, i, bool(pending)) and blocks:
            return i, keep
    return len(tokens) - 1, 0


def begins_item(text: str, token: Token, follower: Token, inside: bool) -> bool:
    """Whether an item begins here, even if a bracket seems to be open (``inside``)."""
    if not token.first or token.kind not in ITEM_WORDS | BINDING_WORDS:
        return False
    if not inside or token.start == 0 or text[token.start - 1] in "\n\ufeff":
        return True
    return token.kind in ITEM_WORDS and follower.kind not in ("=", "+=", ",")


def _close(kind: str, brackets: list[str]) -> bool:
    """Closes the innermost bracket of this kind, and those left open inside it."""
    for i in reversed(range(len(brackets))):
        if OPENERS[brackets[i]] == kind:
            del brackets[i:]
            return True
    return False


def _resumes_block(tokens: Sequence[Token], i: int, pending: bool) -> bool:
    token = tokens[i]
    if token.kind == ";":
        return not pending
    if not token.first:
        return False
    if token.kind in _STATEMENT_WORDS:
        return True
    return token.kind == "NAME" and (not pending or tokens[i + 1].kind == "+=")
