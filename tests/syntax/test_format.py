from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from spacec.source import SourceFile
from spacec.syntax import ast
from spacec.syntax.format import WIDTH, format_expression, format_file
from spacec.syntax.parse import parse, parse_expression
from tests.syntax.trees import expressions, files

SETTINGS = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LISTINGS = sorted(Path(__file__).with_name("listings").glob("*.space"))


def of(text: str) -> ast.File:
    return parse(SourceFile("test.space", text))


@settings(SETTINGS, max_examples=150)
@given(files())
def test_parse_inverts_format(tree):
    text = format_file(tree)
    again = of(text)
    assert again == tree
    assert format_file(again) == text


@settings(SETTINGS, max_examples=300)
@given(expressions())
def test_parse_expression_inverts_format(tree):
    text = format_expression(tree)
    again = parse_expression(SourceFile("test.space", text))
    assert again == tree
    assert format_expression(again) == text


@pytest.mark.parametrize("path", LISTINGS, ids=lambda p: p.stem)
def test_listings_keep_their_meaning(path):
    tree = of(path.read_text(encoding="utf-8"))
    text = format_file(tree)
    assert of(text) == tree
    assert format_file(of(text)) == text


def test_sums_in_chains_are_parenthesised():
    tree = parse_expression(SourceFile("t", "a >> b + c >> d"))
    assert format_expression(tree) == "a >> (b + c) >> d"
    assert format_expression(parse_expression(SourceFile("t", "a + b"))) == "a + b"


def test_no_needless_parentheses():
    for text in ("2*x^2 - 1", "a when b and not c == d", "-x^2", "(-x)^2", "f(x)[1].hw", "a - (b - c)", "(a | b) >> c"):
        spaced = text.replace("2*x", "2 * x")
        assert format_expression(parse_expression(SourceFile("t", text))) == spaced


def test_long_alternatives_stand_one_below_the_other():
    labels = [f"candidate_{i}: sep_conv({i})" for i in range(8)]
    text = format_file(of("def edge = " + " | ".join(labels)))
    assert text.splitlines()[:2] == ["def edge = candidate_0: sep_conv(0)", "         | candidate_1: sep_conv(1)"]


def test_long_chains_break_before_an_arrow():
    lines = format_file(of("net = " + " >> ".join(f"stage_{i}(C)" for i in range(20)))).splitlines()
    assert len(lines) > 2
    assert all(len(line) <= WIDTH for line in lines)
    assert all(line.startswith("   >> ") for line in lines[1:])
