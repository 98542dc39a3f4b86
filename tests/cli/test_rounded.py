"""Numbers too long to show are rounded, not cut."""

from __future__ import annotations

import pytest

from spacec.cli.numbers import rounded

ROUNDED = [
    (1238293455308842925709 * 10**425, "1.24e446"),
    (1234 * 10**70, "1.23e73"),
    (9994 * 10**70, "9.99e73"),
    (9996 * 10**70, "1.00e74"),
    (10**80, "1.00e80"),
    (10**80 - 1, "1.00e80"),
    (2**400, "2.58e120"),
]


@pytest.mark.parametrize(("number", "text"), ROUNDED)
def test_two_places_are_the_nearest(number: int, text: str) -> None:
    assert rounded(number) == text
