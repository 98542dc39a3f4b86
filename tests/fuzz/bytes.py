"""Bytes guided by coverage: atheris over the lexer, the parser and ``check``, with the words of the language.

Run by :mod:`tests.fuzz.run`. A finding is written down and fuzzing goes on, so that one does not hide the others.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["spacec.syntax", "spacec.sema", "spacec.passes", "spacec.ir", "spacec.space"]):
    from spacec.diagnostics.model import SpacecError
    from spacec.syntax.lexer import RESERVED
    from spacec.syntax.read import decoded
    from tests.fuzz.mutate import SIGNS, sources, words
    from tests.fuzz.run import Record

MAX_BYTES = 4_000


def dictionary(path: Path) -> None:
    """The words and signs of the language, and the names of ops, in libFuzzer's form."""
    entries = sorted({*SIGNS, *RESERVED, *words()[:400], "conv(3)", "[3, 8, 8]", "0..3", "5M", "# "})
    path.write_text("".join(f'"{_escaped(e)}"\n' for e in entries), encoding="utf-8")


def _escaped(entry: str) -> str:
    return entry.replace("\\", "\\\\").replace('"', '\\"')


class Target:
    """Counts and judges; writes its report every hundred texts, since libFuzzer leaves without a word."""

    def __init__(self, folder: Path) -> None:
        self.record = Record(folder)
        self.report = folder / "bytes.json"
        self.start = time.monotonic()
        self.count = 0

    def __call__(self, data: bytes) -> None:
        self.count += 1
        try:
            text = decoded("fuzz.space", data).text
        except SpacecError:
            self.record.outcomes["bytes not text"] += 1
            return
        self.record.judge("bytes", text, twice=False, build=False)
        if self.count % 100 == 0:
            self.write()

    def write(self) -> None:
        found = {
            "texts": self.count,
            "seconds": round(time.monotonic() - self.start),
            "outcomes": dict(sorted(self.record.outcomes.items())),
            "slowest": round(self.record.slowest, 2),
            "findings": sorted(self.record.faults),
        }
        self.report.write_text(json.dumps(found), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    corpus = given.folder / "seen"
    corpus.mkdir(parents=True, exist_ok=True)
    for k, text in enumerate(sources()):
        if len(text) <= MAX_BYTES:
            (corpus / f"source{k}").write_text(text, encoding="utf-8")
    dictionary(given.folder / "words.dict")
    options = [
        f"-max_total_time={round(60 * given.minutes)}",
        f"-dict={given.folder / 'words.dict'}",
        f"-max_len={MAX_BYTES}",
        "-timeout=60",
        "-rss_limit_mb=3000",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], Target(given.folder))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
