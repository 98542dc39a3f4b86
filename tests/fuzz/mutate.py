"""Damaged files: what shipped grammars, listings and golden errors become when tokens move, vanish, double or swell."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from spacec.diagnostics.model import Sink
from spacec.source import SourceFile
from spacec.syntax.lexer import RESERVED, Token, lex

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("grammars", "tests/syntax/listings", "tests/sema/errors", "tests/diagnostics/errors", "tests/fuzz/corpus")
NUMBERS = (
    "0", "1", "2", "3", "-1", "64", "65", "1000", "10001", "1000000000", "0.5", "1e308", "1K", "5M", "30ms",
    "18446744073709551616", "99999999999999999999999999999999999999999999", "[2, 3]", "{1, 3}", "elastic {2, 4}",
)  # fmt: skip
SIGNS = (
    *">-+*/%^|<=.,:()[]{}@;", ">>", "->", "//", "<=", "==", "!=", "+=", "..", *sorted(RESERVED), "any",
)  # fmt: skip
LONGEST = 20_000
"""Characters of a file that is mutated."""


@cache
def sources() -> tuple[str, ...]:
    """The texts to begin from, in a fixed order."""
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).glob("**/*.space"))]
    texts = (file.read_bytes().decode("utf-8", "replace") for file in files)
    return tuple(text for text in texts if len(text) <= LONGEST)


@cache
def words() -> tuple[str, ...]:
    """Every name that some file mentions."""
    found = {t.text for text in sources() for t in tokens(text) if t.kind == "NAME" and len(t.text) < 30}
    return tuple(sorted(found))


def tokens(text: str) -> list[Token]:
    return lex(SourceFile("mutated.space", text), Sink()).tokens[:-1]


def mutated(rng: random.Random) -> str:
    """A text with one to eight changes."""
    text = rng.choice(sources())
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        text = rng.choice(CHANGES)(rng, text)
    return text


def _cut(text: str, a: Token, b: Token, by: str) -> str:
    """The text with everything from one token to another replaced."""
    return text[: a.start] + by + text[b.end :]


def _stretch(rng: random.Random, found: list[Token], most: int) -> tuple[Token, Token]:
    start = rng.randrange(len(found))
    return found[start], found[min(len(found) - 1, start + rng.randrange(most))]


def delete(rng: random.Random, text: str) -> str:
    found = tokens(text)
    return _cut(text, *_stretch(rng, found, 4), "") if found else text


def double(rng: random.Random, text: str) -> str:
    found = tokens(text)
    if not found:
        return text
    a, b = _stretch(rng, found, 12)
    piece = text[a.start : b.end]
    return _cut(text, a, b, f"{piece} {piece}")


def swap(rng: random.Random, text: str) -> str:
    found = tokens(text)
    if len(found) < 2:
        return text
    a, b = sorted(rng.sample(found, 2), key=lambda t: t.start)
    return text[: a.start] + b.text + text[a.end : b.start] + a.text + text[b.end :]


def splice(rng: random.Random, text: str) -> str:
    """A stretch of another file in place of one of this."""
    found, other = tokens(text), rng.choice(sources())
    theirs = tokens(other)
    if not found or not theirs:
        return text
    a, b = _stretch(rng, theirs, 15)
    return _cut(text, *_stretch(rng, found, 6), other[a.start : b.end])


def number(rng: random.Random, text: str) -> str:
    found = [t for t in tokens(text) if t.kind == "NUMBER"]
    token = rng.choice(found) if found else None
    return _cut(text, token, token, rng.choice(NUMBERS)) if token else text


def rename(rng: random.Random, text: str) -> str:
    """A name put for another: of the same file, or of any."""
    found = [t for t in tokens(text) if t.kind == "NAME"]
    if not found:
        return text
    token = rng.choice(found)
    return _cut(text, token, token, rng.choice(words()) if rng.random() < 0.3 else rng.choice(found).text)


def insert(rng: random.Random, text: str) -> str:
    found = tokens(text)
    at = rng.choice(found).end if found else 0
    return f"{text[:at]} {rng.choice(SIGNS)} {text[at:]}"


def wrap(rng: random.Random, text: str) -> str:
    """An expression put into another construct."""
    found = tokens(text)
    if not found:
        return text
    a, b = _stretch(rng, found, 8)
    frame = rng.choice(
        ("({})", "[{}]", "{{{}}}", "let({})", "tied({})", "({} | relu)", "({}) * {{1..2}}", "elastic {{{}}}",
         "(pick 1 from [{}]: conv(3))", "sum({})", "each({})", "residual({})", "({}) -> [4, 8, 8]", "-({})",
         "dag(x) {{ return {} }}", "({} when C > 1)", "len({})", "max({}, 2)", "({}) * 3", "concat([{}])")
    )  # fmt: skip
    return _cut(text, a, b, frame.format(text[a.start : b.end]))


def item(rng: random.Random, text: str) -> str:
    """A line of another file among the lines of this one."""
    lines = text.splitlines(keepends=True)
    others = [line for line in rng.choice(sources()).splitlines() if line.strip()]
    lines.insert(rng.randint(0, len(lines)), (rng.choice(others) if others else "") + "\n")
    return "".join(lines)


CHANGES = (delete, double, swap, splice, number, number, rename, rename, insert, wrap, item)
