"""The page of the matrix, from its results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Pair = tuple[str, str]
Results = Mapping[Pair, Mapping[str, Any]]

ABOUT = """\
Every installed strategy on every shipped space, checked by `spacec.testing.conformance`
([plugins](plugins.md#checking-a-strategy)) on the space's `tiny` preset with made-up samples: what each step changes,
seeds, resuming, state, validity, constraints, memory, probabilities, options. It says that a pair works and is
reproducible, and nothing about how good a search is.

A number is the pair's seconds of processor time, and says that every check passed. A letter is what the strategy says
it lacks, told below; it then refuses the space with E0706 before the search. **failed** is a failure, told below.

```console
$ make matrix
$ make matrix STRATEGY=darts SPACE=nas_bench_201
```
"""


def page(strategies: Sequence[str], spaces: Sequence[str], results: Results, versions: Mapping[str, str]) -> str:
    """``docs/matrix.md``: the table, what is lacking, failures, and what a check could not judge."""
    mine = {(s, p): results[s, p] for p in spaces for s in strategies if (s, p) in results}
    lacks = {text: _letter(i) for i, text in enumerate(_lacking(mine.values()))}
    rows = [f"| space | {' | '.join(strategies)} |", f"|---|{'---:|' * len(strategies)}"]
    for space in spaces:
        rows.append(f"| {space} | {' | '.join(_cell(mine.get((s, space)), lacks) for s in strategies)} |")
    counts = [sum(row["result"] == kind for row in mine.values()) for kind in ("ok", "unsupported", "failed")]
    missing = len(strategies) * len(spaces) - len(mine)
    total = f"{counts[0]} pairs work, {counts[1]} are refused with a reason, {counts[2]} fail"
    lines = ["# Strategies and spaces", "", ABOUT, f"{total}{f', {missing} were not run' if missing else ''}.", ""]
    lines += [*rows, "", *_circumstances(mine, versions)]
    lines += _section("What is lacking", [f"{letter}: {text}" for text, letter in lacks.items()])
    lines += _section("Failures", _failures(mine))
    lines += _section("Not judged", _notes(mine))
    return "\n".join(lines).rstrip() + "\n"


def _cell(row: Mapping[str, Any] | None, lacks: Mapping[str, str]) -> str:
    if row is None:
        return "not run"
    if row["result"] == "failed":
        return "**failed**"
    return lacks[_kind(row["text"])] if row["result"] == "unsupported" else f"{row['seconds']:.1f}"


def _kind(text: str) -> str:
    """What is lacking, without the name of the slot that shows it."""
    parts = text.split("'")
    return "…".join([parts[0], *parts[2::2]]) if len(parts) % 2 else text


def _lacking(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(_kind(row["text"]) for row in rows if row["result"] == "unsupported"))


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else f"L{number}"


def _circumstances(mine: Results, versions: Mapping[str, str]) -> list[str]:
    """When and with what: one line for each commit that results are of."""
    by_commit: dict[tuple[str, str], int] = {}
    for row in mine.values():
        by_commit[row["commit"], row["date"]] = by_commit.get((row["commit"], row["date"]), 0) + 1
    runs = [f"{n} pairs at commit {commit} on {date}" for (commit, date), n in sorted(by_commit.items())]
    return [f"{', '.join(f'{name} {v}' for name, v in versions.items())}. {'; '.join(runs)}.", ""]


def _failures(mine: Results) -> list[str]:
    return [
        f"{strategy} on {space}: {' '.join(row['text'].split())}"
        for (strategy, space), row in mine.items()
        if row["result"] == "failed"
    ]


def _notes(mine: Results) -> list[str]:
    """What a check left out, with the pairs that it did so for."""
    found: dict[str, list[str]] = {}
    for (strategy, space), row in mine.items():
        for note in row["notes"]:
            found.setdefault(" ".join(note.split()), []).append(f"{strategy} on {space}")
    return [f"{note}: {', '.join(pairs)}" for note, pairs in found.items()]


def _section(title: str, items: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {item}" for item in items), ""] if items else []
