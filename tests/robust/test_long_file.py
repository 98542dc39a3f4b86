"""A long file of many definitions compiles soon; benchmarks/front_end.py says how soon."""

from __future__ import annotations

import time

import spacec
from spacec.testing.large import large_space


def test_a_long_file_has_the_length_asked_for() -> None:
    assert large_space(3_000).count("\n") == 3_000
    assert large_space(3_000, seed=1) != large_space(3_000) == large_space(3_000)


def test_a_long_file_compiles_in_time_that_grows_with_its_length() -> None:
    start = time.process_time()
    space = spacec.loads(large_space())
    assert len(space.decisions) > 3_000
    assert time.process_time() - start < 10  # about two seconds on an idle machine


def test_a_mistake_far_down_is_found_where_it_is() -> None:
    text = large_space(3_000)
    wrong = text.replace("sep_conv(5)", "sep_cnv(5)")
    first = text.index("sep_conv(5)")
    try:
        spacec.loads(wrong)
    except spacec.SpacecError as error:
        found = error.diagnostics[0]
    assert found.code == "E0201"
    assert found.span is not None
    assert found.span.start == first
