"""The language reference: every block of tests/specs/*.md compiles, or fails, as it says. See README.md there."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import spacec
from spacec.cli.spaces import read_params
from spacec.diagnostics.model import Diagnostic, SpacecError
from tests.docs.blocks import Block, read_blocks

HERE = Path(__file__).parent
FILES = sorted(path for path in HERE.glob("*.md") if path.name != "README.md")
LEAST = 250
ENUMERATED = 2000
"""Architectures at most of a block that states all parameters or multiplies."""

_FORM = re.compile(r"with (.+?): (.+)")
_ERROR = re.compile(r"error (E\d{4}) at (\d+): (.+)")


@dataclass
class Example:
    """A block and its assertions; ``lead`` are the lines of the frame above its own, ``files`` stand beside it."""

    block: Block
    expected: Block
    lead: int
    text: str
    files: Mapping[str, str]
    made: dict[tuple[tuple[str, str], ...], spacec.Space] = field(default_factory=dict)

    def space(self, form: str = "") -> spacec.Space:
        given = _arguments(form)
        key = tuple((name, repr(value)) for name, value in sorted(given.items()))
        if key not in self.made:
            with tempfile.TemporaryDirectory() as folder:
                for name, text in self.files.items():
                    (Path(folder) / name).write_text(text, encoding="utf-8")
                self.made[key] = spacec.loads(self.text, name=f"{folder}/{self.block.place}", **given)
        return self.made[key]

    @cached_property
    def errors(self) -> tuple[Diagnostic, ...]:
        try:
            self.space()
        except SpacecError as error:
            return error.diagnostics
        return ()

    @property
    def lines(self) -> list[str]:
        return [line.strip() for line in self.expected.text.splitlines() if line.strip()]


def _arguments(form: str) -> Mapping[str, Any]:
    items = re.split(r",\s*(?=\w+ = )", form) if form else []
    return read_params(tuple(items))


def frame() -> str:
    return next(block.text for block in read_blocks(HERE / "README.md") if block.steer == "frame")


def examples(path: Path) -> list[Example]:
    """The blocks of a file. Raises ``ValueError`` for a space without assertions, or the reverse."""
    found: list[Example] = []
    files: dict[str, str] = {}
    blocks = read_blocks(path)
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block.steer == "file":
            files[block.value] = block.text
        elif block.language == "space":
            if after is None or after.language != "expect" or not after.text.strip():
                raise ValueError(f"{block.place}: no block 'expect' follows")
            own = re.search(r"^space\b", block.text, re.MULTILINE)
            lead = "" if own else frame()
            found.append(Example(block, after, lead.count("\n"), lead + block.text, dict(files)))
        elif block.language != "expect" or (not found or found[-1].expected is not block):
            raise ValueError(f"{block.place}: a block of '{block.language}' that follows no space")
    return found


ALL = [example for path in FILES for example in examples(path)]


@pytest.mark.parametrize("example", ALL, ids=lambda e: e.block.place)
def test_example(example: Example) -> None:
    failures = list(failed(example))
    assert not failures, f"{example.block.place}\n" + "\n".join(failures)


def test_there_are_enough() -> None:
    assert sum(len(example.lines) for example in ALL) >= LEAST
    rules = {path.name[:2] for path in FILES}
    assert {f"{n:02}" for n in range(1, 16)} <= rules, "a rule of the language has no file"


def failed(example: Example) -> list[str]:
    """Which assertions do not hold, and what was found."""
    lines = example.lines
    wanted = [line for line in lines if line.startswith("error ")]
    if not wanted and example.errors:
        return [str(SpacecError(example.errors))]
    out = _failed_errors(example, lines) if wanted else []
    stated = [line.removeprefix("precondition ") for line in lines if line.startswith("precondition ")]
    if stated and stated != (found := [str(p) for p in example.space().preconditions]):
        out.append(f"preconditions: found {found}")
    for line in lines:
        if not line.startswith(("error ", "… says ", "precondition ")):
            form = _FORM.fullmatch(line)
            found = _found(example, example.space(form[1] if form else ""), form[2] if form else line)
            if found is not None:
                out.append(f"{line}: found {found}")
    return out


def _failed_errors(example: Example, lines: list[str]) -> list[str]:
    out: list[str] = []
    errors = list(example.errors)
    current: Diagnostic | None = None
    for line in lines:
        if match := _ERROR.fullmatch(line):
            current = next((d for d in errors if _place(example, d) == (match[1], int(match[2]), match[3])), None)
            if current is None:
                out.append(f"{line}: found {[_place(example, d) for d in errors]}")
            else:
                errors.remove(current)
        elif line.startswith("… says ") and current is not None and line[7:] not in _words(current):
            out.append(f"{line}: found\n{_words(current)}")
    return out + [f"unexpected: {_place(example, d)} {d.headline}" for d in errors]


def _place(example: Example, diagnostic: Diagnostic) -> tuple[str, int, str]:
    span = diagnostic.span
    if span is None:
        return diagnostic.code, 0, ""
    return diagnostic.code, span.source.position(span.start)[0] - example.lead, span.text.split("\n")[0]


def _words(d: Diagnostic) -> str:
    return "\n".join([d.headline, d.label, *(label.text for label in d.labels), *d.notes, d.help])


def _found(example: Example, space: spacec.Space, line: str) -> str | None:
    """What was found where an assertion does not hold, else ``None``."""
    word, _, rest = line.partition(" ")
    match word:
        case "count":
            return _other(str(space.count()), rest)
        case "raw":
            return _other(str(space.count(where=False)), rest)
        case "decisions":
            return _other(", ".join(d.id for d in space.decisions) or "none", rest)
        case "owners":
            return _other(", ".join(space.table.owners), rest)
        case "weights":
            return _other(str(space.supernet_params()), rest.replace(",", ""))
        case "params" | "macs":
            assert space.count() <= ENUMERATED
            costs = sorted({space.cost(arch, word) for arch in space.enumerate()})
            return _other(", ".join(map(str, costs)), rest)
        case "type":
            name, _, wanted = rest.partition(": ")
            types = {**space.inputs, **space.outputs}
            return _other(str(types.get(name, "no such port")), wanted)
        case "same" | "other":
            same = example.space(rest).digest == space.digest
            return None if same == (word == "same") else "the same digest" if same else "another digest"
        case "warning":
            codes = [w.code for w in space.warnings]
            return None if rest in codes else str(codes)
        case "slot":
            name, _, wanted = rest.partition(": ")
            slots = {slot.id: " | ".join(slot.labels) for slot in space.slots}
            return _other(slots.get(name, f"only {list(slots)}"), wanted)
    if counted := re.fullmatch(r"count\((.+)\) (\d+)", line):
        return _other(str(space.count(owner=counted[1])), counted[2])
    name, sign, wanted = line.partition(": ")
    if not sign:
        return "no assertion of a known form"
    decisions = {d.id: d for d in space.decisions}
    return _other(_candidates(decisions[name]) if name in decisions else f"only {list(decisions)}", wanted)


def _candidates(decision: Any) -> str:
    if decision.kind != "subset":
        return " | ".join(decision.labels)
    low, high = decision.low, decision.high
    return f"{low if low == high else f'{low} to {high}'} of {decision.size}"


def _other(found: str, wanted: str) -> str | None:
    return None if found == wanted else found


@pytest.mark.parametrize(
    "line",
    [
        "count 3", "raw 3", "decisions a", "net.c: 3 | 5", "type y: [3]", "weights 5", "params 1", "macs 1",
        "other C = 9",
        "same classes = 5, twice = 2", "warning W0401", "slot a: 3", "owners a", "count(net) 9", "with C = 9: count 5",
        "precondition H must be divisible by 2", "nonsense", "error E0301 at 1: conv",
    ],
)  # fmt: skip
def test_a_wrong_assertion_fails(line: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.md"
    text = (
        "space s(C = 8, classes = 10, twice = 1)\ninput  x: [3, 32, 32]\noutput y: [classes]\n"
        "net = conv({3, 5}, C) >> (relu | tanh) * twice >> global_pool >> linear(classes)\n"
    )
    path.write_text(f"```space\n{text}```\n```expect\n{line}\n```\n", encoding="utf-8")
    (example,) = examples(path)
    assert failed(example)


def test_a_block_without_assertions_fails(tmp_path: Path) -> None:
    path = tmp_path / "bare.md"
    for text in ("```space\nspace s\n```\n", "```space\nspace s\n```\n```expect\n```\n", "```expect\ncount 1\n```\n"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"bare\.md"):
            examples(path)
