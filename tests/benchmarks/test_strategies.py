"""The recorded experiments: the page is what the records give, and two rows are made again."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from benchmarks.intervals import concordance, interval, ranks
from benchmarks.report import HERE
from benchmarks.strategies import path_of, records
from benchmarks.strategy_page import page
from benchmarks.strategy_pictures import pictures
from benchmarks.strategy_rows import CHECKED, ENTRIES, LEFT_OUT, Row, rows
from benchmarks.strategy_run import kind, load_space, of_equal_size, run, skips
from spacec.hooks import installed

RECORDS = records()
LIKE_IT = 0.12
"""How far the accuracy of a checked row may be off on another machine: its network is trained for 30 steps."""


def test_the_page_is_what_the_records_give() -> None:
    assert page(RECORDS) == (HERE / "STRATEGIES.md").read_text(encoding="utf-8")
    for name, picture in pictures(RECORDS).items():
        assert picture == (HERE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.key)
def test_a_record_was_made_with_the_settings_that_the_page_states(row: Row) -> None:
    if path_of(row.key).exists():
        assert RECORDS[row.key]["settings"] == json.loads(json.dumps(row.settings()))


def test_no_record_is_left_over() -> None:
    assert {p.stem for p in path_of(CHECKED[0].key).parent.glob("*.json")} == set(RECORDS)


def test_every_installed_strategy_is_compared_or_left_out_with_a_reason() -> None:
    compared = {entry.strategy for entry in ENTRIES.values()} - {None}
    assert compared | set(LEFT_OUT) >= set(installed().names("spacec_strategies"))
    assert not compared & set(LEFT_OUT)
    assert all(LEFT_OUT.values())


@pytest.mark.parametrize("row", CHECKED, ids=lambda row: row.key)
def test_a_row_is_made_again(row: Row) -> None:
    recorded = RECORDS[row.key]
    threads = torch.get_num_threads()
    try:
        found = json.loads(json.dumps(run(row.settings())))
    finally:
        torch.set_num_threads(threads)
    same = recorded["ran"]["versions"]["torch"] == found["ran"]["versions"]["torch"]
    if same and recorded["ran"]["machine"]["kind"] == kind():
        assert timeless(found) == timeless(recorded)
    else:
        assert set(found) == set(recorded)
        assert found["digest"] == recorded["digest"]
        mine, theirs = (r["retraining"]["test"]["accuracy"] for r in (found, recorded))
        assert mine == pytest.approx(theirs, abs=LIKE_IT)
    assert found["search"]["seconds"] > 0


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what ran it, its times and its memory."""
    left = {name: value for name, value in record.items() if name != "ran"}
    for part in ("search", "retraining"):
        left[part] = {k: v for k, v in left[part].items() if k not in ("seconds", "memory")}
    return left


def test_random_architectures_of_equal_size() -> None:
    space = load_space({"file": "grammars/clearer.space", "parameters": {"width": 4}})
    for arch in (space.sample(1, seed=3)[0], space.architecture(f"{space.digest}:net=" + ",".join(["fusion"] * 12))):
        others = of_equal_size(space, arch, {"count": 3, "tolerance": 0.1}, seed=1)
        assert len({*others, arch}) == 4
        assert all(abs(space.params(o) / space.params(arch) - 1) <= 0.1 for o in others)
    assert of_equal_size(space, arch, {"count": 3, "tolerance": 0.1}, seed=2) != others


def test_skips_are_counted_where_they_were_taken() -> None:
    space = load_space({"file": "grammars/nas_bench_201.space", "parameters": {"C": 4, "N": 1}})
    assert skips(space, space.architecture(f"{space.digest}:cell=skip,none,skip,conv1,pool,conv3")) == 2


def test_the_statistics_against_known_values() -> None:
    middle, low, high = interval([1.0, 2.0, 3.0])
    assert (middle, low, high) == pytest.approx((2.0, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))
    assert ranks([3.0, 5.0, 3.0, 1.0]) == [2.5, 1.0, 2.5, 4.0]
    assert concordance([[1, 2, 3], [10, 20, 30]]) == pytest.approx(1.0)
    assert concordance([[1, 2, 3], [3, 2, 1]]) == pytest.approx(0.0)
