"""docs/threats.md and the tests beside this file name each other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from spacec.driver import LIBRARY_PATH
from spacec.lower.package import PART as PACKAGE_PART
from spacec.search import files
from spacec.search.report.gather import MAX_PICTURE
from spacec.space.benchmark import DATA_FOLDER
from spacec.syntax.lexer import MAX_NESTING, MAX_TOKENS
from spacec.syntax.read import MAX_BYTES

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs/threats.md").read_text(encoding="utf-8")


def test_every_line_has_its_test_and_every_test_its_line() -> None:
    named = re.findall(r"\| `(test_\w+)` \|$", PAGE, re.M)
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| What")]
    assert len(named) == len(lines) == len(set(named))
    trees = [ast.parse(p.read_text(encoding="utf-8")) for p in HERE.glob("test_*.py") if p != Path(__file__)]
    tests = {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {name for name in tests if name.startswith("test_")} == set(named)


def test_the_limits_are_those_of_the_code() -> None:
    assert f"{MAX_BYTES // 1_000_000} MB, {MAX_TOKENS:,} words, brackets {MAX_NESTING} deep" in PAGE
    assert f"{files.MAX_JSON // 1_000_000} MB for JSON" in PAGE
    assert f"`{LIBRARY_PATH}` and `{DATA_FOLDER}`" in PAGE
    assert f"{MAX_PICTURE // 1_000_000} MB each" in PAGE
    assert files.PART == PACKAGE_PART, "what a killed export leaves is cleared away with the rest"
