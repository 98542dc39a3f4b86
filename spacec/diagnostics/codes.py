"""The one table of codes.

The pages are Markdown, one file per range in ``pages/``: a heading ``## CODE: title``, an optional line
``stage: NAME``, the explanation, then a block fenced as ``fails`` and one as ``works``. The tests execute both blocks
with the stage named: the first must yield the code, the second must pass without it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, cast

Stage = Literal["syntax", "check", "none"]
"""The least part of the compiler that finds it; ``none`` for findings that no text alone can show."""


@dataclass(frozen=True)
class CodeInfo:
    """A page of ``spacec explain``."""

    code: str
    title: str
    explanation: str
    stage: Stage
    failing: str = ""
    mended: str = ""


_HEADING = re.compile(r"^## ([EW]\d{4}): (.+)$", re.MULTILINE)
_STAGE = re.compile(r"^stage: (syntax|check|none)$\n?", re.MULTILINE)
_FENCE = re.compile(r"^```(fails|works)\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)


@cache
def codes() -> dict[str, CodeInfo]:
    """Every code, in order. Raises ``ValueError`` where two pages have the same code."""
    found: dict[str, CodeInfo] = {}
    files = resources.files("spacec.diagnostics").joinpath("pages").iterdir()
    for file in sorted((f for f in files if f.name.endswith(".md")), key=lambda f: f.name):
        for info in parse_pages(file.read_text(encoding="utf-8")):
            if info.code in found:
                raise ValueError(f"{info.code} has two pages")
            found[info.code] = info
    return dict(sorted(found.items()))


def parse_pages(text: str) -> list[CodeInfo]:
    """The pages of one Markdown text."""
    headings = list(_HEADING.finditer(text))
    ends = [h.start() for h in headings[1:]] + [len(text)]
    return [_page(h[1], h[2], text[h.end() : end]) for h, end in zip(headings, ends, strict=True)]


def _page(code: str, title: str, body: str) -> CodeInfo:
    blocks = {match[1]: match[2] for match in _FENCE.finditer(body)}
    stage = _STAGE.search(body)
    explanation = _STAGE.sub("", _FENCE.sub("", body)).strip()
    named = cast(Stage, stage[1]) if stage else "check"
    return CodeInfo(code, title, explanation, named, blocks.get("fails", ""), blocks.get("works", ""))
