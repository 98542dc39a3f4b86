"""Each pass over flat graphs, before and after, as text."""

from __future__ import annotations

import pytest

from spacec.ir.flat import FlatOp
from spacec.ir.flat_text import flat_text
from spacec.passes.base import parse
from spacec.passes.canonicalise import RULES as TABLE
from spacec.passes.order import Memory
from tests.passes.graphs import becomes, graph, same_meaning

X = "graph g(x)\n%0 = input x : [8, 4, 4]\n"


def unchanged(text: str, name: str, keep: tuple[str, ...] = ()) -> None:
    becomes(text, name, text, keep)


# share ------------------------------------------------------------------------------------------------


def test_share_makes_equal_pure_expressions_one_across_candidates_and_slots() -> None:
    becomes(
        X
        + """%1 = relu(%0) : [8, 4, 4] when a=0
%2 = max_pool(%1) kernel=3 stride=1 : [8, 4, 4] when a=0
%3 = relu(%0) : [8, 4, 4] when a=1
%4 = conv(%3) kernel=3 out=8 stride=1 : [8, 4, 4] key=c_0 when a=1
%5 = choose(%2, %4) slot=a instance=a_0 : [8, 4, 4]
%6 = relu(%0) : [8, 4, 4] when b=0
%7 = max_pool(%6) kernel=3 stride=1 : [8, 4, 4] when b=0
%8 = max_pool(%6) kernel=5 stride=1 : [8, 4, 4] when b=1
%9 = choose(%7, %8) slot=b instance=b_0 : [8, 4, 4]
%10 = sum(%5, %9) : [8, 4, 4]
output y = %10
""",
        "share",
        X
        + """%1 = relu(%0) : [8, 4, 4] when a=0/1 or b=0
%2 = max_pool(%1) kernel=3 stride=1 : [8, 4, 4] when a=0 or b=0
%4 = conv(%1) kernel=3 out=8 stride=1 : [8, 4, 4] key=c_0 when a=1
%5 = choose(%2, %4) slot=a instance=a_0 : [8, 4, 4]
%8 = max_pool(%1) kernel=5 stride=1 : [8, 4, 4] when b=1
%9 = choose(%2, %8) slot=b instance=b_0 : [8, 4, 4]
%10 = sum(%5, %9) : [8, 4, 4]
output y = %10
""",
    )


def test_share_looks_through_the_order_of_what_commutes_and_merges_equal_mixes() -> None:
    becomes(
        X
        + """%1 = relu(%0) : [8, 4, 4]
%2 = sum(%0, %1) : [8, 4, 4]
%3 = sum(%1, %0) : [8, 4, 4]
%4 = mix(%2 by a@a_0=0, %0) : [8, 4, 4]
%5 = mix(%3 by a@a_0=0, %0) : [8, 4, 4]
%6 = concat(%4, %5) : [16, 4, 4]
output y = %6
""",
        "share",
        X
        + """%1 = relu(%0) : [8, 4, 4]
%2 = sum(%0, %1) : [8, 4, 4]
%4 = mix(%2 by a@a_0=0, %0) : [8, 4, 4]
%6 = concat(%4, %4) : [16, 4, 4]
output y = %6
""",
    )


def test_share_merges_nothing_that_has_state_or_draws() -> None:
    unchanged(
        X
        + """%1 = dropout(%0) : [8, 4, 4] key=d_0
%2 = dropout(%0) : [8, 4, 4] key=d_0
%3 = mix(%0 norm=n_0 by a@a_0=0) : [8, 4, 4]
%4 = mix(%0 norm=n_0 by a@a_0=0) : [8, 4, 4]
%5 = conv(%0) kernel=1 out=8 stride=1 : [8, 4, 4] key=c_0
%6 = conv(%0) kernel=1 out=8 stride=1 : [8, 4, 4] key=c_0
%7 = sum(%1, %2, %3, %4, %5, %6) : [8, 4, 4]
output y = %7
""",
        "share",
    )


# canonicalise -----------------------------------------------------------------------------------------

RULES = {
    "identity": (
        """%1 = identity(%0) : [8, 4, 4]
%2 = upsample(%1) factor=1 : [8, 4, 4]
%3 = relu(%2) : [8, 4, 4]
%4 = choose(%2, %3) slot=a instance=a_0 : [8, 4, 4]
output y = %4
""",
        """%3 = relu(%0) : [8, 4, 4]
%4 = choose(%0, %3) slot=a instance=a_0 : [8, 4, 4]
output y = %4
""",
    ),
    "alone": (
        """%1 = sum(%0) : [8, 4, 4]
%2 = concat(%1) : [8, 4, 4]
%3 = mul(%2) : [8, 4, 4]
%4 = relu(%3) : [8, 4, 4]
output y = %4
""",
        "%4 = relu(%0) : [8, 4, 4]\noutput y = %4\n",
    ),
    "flat_sum": (
        """%1 = relu(%0) : [8, 4, 4]
%2 = tanh(%0) : [8, 4, 4]
%3 = sum(%1, %2) : [8, 4, 4]
%4 = identity(%3) : [8, 4, 4]
%5 = sum(%0, %4) : [8, 4, 4]
%6 = sum(%1, %5) : [8, 4, 4]
output y = %6
""",
        """%1 = relu(%0) : [8, 4, 4]
%2 = tanh(%0) : [8, 4, 4]
%6 = sum(%1, %0, %1, %2) : [8, 4, 4]
output y = %6
""",
    ),
    "flat_concat": (
        """%1 = relu(%0) : [8, 4, 4]
%2 = concat(%0, %1) : [16, 4, 4]
%3 = concat(%2, %1) : [24, 4, 4]
output y = %3
""",
        "%1 = relu(%0) : [8, 4, 4]\n%3 = concat(%0, %1, %1) : [24, 4, 4]\noutput y = %3\n",
    ),
    "share_of_share": (
        """%1 = share(%0) channels=6 first=1 : [6, 4, 4]
%2 = share(%1) channels=2 first=3 : [2, 4, 4]
output y = %2
""",
        "%2 = share(%0) channels=2 first=4 : [2, 4, 4]\noutput y = %2\n",
    ),
    "share_of_concat": (
        """%1 = relu(%0) : [8, 4, 4]
%2 = concat(%0, %1) : [16, 4, 4]
%3 = share(%2) channels=4 first=10 : [4, 4, 4]
%4 = share(%2) channels=8 first=0 : [8, 4, 4]
%5 = share(%2) channels=4 first=6 : [4, 4, 4]
%6 = concat(%3, %4, %5) : [16, 4, 4]
output y = %6
""",
        """%1 = relu(%0) : [8, 4, 4]
%2 = concat(%0, %1) : [16, 4, 4]
%3 = share(%1) channels=4 first=2 : [4, 4, 4]
%5 = share(%2) channels=4 first=6 : [4, 4, 4]
%6 = concat(%3, %0, %5) : [16, 4, 4]
output y = %6
""",
    ),
    "concat_of_shares": (
        """%1 = share(%0) channels=2 first=2 : [2, 4, 4]
%2 = share(%0) channels=4 first=4 : [4, 4, 4]
%3 = concat(%1, %2) : [6, 4, 4]
%4 = concat(%2, %1) : [6, 4, 4]
%5 = sum(%3, %4) : [6, 4, 4]
output y = %5
""",
        """%1 = share(%0) channels=2 first=2 : [2, 4, 4]
%2 = share(%0) channels=4 first=4 : [4, 4, 4]
%3 = share(%0) channels=6 first=2 : [6, 4, 4]
%4 = concat(%2, %1) : [6, 4, 4]
%5 = sum(%3, %4) : [6, 4, 4]
output y = %5
""",
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_canonicalise(rule: str) -> None:
    before, after = RULES[rule]
    becomes(X + before, "canonicalise", X + after)


def test_every_rule_has_its_example() -> None:
    assert [rule.__name__ for rule in TABLE] == list(RULES)


def test_canonicalise_leaves_sums_and_concats_whose_inner_value_is_read_elsewhere_or_may_lack_terms() -> None:
    unchanged(
        X
        + """%1 = sum(%0, %0) : [8, 4, 4]
%2 = sum(%0, %1) : [8, 4, 4]
%3 = concat(%0, %2) present=(1, 1) : [16, 4, 4]
%4 = concat(%3, %1) : [24, 4, 4]
output y = %4
output z = %1
""",
        "canonicalise",
    )


# drop_zeros -------------------------------------------------------------------------------------------


def test_drop_zeros_leaves_zeros_out_of_choices_sums_and_mixes() -> None:
    becomes(
        X
        + """%1 = zero(%0) out=8 stride=1 : [8, 4, 4]
%2 = relu(%1) : [8, 4, 4]
%3 = choose(%2, %0, none) slot=a instance=a_0 : [8, 4, 4]
%4 = sum(%3, %2, %0) : [8, 4, 4]
%5 = mix(%4 by b@b_0=0, %1 by b@b_0=1) : [8, 4, 4]
output y = %5
""",
        "drop_zeros",
        X
        + """%3 = choose(none, %0, none) slot=a instance=a_0 : [8, 4, 4]
%4 = sum(%3, %0) : [8, 4, 4]
%5 = mix(%4 by b@b_0=0) : [8, 4, 4]
output y = %5
""",
    )


def test_a_sum_of_zeros_keeps_one_and_a_mask_that_only_weighs_zeros_stays() -> None:
    becomes(
        X
        + """%1 = zero(%0) out=8 stride=1 : [8, 4, 4]
%2 = sum(%1, %1) : [8, 4, 4]
%3 = mix(%0 by a@a_0=0, %1 by b@b_0=0, %1 by b@b_0=1) : [8, 4, 4]
%4 = concat(%2, %3) : [16, 4, 4]
output y = %4
""",
        "drop_zeros",
        X
        + """%1 = zero(%0) out=8 stride=1 : [8, 4, 4]
%2 = sum(%1) : [8, 4, 4]
%3 = mix(%0 by a@a_0=0, %1 by b@b_0=0) : [8, 4, 4]
%4 = concat(%2, %3) : [16, 4, 4]
output y = %4
""",
    )


def test_zeros_stay_whose_layers_nothing_else_runs() -> None:
    """A batch norm in front of a zero updates its statistics, a choice has a gradient, of zeros."""
    unchanged(
        X
        + """%1 = bn(%0) : [8, 4, 4] key=n_0
%2 = zero(%1) out=8 stride=1 : [8, 4, 4]
%3 = choose(%0) slot=a instance=a_0 : [8, 4, 4]
%4 = zero(%3) out=8 stride=1 : [8, 4, 4]
%5 = sum(%0, %2, %4) : [8, 4, 4]
output y = %5
""",
        "drop_zeros",
    )


def test_layers_with_weights_give_no_zeros_that_are_dropped() -> None:
    unchanged(
        X
        + """%1 = zero(%0) out=8 stride=1 : [8, 4, 4]
%2 = conv(%1) kernel=1 out=8 stride=1 : [8, 4, 4] key=c_0
%3 = times(%1) by=2.0 plus=1.0 : [8, 4, 4]
%4 = sum(%0, %2, %3) : [8, 4, 4]
output y = %4
""",
        "drop_zeros",
    )


# hoist ------------------------------------------------------------------------------------------------

ENDS = """%1 = relu(%0) : [8, 4, 4]
%2 = tanh(%0) : [8, 4, 4]
%3 = avg_pool(%1) kernel=3 stride=2 : [8, 2, 2]
%4 = avg_pool(%2) kernel=3 stride=2 : [8, 2, 2]
"""


def test_hoist_moves_what_all_candidates_of_a_choice_end_in() -> None:
    becomes(
        X + ENDS + "%5 = choose(%3, none, %4) slot=a instance=a_0 edge=e@e_0=1 : [8, 2, 2] when b=0\noutput y = %5\n",
        "hoist",
        X
        + """%1 = relu(%0) : [8, 4, 4]
%2 = tanh(%0) : [8, 4, 4]
%3 = choose(%1, none, %2) slot=a instance=a_0 edge=e@e_0=1 : [8, 4, 4] when b=0
%4 = avg_pool(%3) kernel=3 stride=2 : [8, 2, 2] when b=0
output y = %4
""",
    )


def test_hoist_gathers_the_terms_of_a_mix_that_end_in_one_map() -> None:
    becomes(
        X
        + ENDS
        + """%5 = conv(%0) kernel=3 out=8 stride=2 : [8, 2, 2] key=c_0
%6 = mix(%3 by a@a_0=0, %5 by a@a_0=1, %4 by b@b_0=0) : [8, 2, 2]
output y = %6
""",
        "hoist",
        X
        + """%1 = relu(%0) : [8, 4, 4]
%2 = tanh(%0) : [8, 4, 4]
%5 = conv(%0) kernel=3 out=8 stride=2 : [8, 2, 2] key=c_0
%6 = mix(%1 by a@a_0=0, %2 by b@b_0=0) : [8, 4, 4]
%7 = avg_pool(%6) kernel=3 stride=2 : [8, 2, 2]
%8 = mix(%5 by a@a_0=1, %7) : [8, 2, 2]
output y = %8
""",
    )


def test_hoist_goes_on_through_chains_of_maps_and_tied_layers() -> None:
    becomes(
        X
        + """%1 = relu(%0) : [8, 4, 4]
%2 = tanh(%0) : [8, 4, 4]
%3 = conv(%1) kernel=1 out=4 stride=1 : [4, 4, 4] key=c_0
%4 = conv(%2) kernel=1 out=4 stride=1 : [4, 4, 4] key=c_0
%5 = upsample(%3) factor=2 : [4, 8, 8]
%6 = upsample(%4) factor=2 : [4, 8, 8]
%7 = sum(%5, %6) : [4, 8, 8]
output y = %7
""",
        "hoist",
        X
        + """%1 = relu(%0) : [8, 4, 4]
%2 = tanh(%0) : [8, 4, 4]
%3 = sum(%1, %2) : [8, 4, 4]
%4 = conv(%3) kernel=1 out=4 stride=1 : [4, 4, 4] key=c_0
%5 = upsample(%4) factor=2 : [4, 8, 8]
output y = %5
""",
    )


@pytest.mark.parametrize(
    ("rest", "keep"),
    [
        ("%5 = choose(%3, %4) slot=a instance=a_0 : [8, 2, 2]\noutput y = %5\n", "a_0"),
        ("%5 = choose(%3, %4) slot=a instance=a_0 : [8, 2, 2]\noutput y = %5\noutput z = %4\n", ""),
        ("%5 = mix(%3 by a@a_0=0, %4 norm=n_0) : [8, 2, 2]\noutput y = %5\n", ""),
        ("%5 = max_pool(%0) kernel=3 stride=2 : [8, 2, 2]\n%6 = choose(%3, %5) slot=a instance=a_0 : [8, 2, 2]\n"
         "output y = %6\noutput z = %4\n", ""),
    ],
)  # fmt: skip
def test_hoist_leaves_what_is_kept_read_elsewhere_normed_or_not_alike(rest: str, keep: str) -> None:
    unchanged(X + ENDS + rest, "hoist", (keep,))


def test_maps_that_are_not_linear_stay() -> None:
    unchanged(
        X
        + """%1 = relu(%0) : [8, 4, 4]
%2 = tanh(%0) : [8, 4, 4]
%3 = conv(%1) kernel=1 out=4 stride=1 bias=1 : [4, 4, 4] key=c_0
%4 = conv(%2) kernel=1 out=4 stride=1 bias=1 : [4, 4, 4] key=c_0
%5 = sum(%3, %4) : [4, 4, 4]
output y = %5
""",
        "hoist",
    )


# drop_dead and order ----------------------------------------------------------------------------------


def test_drop_dead_keeps_what_outputs_and_kept_names_need() -> None:
    text = (
        X
        + """%1 = conv(%0) kernel=1 out=8 stride=1 : [8, 4, 4] key=c_0
%2 = relu(%1) : [8, 4, 4]
%3 = conv(%2) kernel=1 out=8 stride=1 : [8, 4, 4] key=c_1
output y = %0
"""
    )
    bare = X + "output y = %0\n"
    becomes(text, "drop_dead", bare)
    kept = parse("drop_dead").apply(graph(text), frozenset({"c_0"}))
    assert flat_text(kept) == X + text.splitlines()[2] + "\noutput y = %0\n"


WIDE = """%1 = conv(%0) kernel=1 out=64 stride=1 : [64, 4, 4] key=c_0
%2 = conv(%0) kernel=1 out=64 stride=1 : [64, 4, 4] key=c_1
%3 = conv(%1) kernel=1 out=1 stride=1 : [1, 4, 4] key=c_2
%4 = conv(%2) kernel=1 out=1 stride=1 : [1, 4, 4] key=c_3
%5 = sum(%3, %4) : [1, 4, 4]
output y = %5
"""


def test_order_finishes_with_what_is_large_before_it_begins_the_next() -> None:
    first, second, third, *rest = WIDE.splitlines(keepends=True)
    becomes(X + WIDE, "order", X + first + third + second + "".join(rest))


@pytest.mark.parametrize(("op", "keys"), [("dropout", ("d_0", "d_1")), ("bn", ("n_0", "n_0"))])
def test_order_leaves_draws_and_the_runs_of_one_layer_as_they_were(op: str, keys: tuple[str, str]) -> None:
    """By memory alone %4 would come before %3."""
    flat = graph(
        X
        + f"""%1 = conv(%0) kernel=1 out=64 stride=1 : [64, 4, 4] key=c_0
%2 = conv(%0) kernel=1 out=64 stride=1 : [64, 4, 4] key=c_1
%3 = {op}(%2) : [64, 4, 4] key={keys[0]}
%4 = {op}(%1) : [64, 4, 4] key={keys[1]}
%5 = global_pool(%3) : [64]
%6 = global_pool(%4) : [64]
%7 = sum(%5, %6) : [64]
output y = %7
"""
    )
    found = parse("order").apply(flat, frozenset())
    assert same_meaning(flat, found)
    places = {n.inputs: i for i, n in enumerate(found.nodes) if isinstance(n, FlatOp) and n.spec.name == op}
    keyed = {n.key: i for i, n in enumerate(found.nodes) if isinstance(n, FlatOp)}
    assert places[(keyed["c_1"],)] < places[(keyed["c_0"],)]


def test_order_is_measured_by_a_model_of_memory() -> None:
    flat = graph(X + WIDE)
    found = parse("order").apply(flat, frozenset())
    peaks = [[Memory.of(g, hold).peak(g, range(len(g.nodes))) for g in (flat, found)] for hold in (True, False)]
    training = 16 * (8 + 64 + 64 + 1 + 1 + 1)  # convolutions hold what they read
    assert peaks == [[training, training], [16 * (8 + 64 + 64), 16 * (8 + 1 + 64)]]


# mixes ------------------------------------------------------------------------------------------------


def test_mixes_makes_one_sum_of_choices_and_of_the_sums_that_read_them() -> None:
    becomes(
        X
        + """%1 = relu(%0) : [8, 4, 4] when a=1
%2 = choose(%0, %1, none) slot=a instance=a_0 edge=e@e_0=1 : [8, 4, 4]
%3 = tanh(%0) : [8, 4, 4] when b=0
%4 = choose(%3) slot=b instance=b_0 : [8, 4, 4]
%5 = sum(%2, %4, %0) : [8, 4, 4]
%6 = sum(%5, %4) : [8, 4, 4]
output y = %6
""",
        "mixes",
        X
        + """%1 = relu(%0) : [8, 4, 4] when a=1
%3 = tanh(%0) : [8, 4, 4] when b=0
%4 = mix(%3 by b@b_0=0) : [8, 4, 4]
%6 = mix(%0 by a@a_0=0 by e@e_0=1, %1 by a@a_0=1 by e@e_0=1, %4, %0, %4) : [8, 4, 4]
output y = %6
""",
    )


def test_mixes_leaves_choices_whose_value_is_kept() -> None:
    unchanged(
        X + "%1 = relu(%0) : [8, 4, 4]\n%2 = choose(%0, %1) slot=a instance=a_0 : [8, 4, 4]\noutput y = %2\n",
        "mixes",
        ("a_0",),
    )


def test_mixes_weighs_what_passes_a_narrowed_choice_by_with_all_of_its_gates() -> None:
    becomes(
        X
        + """%1 = share(%0) channels=2 first=0 : [2, 4, 4]
%2 = relu(%1) : [2, 4, 4]
%3 = share(%0) channels=6 first=2 : [6, 4, 4]
%4 = choose(%1, %2) slot=a instance=a_0 bypass=%3 : [8, 4, 4]
output y = %4
""",
        "mixes",
        X
        + """%1 = share(%0) channels=2 first=0 : [2, 4, 4]
%2 = relu(%1) : [2, 4, 4]
%3 = share(%0) channels=6 first=2 : [6, 4, 4]
%4 = mix(%1 by a@a_0=0, %2 by a@a_0=1) : [2, 4, 4]
%5 = mix(%3 by a@a_0=*) : [6, 4, 4]
%6 = interleave(%4, %5) : [8, 4, 4]
output y = %6
""",
    )
