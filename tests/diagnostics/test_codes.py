from __future__ import annotations

import re
from pathlib import Path

import pytest

import spacec
from spacec.diagnostics.codes import CodeInfo, codes, parse_pages
from spacec.diagnostics.explain import explain
from spacec.diagnostics.model import SpacecError
from spacec.source import SourceFile
from spacec.syntax.parse import parse

PACKAGE = Path(spacec.__file__).parent
PAGES = codes()
EXAMPLES = [info for info in PAGES.values() if info.stage != "none"]


def literals() -> set[str]:
    """Every code that the package or a plugin beside it can report."""
    folders = (PACKAGE, *PACKAGE.parent.glob("plugins/*/spacec_*"))
    texts = (p.read_text(encoding="utf-8") for folder in folders for p in folder.rglob("*.py"))
    return {code for text in texts for code in re.findall(r'"([EW]\d{4})"', text)}


def test_every_code_has_a_page():
    assert literals() - set(PAGES) == set()


def test_every_page_has_a_use():
    assert set(PAGES) - literals() == set()


@pytest.mark.parametrize("info", PAGES.values(), ids=PAGES)
def test_a_page_says_something(info):
    assert info.title
    assert info.title == info.title.strip().rstrip(".")
    assert info.explanation or info.failing


@pytest.mark.parametrize("info", EXAMPLES, ids=lambda i: i.code)
def test_the_failing_example_fails_and_the_mended_one_does_not(info):
    assert info.failing, "an example that fails is wanted, or `stage: none`"
    assert info.mended, "a mended example is wanted"
    if info.stage == "syntax":
        # an example of one rule of writing need not be a whole space
        assert set(syntax_codes(info.failing)) == {info.code}
        assert syntax_codes(info.mended) == []
    else:
        assert info.code in found(info.failing)
        assert found(info.mended) == []


def found(text: str) -> list[str]:
    """What `check` reports."""
    try:
        space = spacec.loads(text)
    except SpacecError as error:
        return [d.code for d in error.diagnostics]
    nothing_left = space.infeasible()
    return [d.code for d in (*space.warnings, *([nothing_left] if nothing_left else []))]


def syntax_codes(text: str) -> list[str]:
    try:
        parse(SourceFile("example.space", text))
    except SpacecError as error:
        return [d.code for d in error.diagnostics]
    return []


def test_pages_are_read_as_written():
    text = "intro\n\n## E0999: a title\nstage: syntax\n\nWords.\n\n```fails\na\n```\n```works\nb\nc\n```\n"
    text += "## W0999: other\n"
    assert parse_pages(text) == [
        CodeInfo("E0999", "a title", "Words.", "syntax", "a\n", "b\nc\n"),
        CodeInfo("W0999", "other", "", "check"),
    ]


def test_explain_shows_the_page():
    text = explain("e0105")
    assert text.startswith("E0105: a closing bracket without an opening one\n")
    assert "This fails:\n\n    net = conv(3))\n" in text
    assert "This works:\n\n    net = conv(3)\n" in text


def test_explain_knows_what_is_near():
    with pytest.raises(SpacecError) as caught:
        explain("E0l05")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0806"
    assert diagnostic.help == "did you mean `E0105`?"
    with pytest.raises(SpacecError) as caught:
        explain("nonsense")
    assert caught.value.diagnostics[0].help == ""
