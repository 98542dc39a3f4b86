from __future__ import annotations

import json
import re

from spacec.diagnostics.model import Diagnostic, Label, SpacecError
from spacec.diagnostics.render import render_concise, render_github, render_json, render_text, summary
from spacec.diagnostics.snippet import WIDTH
from spacec.source import SourceFile, Span

SOURCE = SourceFile("net.space", "space s\nnet = a >> b\n  | c\n\n\n\n\n\n\ndef b = c\n")


def at(text: str, source: SourceFile = SOURCE) -> Span:
    start = source.text.index(text)
    return Span(source, start, start + len(text))


def lines(*diagnostics: Diagnostic) -> list[str]:
    return render_text(diagnostics).split("\n")


def test_everything_a_diagnostic_has():
    library = SourceFile("lib.space", "def a = conv(3)\n")
    diagnostic = Diagnostic(
        "E0301",
        "two shapes",
        at("b\n"),
        "this one is [64]",
        (
            Label(at("a >>"), "this one is [32]"),
            Label(at("def b"), "from here"),
            Label(at("conv(3)", library), "and here"),
        ),
        ("first note\nof two lines", "second note"),
        "make them one",
    )
    assert lines(diagnostic) == [
        "error[E0301]: two shapes",
        "  --> net.space:2:12",
        "   |",
        " 2 | net = a >> b",
        "   |            ^ this one is [64]",
        "   |       ---- this one is [32]",
        "...",
        "10 | def b = c",
        "   | ----- from here",
        "  ::: lib.space:1:9",
        "   |",
        " 1 | def a = conv(3)",
        "   |         ------- and here",
        "   = note: first note",
        "           of two lines",
        "   = note: second note",
        "   = help: make them one",
        "",
        "1 error",
    ]


def test_a_span_of_several_lines_shows_its_first_and_last():
    text = "net = dag(x) {\n  a = x\n  return a\n}\n"
    source = SourceFile("t.space", text)
    assert lines(Diagnostic("E0301", "h", Span(source, 6, len(text) - 1), "all of it"))[2:-2] == [
        "  |",
        "1 | net = dag(x) {",
        "  |       ^^^^^^^^",
        "...",
        "4 | }",
        "  | ^ all of it",
    ]


def test_a_span_that_ends_with_its_line_is_on_that_line():
    source = SourceFile("t.space", "one\ntwo\n")
    assert lines(Diagnostic("E0301", "h", Span(source, 0, 4), "x"))[3:5] == ["1 | one", "  | ^^^ x"]


def test_empty_spans_and_the_end_of_the_file():
    source = SourceFile("t.space", "one\n")
    assert lines(Diagnostic("E0301", "h", Span(source, 3, 3)))[3:5] == ["1 | one", "  |    ^"]
    assert lines(Diagnostic("E0301", "h", Span(source, 4, 4)))[1:5] == [" --> t.space:2:1", "  |", "2 |", "  | ^"]
    assert lines(Diagnostic("E0301", "h", Span(SourceFile("e.space", ""), 0, 0)))[3:5] == ["1 |", "  | ^"]


def test_tabs_wide_and_combining_characters_keep_the_caret_in_place():
    text = "\ta\tb = \N{CJK UNIFIED IDEOGRAPH-7DB2}e\N{COMBINING ACUTE ACCENT} >> c"
    source = SourceFile("t.space", text)
    shown, under = lines(Diagnostic("E0301", "h", at("c", source)))[3:5]
    assert shown == "1 |     a   b = \N{CJK UNIFIED IDEOGRAPH-7DB2}e\N{COMBINING ACUTE ACCENT} >> c"
    assert under == "  |                    ^"
    assert lines(Diagnostic("E0301", "h", at("\N{CJK UNIFIED IDEOGRAPH-7DB2}", source)))[4] == "  |             ^^"


def test_long_lines_are_trimmed_around_the_span():
    source = SourceFile("t.space", "x" * 5000 + "here" + "y" * 5000)
    shown, under = lines(Diagnostic("E0301", "h", at("here", source), "label"))[3:5]
    assert len(shown) <= WIDTH + 10
    assert shown.startswith("1 | ...x")
    assert shown.endswith("y...")
    assert under.index("^^^^ label") == shown.index("here")


def test_a_span_longer_than_a_line_can_show():
    source = SourceFile("t.space", "net = " + "x" * 5000)
    shown, under = lines(Diagnostic("E0301", "h", at("x" * 5000, source), "label"))[3:5]
    assert len(shown) <= WIDTH + 10
    assert len(under) <= WIDTH + 20
    assert under.endswith("^ label")


def test_unprintable_characters_do_not_reach_the_terminal():
    source = SourceFile("evil\x1b[31m.space", "net = \x1b[2J\x07a")
    text = render_text([Diagnostic("E0102", "unknown \x1b", at("a", source), "\x1b]0;x", notes=("\x00",))], color=False)
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "\\u001b" in text
    assert "\x1b" not in render_concise([Diagnostic("E0102", "unknown \x1b", at("a", source))])


def test_colour_changes_nothing_else():
    diagnostic = Diagnostic("W0901", "odd", at("a >>"), "here", (Label(at("def b"), "there"),), severity="warning")
    coloured = render_text([diagnostic], color=True)
    assert "\x1b[1;33mwarning[W0901]\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render_text([diagnostic])


def test_without_a_place():
    diagnostic = Diagnostic("E0801", "there is no file 'x'", notes=("a note",), help="a help")
    assert lines(diagnostic) == [
        "error[E0801]: there is no file 'x'", "  = note: a note", "  = help: a help", "", "1 error"
    ]  # fmt: skip
    assert render_concise([diagnostic]) == "E0801 there is no file 'x'"


def test_counts():
    error, warning = Diagnostic("E0101", "e"), Diagnostic("W0901", "w", severity="warning")
    assert summary([error, warning, error]) == "2 errors, 1 warning"
    assert summary([warning, warning]) == "2 warnings"
    assert summary([]) == ""
    assert render_text([]) == ""


def test_concise():
    pair = [Diagnostic("E0301", "two shapes", at("b\n")), Diagnostic("E0302", "other", at("def b"))]
    assert render_concise(pair) == "net.space:2:12: E0301 two shapes\nnet.space:10:1: E0302 other"


def test_json():
    diagnostic = Diagnostic("E0301", "h", at("a >> b\n  | c"), "l", (Label(at("def b"), "t"),), ("n",), "help")
    data = render_json([diagnostic, Diagnostic("E0801", "no file")])
    assert json.loads(json.dumps(data)) == data
    assert data[0] == {
        "code": "E0301", "severity": "error", "headline": "h", "label": "l", "notes": ["n"], "help": "help",
        "file": "net.space", "line": 2, "column": 7, "end_line": 3, "end_column": 6,
        "labels": [
            {"file": "net.space", "line": 10, "column": 1, "end_line": 10, "end_column": 6, "text": "t"},
        ],
    }  # fmt: skip
    assert data[1]["file"] is None
    assert data[1]["line"] is None


def test_github():
    source = SourceFile("a,b:c.space", "net = a")
    diagnostic = Diagnostic("E0301", "100% wrong", at("a", source), "two\nlines", help="mend it")
    assert render_github([diagnostic, Diagnostic("W0901", "w", severity="warning")]) == (
        "::error file=a%2Cb%3Ac.space,line=1,col=7,endLine=1,endColumn=8,title=E0301"
        "::100%25 wrong%0Atwo%0Alines%0Ahelp: mend it\n"
        "::warning title=W0901::w"
    )


def test_an_uncaught_error_reads_well():
    text = str(SpacecError(Diagnostic("E0301", "h", at("def b"), "l")))
    assert text.startswith("error[E0301]: h\n  --> net.space:10:1")


def test_wide_characters_and_tabs_before_a_caret():
    source = SourceFile("w.space", "net = \t\N{CJK UNIFIED IDEOGRAPH-5BEC}\N{CJK UNIFIED IDEOGRAPH-5B57} >> e\u0301x\n")
    text = lines(Diagnostic("E0102", "wide", at("\N{CJK UNIFIED IDEOGRAPH-5B57}", source)))
    assert text[3] == "1 | net =   \N{CJK UNIFIED IDEOGRAPH-5BEC}\N{CJK UNIFIED IDEOGRAPH-5B57} >> e\u0301x"
    assert text[4] == "  |           ^^"
    assert lines(Diagnostic("E0102", "after", at("x\n", source)))[4] == "  |                  ^"


def test_a_span_of_several_lines_shows_its_ends():
    source = SourceFile("m.space", "net = a(\n  b,\n  c,\n  d)\n")
    text = lines(Diagnostic("E0102", "long", Span(source, 6, len(source.text) - 1), "all of it"))
    assert text[3:-2] == ["1 | net = a(", "  |       ^^", "...", "4 |   d)", "  |   ^^ all of it"]


def test_narrow_terminals():
    line = "net = " + " >> ".join(f"stage_{i}" for i in range(20))
    source = SourceFile("n.space", line + "\n")
    diagnostic = Diagnostic(
        "E0201", "a headline of quite a few words that folds", at("stage_12", source),
        "a label of quite a few words that folds", notes=("a note of quite a few words\nin two lines",), help="help me",
    )  # fmt: skip
    for width in (40, 60, 80):
        text = render_text([diagnostic], width=width).split("\n")
        assert all(len(row) <= width for row in text)
        row = next(i for i, row in enumerate(text) if "stage_12" in row)
        caret = text[row + 1].index("^")
        assert text[row][caret : caret + 8] == "stage_12"
        assert "a label of quite a few words that folds" in " ".join(
            part.lstrip(" |^") for part in text[row + 1 : row + 5]
        )
    assert render_text([diagnostic], width=10)  # narrower than anything fits, but no failure
    assert render_text([diagnostic], width=500) == render_text([diagnostic])


def test_wide_lines_are_trimmed_by_cells():
    wide = "\N{CJK UNIFIED IDEOGRAPH-5BEC}" * 200
    source = SourceFile("c.space", f"{wide}x{wide}")
    text = lines(Diagnostic("E0102", "wide", at("x", source)))
    shown = text[3].removeprefix("1 | ")
    assert sum(1 + (ord(c) > 0x1000) for c in shown) <= WIDTH
    before = shown[: shown.index("x")]
    assert text[4].removeprefix("  | ").index("^") == sum(1 + (ord(c) > 0x1000) for c in before)
