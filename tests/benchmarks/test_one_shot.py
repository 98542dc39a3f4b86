"""The recorded comparison of shared weights with networks trained alone: the page is what the records give."""

from __future__ import annotations

from math import isnan

import pytest
import torch

from benchmarks.intervals import bootstrap, kendall, spearman
from benchmarks.one_shot import RECORDS, TRANSFER, transfer
from benchmarks.one_shot_page import page, picture, transferred
from benchmarks.one_shot_rows import ENTRIES, LAYERS, NETWORKS, OPS, SPACE, Alone, Supernet, drawn
from benchmarks.one_shot_run import alone, architecture, shared
from benchmarks.report import HERE
from benchmarks.strategy_run import load_space
from spacec.hooks import installed

FOUND = RECORDS.all()


def test_the_page_is_what_the_records_give() -> None:
    assert page(FOUND, transfer()) == (HERE / "ONE_SHOT.md").read_text(encoding="utf-8")
    assert picture(FOUND) == (HERE / "one_shot.svg").read_text(encoding="utf-8")


def test_no_record_is_left_over_and_all_are_of_the_settings() -> None:
    assert {p.stem for p in RECORDS.folder.glob("*.json")} - {TRANSFER.stem} == set(FOUND)
    assert {entry.strategy for entry in ENTRIES.values()} <= set(installed().names("spacec_strategies"))


def test_networks_are_distinct_and_named_as_the_published_table_names_them() -> None:
    space = load_space(SPACE)
    digits = drawn()
    assert len(set(digits)) == NETWORKS
    assert all(len(d) == LAYERS and set(d) <= set("012") for d in digits)
    labels = [decision.labels for decision in space.decisions]
    assert labels == [OPS] * LAYERS
    for d in digits[:3]:
        arch = architecture(space, d)
        assert "".join(str(arch.values[decision.id]) for decision in space.decisions) == d


def test_a_row_of_each_kind_is_made_in_short() -> None:
    threads = torch.get_num_threads()
    try:
        own = Alone("00000000").settings()
        own["task"] = {"name": "digits", "options": {}}
        own["training"] = {**own["training"], "epochs": "1", "steps": "2", "eval_every": "1"}
        found = alone(own)
        rated = Supernet("random", 0).settings()
        options = {**rated["strategy"]["options"], "epochs": "1", "steps": "2"}
        rated |= {"task": own["task"], "strategy": {"name": "random", "options": options}, "batches": 1}
        rated |= {"networks": ["00000000", "22222222"], "recalibrate": 1}
        record = shared(rated)
    finally:
        torch.set_num_threads(threads)
    assert [0 <= run["test"]["accuracy"] <= 1 for run in found["runs"]] == [True, True]
    assert found["params"] < 5_000
    assert len(record["recalibrated"]) == len(record["plain"]) == 2
    assert all(0 <= v <= 1 for v in record["recalibrated"] + record["plain"])


def test_what_is_kept_of_the_published_table_are_correlations() -> None:
    records = {f"alone.{d}": {"runs": [{"test": {"accuracy": 0.5 + k / 100}}] * 2} for k, d in enumerate(drawn()[:8])}
    kept = transferred(records, {d: 90 - k for k, d in enumerate(drawn())})
    assert kept == {"networks trained alone": [-1.0, -1.0, -1.0]}


def test_correlations_of_ranks_against_known_values() -> None:
    assert kendall([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)
    assert kendall([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / (5 * 6) ** 0.5)
    assert spearman([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) == pytest.approx(0.8207826816681233)
    assert kendall([1, 2, 3], [3, 2, 1]) == spearman([1, 2, 3], [9, 4, 1]) == pytest.approx(-1)
    assert isnan(kendall([1, 1], [1, 2]))
    assert isnan(spearman([1, 1], [1, 2]))


def test_the_bootstrap_is_the_middle_of_its_samples() -> None:
    values = [float(k) for k in range(100)]

    def mean_of(places: list[int]) -> float:
        return sum(values[i] for i in places) / len(places)

    low, high = bootstrap(mean_of, 100)
    error = 1.96 * (sum((v - 49.5) ** 2 for v in values) / 100) ** 0.5 / 10
    assert (low, high) == pytest.approx((49.5 - error, 49.5 + error), abs=1.0)
    assert bootstrap(mean_of, 100) == (low, high)
    assert bootstrap(lambda places: float("nan") if 0 in places else 1.0, 3) == (1.0, 1.0)
