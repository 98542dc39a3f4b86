"""The recorded regret curves: the page is what the records give, and searches of some rows are made again."""

from __future__ import annotations

import json

import pytest

from benchmarks.regret import RECORDS, path_of, records
from benchmarks.regret_page import page, pictures
from benchmarks.regret_rows import ENTRIES, FRONTS, LEFT_OUT, QUERIES, Row, rows
from benchmarks.regret_run import Data, Trial, _at_queries, make
from benchmarks.report import HERE
from spacec.hooks import installed

FOUND = records()
CHECKED = (Row("evolution", "cifar100"), Row("optuna-tpe", "cifar10"))


def test_the_page_is_what_the_records_give() -> None:
    assert page(FOUND) == (HERE / "REGRET.md").read_text(encoding="utf-8")
    for name, picture in pictures(FOUND).items():
        assert picture == (HERE / name).read_text(encoding="utf-8")


def test_no_record_is_left_over_and_all_are_of_the_settings() -> None:
    assert {p.stem for p in RECORDS.glob("*.json")} == set(FOUND) <= {row.key for row in rows()}


def test_every_installed_multi_trial_strategy_is_compared_or_left_out_with_a_reason() -> None:
    compared = {entry.strategy for entry in (*ENTRIES.values(), *FRONTS.values())}
    classes = {
        name: installed().find("spacec_strategies", name).load() for name in installed().names("spacec_strategies")
    }
    several = {name for name, cls in classes.items() if not cls(cls.tabular).uses_supernet}
    assert several <= compared | set(LEFT_OUT)
    assert all(LEFT_OUT.values())
    assert {"random", "evolution", "bananas", "optuna"} <= several


@pytest.mark.parametrize("row", CHECKED, ids=lambda row: row.key)
def test_searches_are_made_again_to_the_last_digit(row: Row) -> None:
    again = make(row, Data(), 2, QUERIES)
    assert again["last"] == json.loads(path_of(row).read_text(encoding="utf-8"))["last"][:2]


def test_a_value_counts_when_its_training_is_paid_for() -> None:
    trials = [Trial(0.06, {})] * 10 + [Trial(1.0, {"val_acc": 90.0}), Trial(1.0, {"val_acc": 91.0})]
    values = [9.0] * 10 + [2.0, 1.0]
    assert _at_queries(trials, values, 4) == [9.0, 2.0, 1.0, 1.0]
