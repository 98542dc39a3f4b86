"""The fenced blocks of a Markdown file, with the comments that steer their test.

``<!-- file: PATH -->`` before a block: the block is the content of that file, and is written, not run.
``<!-- frame -->`` before a ``space`` block: the later ``space`` blocks without a header continue this one.
``<!-- test: skip REASON -->`` before a block: the block is not run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_COMMENT = re.compile(r"<!--\s*(file|frame|test)\b:?\s*(.*?)\s*-->\s*")
_FENCE = re.compile(r"(`{3,})\s*(\w*)\s*")


@dataclass(frozen=True)
class Block:
    """``language`` and ``text`` of a fence that opens at ``line`` (from 1); ``steer`` is its comment, if any."""

    path: Path
    line: int
    language: str
    text: str
    steer: str = ""
    value: str = ""

    @property
    def place(self) -> str:
        return f"{self.path.name}:{self.line}"


def read_blocks(path: Path) -> list[Block]:
    """Every fenced block of ``path``, in order. Raises ``ValueError`` for a fence that is not closed."""
    blocks: list[Block] = []
    steer = ("", "")
    opened: tuple[int, str, str] | None = None
    inside: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if opened is not None:
            start, fence, language = opened
            if line.rstrip() == fence:
                blocks.append(Block(path, start, language, "".join(f"{text}\n" for text in inside), *steer))
                opened, inside, steer = None, [], ("", "")
            else:
                inside.append(line)
        elif found := _FENCE.fullmatch(line):
            opened = (number, found[1], found[2])
        elif found := _COMMENT.fullmatch(line):
            steer = (found[1], found[2])
        elif line.strip():
            steer = ("", "")
    if opened is not None:
        raise ValueError(f"{path}:{opened[0]}: the fence is not closed")
    return blocks


def matches(pattern: str, text: str) -> bool:
    """Whether ``text`` is ``pattern``: a line ``…`` stands for any lines, ``…`` in a line for any characters."""
    parts = []
    for line in pattern.strip("\n").split("\n"):
        if line.strip() == "…":
            parts.append(r"(?:[^\n]*\n)*")
        else:
            parts.append(r"[^\n]*".join(re.escape(piece) for piece in line.rstrip().split("…")) + r"\n")
    stripped = "".join(f"{line.rstrip()}\n" for line in text.strip("\n").split("\n"))
    return re.fullmatch("".join(parts), stripped) is not None


def in_order(wanted: str, text: str) -> bool:
    """Whether the lines of ``wanted`` appear in ``text`` in this order, spacing apart."""
    lines = iter([" ".join(line.split()) for line in text.splitlines()])
    return all(any(line == " ".join(w.split()) for line in lines) for w in wanted.splitlines() if w.strip())
