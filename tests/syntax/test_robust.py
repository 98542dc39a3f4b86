"""Whatever the text, a tree or diagnostics, soon."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.render import render_text
from spacec.source import SourceFile
from spacec.syntax.format import format_file
from spacec.syntax.lexer import MAX_ERRORS, RESERVED
from spacec.syntax.parse import parse
from spacec.syntax.read import decoded

N = 100_000
DEEP = {
    "parentheses": "net = " + "(" * N,
    "closed parentheses": "net = " + "(" * N + "x" + ")" * N,
    "lists": "net = " + "[" * N + "]" * N,
    "braces": "net = " + "{" * N + "}" * N,
    "calls": "net = " + "f(" * N + ")" * N,
    "call chain": "net = f" + "()" * N,
    "indices": "net = f" + "[0]" * N,
    "attributes": "net = f" + ".a" * N,
    "negations": "net = " + "-" * N + "1",
    "nots": "net = " + "not " * N + "x",
    "powers": "net = " + "2^" * N + "2",
    "sums": "net = x" + " + x" * (N // 2),
    "froms": "net = " + "from a: " * N + "b",
    "dags": "net = " + "dag(x) { y = " * N,
    "else ifs": "net = dag(x) { if x { }" + " else if x { }" * (N // 10) + " }",
    "assignments": "net = dag(x) { " + "a = " * N + "1 }",
    "elastics": "net = " + "elastic " * N + "{1}",
    "a name": "net = " + "a" * 1_000_000,
    "a number": "net = " + "9" * 1_000_000,
    "a string": 'use "' + "a" * 1_000_000,
    "unknown characters": "\N{SNOWMAN}" * 1_000_000,
    "nothing but errors": "net net = = ) ( }\n" * 20_000,
    "openers of every kind": "([{" * N,
    "closers": ")" * N,
    "NULs": "\0" * N,
    "an exponent": "net = 1e999999999M",
    "bad numbers": "net = [" + "1x, " * N,
    "bad targets": "net = dag(x) {" + "a = 1 = 1\n" * N,
    "quotes": "'\"" * N,
    "semicolons": "net = dag(x) {" + ";" * N + "}",
    "a long line with an error": "net = " + "conv(3) >> " * 10_000 + "?",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
def test_absurd_texts_end_in_a_diagnostic(text):
    with pytest.raises(SpacecError) as caught:
        parse(SourceFile("absurd.space", text))
    rendered = str(caught.value)
    assert len(caught.value.diagnostics) <= MAX_ERRORS + 2
    assert len(rendered) < 1_000_000


def test_wide_texts_parse():
    tree = parse(SourceFile("wide.space", "net = " + " | ".join(["conv(3) >> bn"] * 3000)))
    assert format_file(tree)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_text(text):
    _survives(text)


WORDS = [*RESERVED, *">-+*/%^|<=.,:()[]{}@;?'\n", ">>", "->", "//", "<=", "==", "+=", ".."]
WORDS += ["a", "b", "f", "3", "0.5", "5M", '"s"']
WORDS.sort()


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join))
def test_any_sequence_of_words(text):
    _survives(text)


def test_any_damage_to_a_good_file():
    good = (
        "space s(C = 16)\ninput x: [3, 8]\ndefault bn(affine = 0)\ndef f(c) = a: conv(3, c) @ 0.5 when c > 1 | skip\n"
        "net = dag(x) {\n  s = [x];  for i in 0..3 { s += sum(pick 2 from s: f(C)) -> [C, *x.hw] }\n"
        "  return s[2..]\n}\n"
    )
    generator = random.Random(0)
    for _ in range(1500):
        start = generator.randrange(len(good))
        end = start + generator.randrange(12)
        other = generator.choice(["", "(", "}", " net ", "=", good[end : end + 9]])
        _survives(good[:start] + other + good[end:])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=60))
def test_any_bytes(data):
    errors = found(lambda: _survives(decoded("bytes.space", data).text))
    assert [d.code for d in errors] in ([], ["E0804"])


def _survives(text: str) -> None:
    for diagnostic in found(lambda: parse(SourceFile("any.space", text))):
        assert diagnostic.span is not None
        assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(text)


def found(work: Callable[[], object]) -> tuple[Diagnostic, ...]:
    """The findings, which can be rendered."""
    try:
        work()
    except SpacecError as error:
        render_text(error.diagnostics)
        return error.diagnostics
    return ()
