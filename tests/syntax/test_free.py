"""What a piece of syntax takes from around it."""

from __future__ import annotations

import pytest

from spacec.source import SourceFile
from spacec.syntax.free import free_names
from spacec.syntax.parse import parse_expression


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("a + b[i]", {"a", "b", "i"}),
        ("sum(from s: f)", {"sum", "s", "f"}),
        ("sum(from x in xs: x + y)", {"sum", "xs", "y"}),
        ("pick k from x in x: x", {"k", "x"}),
        ("dag(x) { return x >> f }", {"f"}),
        ("dag(x) { s = [x]; s += x; return s[0] }", set()),
        ("dag(x) { s = [s, x]; return s[0] }", {"s"}),
        ("dag(x) { s += x; return s[0] }", {"s"}),
        ("dag(x) { for i in 0..n { t = i };  return t }", {"n", "t"}),
        ("dag(x) { if k { t = x } else { t = y };  return t }", {"k", "y"}),
        ("dag(x) { if k { t = x };  return t }", {"k", "t"}),
        ("dag(x) { def f(c) = conv(c);  return x >> f(2) }", {"conv", "c"}),
        ("dag(x) { return x >> dag(y) { return y + x } }", set()),
    ],
)
def test_free_names(text: str, free: set[str]) -> None:
    assert free_names(parse_expression(SourceFile("text", text))) == free
