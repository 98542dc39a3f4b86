"""Whatever the text, a tree or diagnostics; tests/robust has the absurdly large ones."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.render import render_text
from spacec.source import SourceFile
from spacec.syntax.format import format_file
from spacec.syntax.lexer import RESERVED
from spacec.syntax.parse import parse
from spacec.syntax.read import decoded


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
