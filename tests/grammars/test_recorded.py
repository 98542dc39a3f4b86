"""Every shipped space is what its record says: lines, count, decisions, parameters, MACs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.grammars.record import GRAMMARS, NAMES, RECORDED, code_lines, facts, load, table

RECORDS: dict[str, Any] = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in RECORDED.glob("*.json")}
FORMS = [(name, k) for name in sorted(RECORDS) for k in range(len(RECORDS[name]["forms"]))]


def test_every_space_has_a_record_and_every_record_a_space() -> None:
    assert sorted(RECORDS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_line_budget_and_source(name: str) -> None:
    assert code_lines(name) <= RECORDS[name]["budget"]
    assert (GRAMMARS / f"{name}.space").read_text(encoding="utf-8").startswith("# "), "the source is cited first"
    assert any(form.get("preset") == "tiny" for form in RECORDS[name]["forms"]), "the tiny preset is recorded"


@pytest.mark.parametrize(("name", "k"), FORMS)
def test_recorded_facts(name: str, k: int) -> None:
    form = RECORDS[name]["forms"][k]
    assert facts(load(name, form), form) == form


def test_the_table_of_spaces_is_current() -> None:
    written = (GRAMMARS / "README.md").read_text(encoding="utf-8")
    assert written == table(), "write it anew: python -m tests.grammars.record"
