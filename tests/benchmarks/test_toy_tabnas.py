"""The recorded ends of TabNAS' toy problem: the page is what the record gives, and searches are made again."""

from __future__ import annotations

import pytest
from spacec_tabnas.toy import BEST, LOSSES

from benchmarks.toy_tabnas import (
    PAGE,
    PICTURE,
    RECORD,
    ROWS,
    RUNS,
    VALID,
    End,
    ends,
    interval,
    make,
    page,
    picture,
    read,
    text_of,
)

FOUND = read()


def test_the_page_is_what_the_record_gives() -> None:
    assert page(FOUND) == PAGE.read_text(encoding="utf-8")
    assert picture(FOUND) == PICTURE.read_text(encoding="utf-8")
    assert text_of(FOUND) == RECORD.read_text(encoding="utf-8")


def test_every_row_was_made_with_all_seeds() -> None:
    assert set(FOUND["rows"]) == set(ROWS)
    assert {len(row["ends"]) for row in FOUND["rows"].values()} == {RUNS}


@pytest.mark.parametrize(("name", "seed"), [("exact", 3), ("sampled-4", 1), ("absolute-2", 0)])
def test_searches_are_made_again(name: str, seed: int) -> None:
    again, told = make(ROWS[name].options, seed), ends(FOUND["rows"][name])[seed]
    assert again.kept == told.kept
    for layer, expected in zip(again.layers, told.layers, strict=True):
        assert layer == pytest.approx(expected, rel=1e-4)


def test_what_is_read_of_an_end() -> None:
    end = End(((0.1, 0.2, 0.7), (0.3, 0.1, 0.6)), 5)
    assert end.joint()[BEST] == pytest.approx(0.21)
    assert (end.likeliest, end.answer) == ((4, 4), BEST)
    assert end.within == pytest.approx(1 - 0.2 * 0.6 - 0.7 * 0.7)
    assert set(LOSSES) - {(3, 4), (4, 3), (4, 4)} == VALID


def test_the_interval_of_a_share() -> None:
    """Wilson 1927: 81 of 263 (Newcombe, Statistics in Medicine 17, 1998, table I)."""
    assert interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
