"""Laws of the layout: meaning and comments stay, a second run changes nothing, shipped files stay as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from spacec.diagnostics.model import Sink, SpacecError
from spacec.source import SourceFile
from spacec.syntax import ast
from spacec.syntax.format import format_file
from spacec.syntax.lexer import lex
from spacec.syntax.parse import parse
from spacec.syntax.tidy import WIDTH, tidy
from tests.syntax.trees import files

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted([*(ROOT / "grammars").glob("*.space"), *(ROOT / "spacec" / "std").glob("*.space")])
LISTINGS = sorted(Path(__file__).with_name("listings").glob("*.space"))
SETTINGS = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def of(text: str) -> ast.File:
    return parse(SourceFile("test.space", text))


def tidied(text: str) -> str:
    return tidy(SourceFile("test.space", text))


def comments(text: str) -> list[str]:
    tokens = lex(SourceFile("test.space", text), Sink()).tokens
    ends = [0, *(t.end for t in tokens)]
    starts = [*(t.start for t in tokens), len(text)]
    gaps = (text[end:start] for end, start in zip(ends, starts, strict=True))
    return [line.rstrip() for gap in gaps for line in re.findall(r"#[^\n]*", gap)]


def check(text: str) -> str:
    out = tidied(text)
    assert of(out) == of(text)
    assert comments(out) == comments(text)
    assert tidied(out) == out
    assert "\n\n\n" not in out
    assert not re.search(r"[ \t]$", out, re.MULTILINE)
    return out


@st.composite
def sprinkled(draw: st.DrawFn) -> str:
    """A random file in which blanks, line breaks and comments stand between tokens where they happen to fall."""
    text = format_file(draw(files()))
    random = draw(st.randoms(use_true_random=False))
    parts, end = [], 0
    for token in lex(SourceFile("t", text), Sink()).tokens:
        parts.append(text[end : token.start])
        if random.random() < 0.3:
            parts.append(random.choice(["  ", "\n", "\n\n\n", "      ", " # a comment\n", "\n# own line  \n", "\t"]))
        parts.append(token.text)
        end = token.end
    return "".join(parts)


@settings(SETTINGS, max_examples=60)
@given(sprinkled())
def test_laws_hold_for_any_file(text: str) -> None:
    try:
        of(text)
    except SpacecError:
        assume(False)  # a line break before a bracket separates it from what it belongs to
    check(text)


@settings(SETTINGS, max_examples=40)
@given(files())
def test_laws_hold_for_files_on_long_lines(tree: ast.File) -> None:
    text = format_file(tree)
    assert of(check(text)) == tree


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_files_are_laid_out(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert tidied(text) == text, f"run: spacec fmt {path.relative_to(ROOT)}"


@pytest.mark.parametrize("path", LISTINGS, ids=lambda p: p.stem)
def test_listings_keep_their_meaning(path: Path) -> None:
    lines = check(path.read_text(encoding="utf-8")).splitlines()
    assert all(len(line.partition("  #")[0]) <= WIDTH for line in lines)


CASES = {
    "blanks": (
        "space s( C=8,classes = 10 )\ndef f( k )=conv( k,stride=2 )>>bn|skip@.5\n".replace("@.5", "@0.5"),
        "space s(C = 8, classes = 10)\ndef f(k) = conv(k, stride = 2) >> bn | skip @ 0.5\n",
    ),
    "arithmetic as written, unless it misleads": (
        "net = f(2*C, a+b, a + b*c, a+b * c, a- b, -x^2, 2 ^ n, cell * N)\n",
        "net = f(2*C, a+b, a + b*c, a + b * c, a - b, -x^2, 2^n, cell * N)\n",
    ),
    "ends of ranges": (
        "net = dag(x) { for i in 0 .. n - 1 { s += x[ .. i - 2 ] } }\n",
        "net = dag(x) { for i in 0..n-1 { s += x[..i-2] } }\n",
    ),
    "sums in chains": ("net = x + (y >> f) >> g\n", "net = (x + (y >> f)) >> g\n"),
    "ports stand below each other": (
        "input image:[3]\noutput y : [1]\noutput side:   [2] when aux\n",
        "input  image: [3]\noutput y:     [1]\noutput side:  [2] when aux\n",
    ),
    "alignment is kept": (
        "def a     = f     # one\ndef long  = g(x)  # two\n",
        "def a    = f     # one\ndef long = g(x)  # two\n",
    ),
    "blanks that align nothing go": ("def a     = f\ndef longer = g    # two\n", "def a = f\ndef longer = g  # two\n"),
    "statements on a line": (
        "net = dag(x) { a = x ; b = a\n }\n",
        "net = dag(x) {\n  a = x;  b = a\n}\n",
    ),
    "operators begin lines": (
        "def f = a |\n  b |  # why\n c\nnet = x >>\n y\n",
        "def f = a\n      | b  # why\n      | c\nnet = x\n   >> y\n",
    ),
    "alternatives in parentheses": (
        "net = x >> (a: f | b: g\n| c: h)\n",
        "net = x >> ( a: f | b: g\n           | c: h )\n",
    ),
    "brackets": (
        "net = f(\na,\n  b)\ndefault g(x = 1,\n y = 2)\n",
        "net = f(\n  a,\n  b\n)\ndefault g(x = 1,\n          y = 2)\n",
    ),
    "conditions": ("where a <= b,\n   c <= d\n", "where a <= b,\n      c <= d\n"),
    "empty lines": (
        "\n\ndef a = b\n\n\n\ndef c = dag(x) {\n\n  return x\n\n}\n",
        "def a = b\n\ndef c = dag(x) {\n  return x\n}\n",
    ),
    "else": (
        "net = dag(x) {\nif a { y = x } \n else { y = z }\nif a {\n y = x }\nelse {\ny = z }\n}\n",
        "net = dag(x) {\n  if a { y = x }\n  else { y = z }\n  if a {\n    y = x\n  } else {\n    y = z\n  }\n}\n",
    ),
    "comments": (
        "#one\n\nnet = dag(x) {   # two\n# three\n  return x # four\n  # five\n}\n# six",
        "#one\n\nnet = dag(x) {  # two\n  # three\n  return x  # four\n  # five\n}\n# six\n",
    ),
    "other line ends": ("\ufeffnet = a\r\n   >> b\r\n", "net = a\n   >> b\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_layout(name: str) -> None:
    before, after = CASES[name]
    assert check(before) == after


def test_long_lines_break_where_they_bind_loosest() -> None:
    labels = [f"candidate_{i}: sep_conv({i}, stride = 1)" for i in range(8)]
    lines = check("def edge = " + " | ".join(labels) + "\n").splitlines()
    assert all(line.startswith("         | candidate_") for line in lines[1:])
    assert len(lines) == 4
    lines = check("net = " + " >> ".join(f"stage_{i}(C)" for i in range(20)) + "\n").splitlines()
    assert all(line.startswith("   >> stage_") for line in lines[1:])
    lines = check("net = dag(x) { " + "; ".join(f"value_{i} = x >> conv({i})" for i in range(9)) + " }\n").splitlines()
    assert (lines[0], len(lines), lines[-1]) == ("net = dag(x) {", 11, "}")
    lines = check("default conv(" + ", ".join(f"argument_{i} = {i}" for i in range(12)) + ")\n").splitlines()
    assert all(line.startswith(" " * 13 + "argument_") for line in lines[1:])
    assert all(len(line) <= WIDTH for line in lines)


def test_a_file_with_errors_is_refused() -> None:
    with pytest.raises(SpacecError):
        tidied("net = (\n")
