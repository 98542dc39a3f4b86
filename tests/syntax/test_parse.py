from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from spacec.diagnostics.model import Sink, SpacecError
from spacec.source import SourceFile, Span
from spacec.syntax import ast
from spacec.syntax.ast import Name as N
from spacec.syntax.format import format_file
from spacec.syntax.parse import parse, parse_expression
from spacec.syntax.walk import nodes
from tests.syntax.trees import files

LISTINGS = sorted(Path(__file__).with_name("listings").glob("*.space"))


def file(text: str) -> ast.File:
    return parse(SourceFile("test.space", text))


def expression(text: str) -> ast.Expr:
    return parse_expression(SourceFile("test.space", text))


def body(text: str) -> tuple[ast.Stmt, ...]:
    dag = expression("dag(x) {" + text + "}")
    assert isinstance(dag, ast.Dag)
    return dag.body


def number(value: int | float, unit: str = "") -> ast.Number:
    return ast.Number(value, unit=unit)


A, B, C, D, X = (N(c) for c in "abcdx")

EXPRESSIONS = {
    "a": A,
    "(((a)))": A,
    "-2^-a": ast.Unary("-", ast.Binary("^", number(2), ast.Unary("-", A))),
    "2^a^b": ast.Binary("^", number(2), ast.Binary("^", A, B)),
    "a - b - c": ast.Binary("-", ast.Binary("-", A, B), C),
    "a + b * c // d": ast.Binary("+", A, ast.Binary("//", ast.Binary("*", B, C), D)),
    "a >> b -> [c]": ast.Pipe((A, ast.Typed(B, ast.ListOf((C,))))),
    "a + b >> c": ast.Pipe((ast.Binary("+", A, B), C)),
    "(a >> b) >> c": ast.Pipe((ast.Pipe((A, B)), C)),
    "a * b -> c(d)": ast.Typed(ast.Binary("*", A, B), ast.Call(C, (ast.Arg(D),))),
    "a | b >> c": ast.Alternatives((ast.Candidate(A), ast.Candidate(ast.Pipe((B, C))))),
    "x: a": ast.Alternatives((ast.Candidate(A, "x"),)),
    "a @ 0.2 when b": ast.Alternatives((ast.Candidate(A, None, number(0.2), B),)),
    "x: a when b or c | d": ast.Alternatives((ast.Candidate(A, "x", None, ast.Binary("or", B, C)), ast.Candidate(D))),
    "(a | b) | c": ast.Alternatives(
        (ast.Candidate(ast.Alternatives((ast.Candidate(A), ast.Candidate(B)))), ast.Candidate(C))
    ),
    "not a == b and c": ast.Binary("and", ast.Unary("not", ast.Compare((A, B), ("==",))), C),
    "a or b and c": ast.Binary("or", A, ast.Binary("and", B, C)),
    "(a or b) and c": ast.Binary("and", ast.Binary("or", A, B), C),
    "1 < a <= b": ast.Compare((number(1), A, B), ("<", "<=")),
    "(a < b) < c": ast.Compare((ast.Compare((A, B), ("<",)), C), ("<",)),
    "a not in [b]": ast.Compare((A, ast.ListOf((B,))), ("not in",)),
    "a in b": ast.Compare((A, B), ("in",)),
    "in == out": ast.Compare((N("in"), N("out")), ("==",)),
    "a in in": ast.Compare((A, N("in")), ("in",)),
    "x.in": ast.Attribute(X, "in"),
    "(a, b)": ast.TupleOf((A, B)),
    "[a, 1..b, *c]": ast.ListOf((A, ast.Range(number(1), B), ast.Spread(C))),
    "[a, b,]": ast.ListOf((A, B)),
    "{a, *b}": ast.Braces((A, ast.Spread(B))),
    "elastic {1..3}": ast.Braces((ast.Range(number(1), number(3)),), elastic=True),
    "a * elastic {2, 4}": ast.Binary("*", A, ast.Braces((number(2), number(4)), elastic=True)),
    "f(a, b = c, *d)": ast.Call(N("f"), (ast.Arg(A), ast.Arg(C, "b"), ast.Arg(ast.Spread(D)))),
    "x[2..]": ast.Slice(X, number(2), None),
    "x[..a-2]": ast.Slice(X, None, ast.Binary("-", A, number(2))),
    "x[1..3]": ast.Slice(X, number(1), number(3)),
    "x[-1]": ast.Index(X, (ast.Unary("-", number(1)),)),
    "walk[a+1, b]": ast.Index(N("walk"), (ast.Binary("+", A, number(1)), B)),
    "tokens(a)[b]": ast.Index(ast.Call(N("tokens"), (ast.Arg(A),)), (B,)),
    "x.hw[0]": ast.Index(ast.Attribute(X, "hw"), (number(0),)),
    "from a: b": ast.From(A, B),
    "from x in a: b": ast.From(A, B, "x"),
    "from x in 0..4: x": ast.From(ast.Range(number(0), number(4)), X, "x"),
    "pick 2 from a: b": ast.From(A, B, None, number(2)),
    "pick any from [a]: b": ast.From(ast.ListOf((A,)), B, None, "any"),
    "pick 1..2 from x in a: b | c": ast.From(
        A, ast.Alternatives((ast.Candidate(B), ast.Candidate(C))), "x", ast.Range(number(1), number(2))
    ),
    "f(pick any from a: b, from c: d)": ast.Call(
        N("f"), (ast.Arg(ast.From(A, B, None, "any")), ast.Arg(ast.From(C, D)))
    ),
    "pick min(a, b) from c: d": ast.From(C, D, None, ast.Call(N("min"), (ast.Arg(A), ast.Arg(B)))),
    "tied(a) * {2..4}": ast.Binary("*", ast.Inline("tied", A), ast.Braces((ast.Range(number(2), number(4)),))),
    "let(a | b)": ast.Inline("let", ast.Alternatives((ast.Candidate(A), ast.Candidate(B)))),
    'f(a = "full")': ast.Call(N("f"), (ast.Arg(ast.String("full"), "a"),)),
    "dag() { }": ast.Dag((), ()),
    "dag(a, b) { return a, b }": ast.Dag(("a", "b"), (ast.Return((A, B)),)),
    "any": N("any"),
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expression(text):
    assert expression(text) == EXPRESSIONS[text]


NUMBERS = {
    "5": (5, ""), "0.001": (0.001, ""), "1e-3": (0.001, ""), "5M": (5_000_000, ""), "41K": (41_000, ""),
    "600M": (600_000_000, ""), "1.5G": (1_500_000_000, ""), "1.1K": (1100, ""), "0.0005K": (0.5, ""),
    "30ms": (30, "ms"), "1.5s": (1.5, "s"), "2e3": (2000.0, ""), "007": (7, ""), "2.5e3M": (2_500_000_000, ""),
}  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_number(text):
    found = expression(text)
    assert isinstance(found, ast.Number)
    assert (found.value, found.unit, found.text) == (*NUMBERS[text], text)
    assert type(found.value) is type(NUMBERS[text][0])


STATEMENTS = {
    "a = b": ast.Assign((("a",),), (B,)),
    "a = b = c": ast.Assign((("a",), ("b",)), (C,)),
    "a, b = b, a": ast.Assign((("a", "b"),), (B, A)),
    "a, b = c, d = x": ast.Assign((("a", "b"), ("c", "d")), (X,)),
    "a += (b, c) >> d": ast.Append("a", ast.Pipe((ast.TupleOf((B, C)), D))),
    "for a in b { }": ast.For("a", B, ()),
    "for a in 0..b-1 { c = a }": ast.For(
        "a", ast.Range(number(0), ast.Binary("-", B, number(1))), (ast.Assign((("c",),), (A,)),)
    ),
    "if a { } else if b { } else { c = d }": ast.If(A, (), (ast.If(B, (), (ast.Assign((("c",),), (D,)),)),)),
    "let f = a": ast.Binding("let", "f", A),
    "def f(a, b = c) = d": ast.Binding("def", "f", D, (), (ast.Param("a"), ast.Param("b", C))),
}


@pytest.mark.parametrize("text", STATEMENTS)
def test_statement(text):
    assert body(text) == (STATEMENTS[text],)
    assert body(f"\n\t{text};\r\n{text}  # and a comment\n") == (STATEMENTS[text], STATEMENTS[text])


ITEMS = {
    'use "std/x.space"': ast.Use("std/x.space"),
    "input a: [3, *b]": ast.Port("input", "a", ast.ListOf((number(3), ast.Spread(B)))),
    "output a: graph(b) when c and d": ast.Port(
        "output", "a", ast.Call(N("graph"), (ast.Arg(B),)), ast.Binary("and", C, D)
    ),
    "default bn(affine = 0)": ast.Default("bn", (ast.Arg(number(0), "affine"),)),
    "default pick(absent = 0)": ast.Default("pick", (ast.Arg(number(0), "absent"),)),
    "preset tiny(C = 4, layers = 3)": ast.Preset("tiny", (ast.Arg(number(4), "C"), ast.Arg(number(3), "layers"))),
    'where params <= 5M, latency("t.csv") <= 30ms': ast.Where(
        (
            ast.Compare((N("params"), number(5_000_000)), ("<=",)),
            ast.Compare((ast.Call(N("latency"), (ast.Arg(ast.String("t.csv")),)), number(30, "ms")), ("<=",)),
        )
    ),
    "net = a": ast.Net(A),
    "def f[a](b) within 4 = c": ast.Binding("def", "f", C, ("a",), (ast.Param("b"),), 4),
    "tied w[a, b] = c": ast.Binding("tied", "w", C, ("a", "b")),
    "let f() = a": ast.Binding("let", "f", A, (), ()),
}


@pytest.mark.parametrize("text", ITEMS)
def test_item(text):
    assert file(text) == ast.File(None, (ITEMS[text],))
    assert file(f"space s(a, b = 1)\n{text}\n{text}") == ast.File(
        ast.Header("s", (ast.Param("a"), ast.Param("b", number(1)))), (ITEMS[text], ITEMS[text])
    )


def test_an_empty_file_has_no_header():
    assert file("") == file("# nothing\n") == ast.File(None, ())


def test_byte_order_mark_and_carriage_returns_are_tolerated():
    assert file("\ufeffspace s\r\nnet = a\r\n  >> b\r\n") == file("space s\nnet = a >> b\n")


def test_a_line_that_begins_with_a_bracket_starts_anew_only_after_something_complete():
    assert expression("f(\n(a),\n[b]\n)") == ast.Call(N("f"), (ast.Arg(A), ast.Arg(ast.ListOf((B,)))))
    assert expression("a >>\n(b)") == ast.Pipe((A, B))
    assert body("x = a >>\n  (b | c)\n") == body("x = a >> (b | c)")
    with pytest.raises(SpacecError, match="E0116"):
        file("net = dag(x) {\n  y = a\n  [b]\n}")
    with pytest.raises(SpacecError, match="E0116"):
        file("def f\n  (x) = x")


def test_one_expression_only():
    for text in ("", "a\nnet = b", "a b", "space s\na"):
        with pytest.raises(SpacecError):
            expression(text)


def test_a_sink_gets_every_finding_and_the_rest_is_parsed():
    sink = Sink()
    text = "def a = conv(\ndef b = bn\nnet = dag(x) {\n  y = >> x\n  return x\n}\nwhere ==\nlet c = relu\n"
    tree = parse(SourceFile("t", text), sink)
    assert [(d.code, d.span.source.position(d.span.start)[0]) for d in sink.diagnostics if d.span] == [
        ("E0104", 2),
        ("E0111", 4),
        ("E0111", 7),
    ]
    names = [item.name for item in tree.items if isinstance(item, ast.Binding)]
    assert names == ["b", "c"]
    (net,) = (item for item in tree.items if isinstance(item, ast.Net))
    assert isinstance(net.value, ast.Dag)
    assert net.value.body == (ast.Return((X,)),)


# ------------------------------------------------------------------------ spans


@pytest.mark.parametrize("path", LISTINGS, ids=lambda p: p.stem)
def test_spans_of_the_listings(path):
    check_spans(file(path.read_text(encoding="utf-8")))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(files())
def test_spans_of_any_file(tree):
    check_spans(file(format_file(tree)))


def check_spans(tree: ast.File) -> None:
    """The text under every node's span is that node, and nothing else."""
    for node in nodes(tree):
        text = node.span.text
        if isinstance(node, ast.File):
            assert text == node.span.source.text
            continue
        assert text == text.strip()
        again = reparsed(node, text)
        assert again == node
        if isinstance(node, ast.Binding | ast.Port):
            assert node.name_span.text == node.name


def reparsed(node: ast.Node, text: str) -> ast.Node:
    match node:
        case ast.Range() | ast.Spread():
            return expression(f"[{text}]").items[0]
        case ast.Arg():
            return expression(f"f({text})").args[0]
        case ast.Candidate():
            found = expression(f"{text} | x")
            return found.candidates[0]
        case ast.Param():
            return file(f"space s({text})").header.params[0]
        case ast.Header():
            return file(text).header
        case ast.Assign() | ast.Append() | ast.For() | ast.If() | ast.Return():
            return body(text)[0]
        case ast.Use() | ast.Port() | ast.Default() | ast.Preset() | ast.Where() | ast.Net() | ast.Binding():
            return file(text).items[0]
    return expression(text)


def test_spans_leave_parentheses_out_but_the_parent_has_them():
    tree = expression("x * ( a + b )")
    assert isinstance(tree, ast.Binary)
    assert tree.span == Span(tree.span.source, 0, 13)
    assert tree.right.span.text == "a + b"
