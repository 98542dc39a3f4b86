"""Every code, console and space block of README.md and docs/ does what the text says."""

from __future__ import annotations

import re
import runpy
from dataclasses import fields
from pathlib import Path

import pytest

from spacec import Space
from tests.docs.blocks import in_order, matches, read_blocks
from tests.docs.workplace import ROOT, Workplace

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_document(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    place = Workplace(tmp_path)
    for block in read_blocks(path):
        place.run(block)
    assert not place.failures, "\n\n".join(place.failures)
    assert place.ran > 0


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_reference_lists_all_that_a_space_can_be_asked() -> None:
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| [a-z ]+ \| (`.*) \|$", text.split("## What a space can be asked")[1].split("\n## ")[0], re.M
    )
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    public = {name for name in {*dir(Space), *(f.name for f in fields(Space))} if not name.startswith("_")}
    assert sorted(listed) == sorted(public)


def test_only_make_and_pip_are_skipped() -> None:
    for path in DOCUMENTS:
        for block in read_blocks(path):
            if block.steer == "test":
                assert block.value.startswith("skip ")
                assert all(line.split()[1] in ("make", "pip") for line in block.text.splitlines() if line[:2] == "$ ")


@pytest.mark.parametrize(
    ("pattern", "text", "good"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\n", "a\nb\n", False),
        ("a … c\n", "a b c\n", True),
        ("a … c\n", "a b\nc\n", False),
        ("…\nz\n", "z\n", True),
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a\n…\n", "b\n", False),
        ("", "", True),
        ("", "a\n", False),
    ],
)
def test_patterns(pattern: str, text: str, good: bool) -> None:
    assert matches(pattern, text) is good


def test_order_of_lines() -> None:
    assert in_order("a  1\nc 3", "a 1\nb 2\nc    3\n")
    assert not in_order("c 3\na 1", "a 1\nb 2\nc 3\n")


def test_a_wrong_document_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "python": "```python\nassert 1 == 2\n```\n",
        "doctest": "```python\n>>> 1 + 1\n3\n```\n",
        "console": "```console\n$ spacec explain E0301\nnothing\n```\n",
        "space": "```space\nspace s\n```\n",
        "make": "```console\n$ make nothing\n```\n",
        "pip": "```console\n$ pip install ./nowhere\n```\n",
        "language": "```cobol\n```\n",
    }
    for name, text in wrong.items():
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        place = Workplace(folder)
        (folder / "wrong.md").write_text(text, encoding="utf-8")
        for block in read_blocks(folder / "wrong.md"):
            place.run(block)
        assert len(place.failures) == 1, name


def test_the_pictures_are_what_their_script_draws() -> None:
    folder = ROOT / "docs" / "pictures"
    script = runpy.run_path(str(folder / "draw.py"))
    drawn = {"architecture.svg": script["picture"](), **script["graphs"]()}
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.svg")} == drawn
