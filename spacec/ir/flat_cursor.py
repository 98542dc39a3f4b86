"""The tokens of one line of a flat graph's text (:mod:`spacec.ir.flat_read`)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NoReturn, TypeVar, cast

_TOKEN = re.compile(
    r"""\s*(?:(?P<node>%\d+)|(?P<case>\$\d+)|(?P<text>"(?:[^"\\]|\\.)*")"""
    r"""|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*(?:\.\w+|\[\d+\])*)|(?P<sign>[^\s\w]))""",
    re.ASCII,
)
T = TypeVar("T")


class FlatTextError(ValueError):
    """Why a text is no flat graph, with the number of its line."""


class Cursor:
    """The tokens of one line."""

    def __init__(self, line: str, number: int) -> None:
        self.number = number
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while found := _TOKEN.match(line, at):
            kind = found.lastgroup or ""
            if found[kind] == ";":
                break
            self.tokens.append((kind, found[kind]))
            at = found.end()
        self.at = 0

    def fail(self, what: str) -> NoReturn:
        found = self.tokens[self.at][1] if not self.ended() else "the end of the line"
        raise FlatTextError(f"line {self.number}: {what}, at {found}")

    def ended(self) -> bool:
        return self.at >= len(self.tokens)

    def sees(self, *texts: str) -> bool:
        """Whether the next token is one of these, unquoted."""
        return not self.ended() and self.tokens[self.at][0] != "text" and self.tokens[self.at][1] in texts

    def accept(self, *texts: str) -> bool:
        if self.sees(*texts):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            self.fail(f"`{text}` is missing")

    def kind(self) -> str:
        return "" if self.ended() else self.tokens[self.at][0]

    def take(self, kind: str) -> str:
        if self.kind() != kind:
            self.fail(f"a {kind} is missing")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def name(self) -> str:
        if self.kind() == "text":
            return cast(str, json.loads(self.take("text")))
        return self.take("name")

    def integer(self) -> int:
        sign = -1 if self.accept("-") else 1
        text = self.take("number")
        if not text.isdigit():
            self.fail("a whole number is missing")
        return sign * int(text)

    def several(self, read: Callable[[], T], close: str) -> list[T]:
        """What ``read`` gives, between commas, up to ``close``."""
        found: list[T] = []
        while not self.accept(close):
            if found:
                self.expect(",")
                if self.accept(close):
                    break
            found.append(read())
        return found
