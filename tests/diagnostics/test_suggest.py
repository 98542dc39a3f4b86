from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spacec.diagnostics.suggest import distance, nearest

OPS = ["sep_conv", "dil_conv", "conv", "max_pool", "avg_pool", "bn", "identity", "linear", "C", "relu"]
words = st.text("abc", max_size=6)


def test_slips_of_the_finger():
    for slip, meant in {
        "sep_cnov": "sep_conv", "sepconv": "sep_conv", "conv_": "conv", "max_pol": "max_pool", "Linear": "linear",
        "identiy": "identity", "c": "C", "BN": "bn", "rleu": "relu",
    }.items():  # fmt: skip
        assert nearest(slip, OPS) == meant


def test_what_is_far_is_not_suggested():
    for name in ("transformer", "x", "pool_layer", "gn", "", "a" * 10_000):
        assert nearest(name, OPS) is None
    assert nearest("conv", []) is None
    assert nearest("conv", ["conv"]) is None


def test_ties_go_to_the_first_in_order():
    assert nearest("cat", ["car", "bat"]) == nearest("cat", ["bat", "car"]) == "bat"


@given(words, words, words)
def test_distance_is_one(a, b, c):
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a == b)
    assert abs(len(a) - len(b)) <= distance(a, b) <= max(len(a), len(b))
    assert distance(a + c, b + c) <= distance(a, b)


def test_a_swap_is_one_step():
    assert distance("conv", "cnov") == 1
    assert distance("conv", "covn") == 1
    assert distance("ab", "ba") == 1
    assert distance("kitten", "sitting") == 3
