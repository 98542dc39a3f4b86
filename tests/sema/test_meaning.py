"""What texts mean: identity of decisions and weights, activity, costs, inference. Laws of the language, one by one."""

from __future__ import annotations

import networkx
import pytest

from spacec.ir.conditions import ALWAYS, Has, Is, both
from spacec.ir.conditions import decisions as decisions_of
from spacec.ir.flat import FlatOp
from spacec.ir.flatten import flatten
from spacec.space.algebra import count
from spacec.space.architecture import architecture_of
from spacec.space.cost import cost
from spacec.space.decisions import DecisionTable
from tests.grammars.record import GRAMMARS
from tests.sema.compile import HEAD, codes, front_end, table_of

TAIL = " >> global_pool >> linear(classes)\n"


def net(text: str, **given: object) -> DecisionTable:
    return table_of(f"{HEAD}net = conv(3, C) >> {text}{TAIL}", **given)


def ids(table: DecisionTable) -> list[str]:
    return [d.id for d in table.decisions]


def keys(text: str) -> list[str]:
    _, _, graph = front_end(text)
    assert graph is not None
    return [n.key for n in flatten(graph).nodes if isinstance(n, FlatOp) and n.key]


def total(table: DecisionTable, cost: str = "params") -> int:
    """Everything a supernet has, where no size is elastic."""
    return sum(t.amount for t in table.costs[cost] if isinstance(t.amount, int))


def shipped(name: str, **given: object) -> DecisionTable:
    return table_of((GRAMMARS / f"{name}.space").read_text(encoding="utf-8"), **given)


# ------------------------------------------------------------ published numbers


def test_darts_supernet_parameters() -> None:
    assert total(shipped("darts")) == 1_930_618  # facts C2
    assert total(shipped("darts", classes=100)) == 1_953_748


def test_nas_bench_201_supernet_parameters() -> None:
    assert total(shipped("nas_bench_201")) == 1_699_546  # facts D7: affine norms, no convolution biases


def test_clearer_supernet_parameters() -> None:
    assert total(shipped("clearer")) == 12_558_144  # facts A8


def test_architecture_slots() -> None:
    darts = shipped("darts")
    assert [s.size for s in darts.slots] == [8] * 28
    assert [s.size for s in shipped("darts", absent=0).slots] == [7] * 28
    assert [s.size for s in shipped("nas_bench_201").slots] == [5] * 6
    assert [s.size for s in shipped("clearer").slots] == [2] * 12


def test_shipped_ids_are_the_documented_ones() -> None:
    assert "normal.pick[2].edge[1]" in ids(shipped("darts"))
    assert "net.column[7]" in ids(shipped("clearer"))
    assert ids(shipped("nas_bench_201")) == [f"cell.edge[{i}]" for i in range(6)]
    assert ids(shipped("tabular")) == [f"net.linear[{i}].out[0]" for i in range(3)]


def test_digest_is_of_decisions_only() -> None:
    search = shipped("darts").digest
    assert shipped("darts", C=36, layers=20, affine=1, pool_bn=0, aux=1).digest == search
    assert shipped("darts", classes=100).digest == search
    assert shipped("clearer", channels=3, residual=1).digest == shipped("clearer").digest
    assert shipped("nas_bench_201").digest != search


# ------------------------------------------------------------------ identity


def test_decision_free_code_renames_nothing() -> None:
    plain = net("(conv(3) | identity) >> bn >> (conv(5) | identity)")
    more = net("relu >> conv(1) >> (conv(3) | identity) >> bn >> relu >> (conv(5) | identity)")
    assert ids(plain) == ids(more) == ["net.choice[0]", "net.choice[1]"]
    assert plain.digest == more.digest


def test_state_free_code_renames_no_weight() -> None:
    assert keys(f"{HEAD}net = conv(3, C) >> bn >> conv(3){TAIL}") == keys(
        f"{HEAD}net = relu >> conv(3, C) >> identity >> bn >> relu >> conv(3) >> relu{TAIL}"
    )


def test_keys_are_identifiers_joined_by_dots() -> None:
    _, _, graph = front_end((GRAMMARS / "darts.space").read_text(encoding="utf-8"))
    assert graph is not None
    found = [n.key for n in flatten(graph).nodes if isinstance(n, FlatOp) and n.key]
    assert len(found) == len(set(found))
    assert all(part.isidentifier() for key in found for part in key.split("."))


def test_nested_choices_do_not_flatten() -> None:
    table = net("(a: (conv(3) | conv(5)) >> bn | b: bn)")
    assert ids(table) == ["net.choice[0]", "net.a[0].choice[0]"]
    assert table.decisions[1].active == Is("net.choice[0]", frozenset((0,)))


def test_equal_labels_are_told_apart() -> None:
    assert net("(conv(3) | conv(3))").decisions[0].labels == ("conv(3)", "conv(3)#1")


def test_let_shares_decisions_and_tied_shares_weights() -> None:
    head = f"{HEAD}KIND cell = conv(3) | bn\n"
    body = f"net = conv(3, C) >> cell >> cell >> cell{TAIL}"
    as_def, as_let, as_tied = (table_of(head.replace("KIND", k) + body) for k in ("def", "let", "tied"))
    assert ids(as_def) == ["net.cell[0]", "net.cell[1]", "net.cell[2]"]
    assert ids(as_let) == ids(as_tied) == ["cell"]
    assert total(as_def) == total(as_let)
    assert total(as_tied) == total(as_let) - 2 * (8 * 8 * 9 + 16)
    assert total(as_tied, "macs") == total(as_let, "macs")


def test_alias_of_a_def_is_a_new_draw_and_of_a_let_the_same() -> None:
    text = (
        f"{HEAD}def cell = conv(3) | bn\nlet a = cell\nlet b = cell\nlet c = a\nnet = conv(3, C) >> a >> b >> c{TAIL}"
    )
    assert ids(table_of(text)) == ["a", "b"]


def test_inline_let_is_hoisted_out_of_a_repeat() -> None:
    assert ids(net("let(conv(3) | bn) * 3")) == ["net.let[0]"]
    assert ids(net("(conv(3) | bn) * 3")) == ["net.choice[0]", "net.choice[1]", "net.choice[2]"]


def test_binder_in_a_dag_lives_for_one_activation() -> None:
    stage = "def stage = dag(x) { let c = conv(3) | bn; return x >> c >> c }\n"
    text = f"{HEAD}{stage}net = conv(3, C) >> stage >> stage{TAIL}"
    assert ids(table_of(text)) == ["net.stage[0].c", "net.stage[1].c"]


def test_a_single_candidate_is_no_decision() -> None:
    assert ids(net("(conv(3) when C > 4 | bn when C > 400)")) == []


# ------------------------------------------------------------- picks, depth


def test_pick_is_a_subset_and_decisions_inside_it() -> None:
    dag = "a = x >> conv(3, C); b = x >> conv(5, C); c = x >> conv(1, C)"
    pick = f"return sum(pick 2 from [a, b, c]: conv(3) | identity){TAIL.rstrip()}"
    text = f"{HEAD}net = dag(x) {{ {dag}\n  {pick} }}\n"
    table = table_of(text)
    assert [d.kind for d in table.decisions] == ["subset", "op", "op", "op"]
    assert table.decisions[0].id == "net.pick[0]"
    assert table.decisions[2].active == Has("net.pick[0]", 1)
    assert [s.labels for s in table.slots] == [("absent", "conv(3)", "identity")] * 3


def test_a_pick_of_all_is_no_decision_but_keeps_absent_in_its_slots() -> None:
    darts = shipped("darts")
    assert "normal.pick[0]" not in ids(darts)
    assert darts.slots[0].absent
    assert darts.slots[0].pick is None


def test_a_body_that_is_no_choice_gets_a_gate() -> None:
    text = (
        f"{HEAD}net = dag(x) {{ a = x >> conv(3, C)\n return sum(pick 1 from [a, a]: conv(3) >> bn){TAIL.rstrip()} }}\n"
    )
    assert [s.labels for s in table_of(text).slots] == [("absent", "present")] * 2


def test_depth_is_a_prefix() -> None:
    table = net("(conv(3) | bn) * {1..3}")
    depth = table.decisions[0]
    assert (depth.id, depth.kind, depth.values) == ("net.depth[0]", "depth", (1, 2, 3))
    assert [d.active for d in table.decisions[1:]] == [
        ALWAYS,
        Is("net.depth[0]", frozenset((1, 2))),
        Is("net.depth[0]", frozenset((2,))),
    ]


def test_separate_values_have_their_own_weights() -> None:
    text = f"{HEAD}net = conv({{3, 5}}, C){TAIL}"
    assert keys(text)[:2] == ["conv_0.option_0", "conv_0.option_1"]
    table = table_of(text)
    assert ids(table) == ["net.conv[0].kernel[0]"]
    assert total(table) == 3 * 8 * (9 + 25) + 90


def test_elastic_sizes_enter_costs_as_symbols() -> None:
    table = net("conv(3, elastic {4, 8})")
    name = "net.conv[1].out[0]" if "net.conv[1].out[0]" in ids(table) else "net.conv[0].out[0]"
    assert ids(table) == [name]
    amounts = [str(t.amount) for t in table.costs["params"]]
    assert amounts == [f"82*{name} + 226"]


def test_elastic_sizes_may_be_shared_and_constrained() -> None:
    body = f"let w = elastic {{8, 16}}\nnet = conv(3, w) >> (conv(3, w) | identity){TAIL}"
    text = f"{HEAD}{body}where w <= 8, params <= 1M\n"
    table = table_of(text)
    assert ids(table) == ["w", "net.choice[0]"]
    assert [c.text for c in table.constraints] == ["w <= 8", "params <= 1M"]


# ---------------------------------------------------------------- inference


@pytest.mark.parametrize(
    ("stage", "params"),
    [
        ("conv(3) -> [16, 16, 16]", 8 * 16 * 9),
        ("(conv(3) >> conv(3)) -> [16, 16, 16]", 8 * 16 * 9 + 16 * 16 * 9),
        ("(depthwise(3) >> conv(1)) -> [16, 16, 16]", 8 * 9 + 8 * 16),
        ("(bn >> conv(3)) * 2 -> [16, 16, 16]", 16 + 8 * 16 * 9 + 32 + 16 * 16 * 9),
        ("(conv(3) | conv(5)) -> [16, 16, 16]", 8 * 16 * (9 + 25)),
        ("(conv(3) + conv(5)) -> [16, 16, 16]", 8 * 16 * (9 + 25)),
    ],
)
def test_the_first_open_stage_takes_the_whole_change(stage: str, params: int) -> None:
    plain = total(net("identity"))
    assert total(net(stage)) == plain + params + (16 - 8) * 10


def test_default_reaches_library_code() -> None:
    affine = total(table_of(f"{HEAD}net = conv(3, C) >> sep_conv(3){TAIL}"))
    without = total(table_of(f"{HEAD}default bn(affine = 0)\nnet = conv(3, C) >> sep_conv(3){TAIL}"))
    assert affine - without == 2 * 16


def test_unread_branches_are_not_built() -> None:
    ports = "input x: [1, 8*H, 8*W]\noutput y: [4, 8*H, 8*W]\n"
    whole = f"space s\n{ports}net = transition(2, 4) >> each(conv(3)) >> select(0)\n"
    assert total(table_of(whole)) == 9 * 4 + 8 + 9 * 16


def test_symbolic_division_becomes_a_precondition() -> None:
    _, found, graph = front_end(
        "space s\ninput x: [8, H, W]\noutput y: [8, H/2, W/2]\nnet = factorized_reduce -> [8, H/2, W/2]\n"
    )
    assert found is not None
    assert graph is not None
    assert sorted(map(str, graph.root.preconditions)) == ["H must be divisible by 2", "W must be divisible by 2"]


def test_stated_multiples_need_no_precondition() -> None:
    _, _, graph = front_end((GRAMMARS / "clearer.space").read_text(encoding="utf-8"))
    assert graph is not None
    assert graph.root.preconditions == ()


@pytest.mark.parametrize("size", [7, 8, 31, 32])
def test_stride_rounds_up(size: int) -> None:
    half = -(-size // 2)
    assert codes(f"space s\ninput x: [3, {size}]\noutput y: [3, {half}]\nnet = conv(3, stride = 2)\n") == []


def test_a_choice_may_sit_in_any_network_argument() -> None:
    text = f"{HEAD}def twice(f) = f >> f\nnet = conv(3, C) >> twice(conv(3) | bn){TAIL}"
    assert ids(table_of(text)) == ["net.twice[0].f[0]", "net.twice[0].f[1]"]


def test_conditions_compose_through_calls() -> None:
    text = (
        f"{HEAD}def inner = conv(3) | bn\ndef outer = deep: relu >> inner | flat: relu\nnet = conv(3, C) >> outer{TAIL}"
    )
    table = table_of(text)
    inner = next(d for d in table.decisions if "inner" in d.id)
    assert inner.id == "net.outer[0].deep[0].inner[0]"
    assert inner.active == both(Is("net.outer[0]", frozenset((0,))))


def test_tied_inside_tied_counts_once() -> None:
    text = f"{HEAD}tied inner = conv(3) >> bn\ntied outer = inner >> inner\nnet = conv(3, C) >> outer >> outer{TAIL}"
    assert total(table_of(text)) == 3 * 8 * 9 + 90 + 8 * 8 * 9 + 16


def test_a_size_is_never_its_half() -> None:
    """Sizes are positive, so `in == out` is decided where one is a multiple of the other."""
    text = "space s\ninput x: [8, H, W]\noutput y: [8, H/2, W/2]\nnet = skip -> [8, H/2, W/2]\n"
    assert codes(text) == []
    assert total(table_of(text)) == 2 * 8 * 4 + 16


def test_windows_slide_over_one_or_two_axes() -> None:
    assert codes("space s\ninput x: [3, 8, 8, 8]\noutput y: [3, 8, 8, 8]\nnet = conv(3)\n") == ["E0302"]


@pytest.mark.parametrize(
    "stage", ['bn(affine = "x")', "conv(3, init = 5)", "conv(3, init = normal(-1))", 'dropout("x")']
)
def test_attributes_are_of_their_kind(stage: str) -> None:
    assert codes(f"{HEAD}net = conv(3, C) >> {stage}{TAIL}") == ["E0306"]


def test_call_structure_is_an_acyclic_graph_of_shared_regions() -> None:
    _, _, graph = front_end((GRAMMARS / "darts.space").read_text(encoding="utf-8"), layers=20)
    assert graph is not None
    calls = graph.to_networkx()
    assert networkx.is_directed_acyclic_graph(calls)
    names = [data["name"] for _, data in calls.nodes(data=True)]
    assert names.count("cell") == 9  # twenty cells, elaborated once for each kind and input types
    assert "sep_conv" in names


@pytest.mark.parametrize("values", ["{3, 5}", "elastic {3, 5}"])
def test_a_let_that_only_a_constraint_reads_is_refused(values: str) -> None:
    assert codes(f"{HEAD}let w = {values}\nnet = conv(3, C){TAIL}where w <= 3\n") == ["E0505"]


def test_a_let_is_decided_after_what_its_later_uses_depend_on() -> None:
    """Its first use may stand before a choice that another use hangs on: 5 plain ones, 17 pairs."""
    text = "let k = {1, 3}\ndef two = a: conv(k) | b: conv(k) >> conv(k) | c: identity\n"
    table = table_of(f"{HEAD}{text}net = conv(3, C) >> (once: two | pair: two >> two){TAIL}")
    assert count(table) == 22
    known: set[str] = set()
    for decision in table.decisions:
        assert decisions_of(decision.active) <= known
        known.add(decision.id)


def test_elastic_sizes_of_a_let_stated_two_ways() -> None:
    """Elaborated for a stated type and without, the let has one decision."""
    text = "def wide = linear(elastic {2, 4}) >> relu >> linear(in.c)\nnet = global_pool >> (tied(wide) * 2 -> [3])"
    table = table_of(f"{HEAD}{text} >> linear(classes)\n")
    assert len(table.decisions) == 1


def test_costs_of_a_value_choice_handed_to_a_definition() -> None:
    """Only the chosen kernel counts, though the definition itself decides nothing."""
    table = net("sep_conv({3, 5})")
    sizes = {cost(table, architecture_of(table, {table.decisions[0].id: k}), "params") for k in (0, 1)}
    assert len(sizes) == 2
    assert max(sizes) - min(sizes) == 2 * 8 * (5 * 5 - 3 * 3)


def test_activations_that_are_gone_are_not_taken_for_new_ones() -> None:
    """Inline binders belong to the activation of their text: what tells activations apart outlives them."""
    text = (
        f"{HEAD}def step(c) = dag(x) {{ return x >> let(conv(1) | conv(c)) >> let(relu | identity) }}\n"
        f"net = conv(3, C) >> {' >> '.join(f'step({c})' for c in (1, 3, 5, 7) * 6)}{TAIL}"
    )
    assert {len(table_of(text).decisions) for _ in range(12)} == {48}


@pytest.mark.parametrize(("kind", "params"), [("let", 2 * 36), ("tied", 36), ("def", 2 * 36)])
def test_a_tied_member_inside_has_weights_at_every_use_that_has_its_own(kind: str, params: int) -> None:
    """``tied`` shares the weights of its uses within one activation; a let gives every use weights of its own."""
    head = "space s\ninput x: [2]\noutput y: [2]\n"
    table = table_of(f"{head}{kind} f = tied(linear(6) >> linear(2) >> bn) * 2\nnet = f >> f")
    assert cost(table, architecture_of(table, {}), "params") == params


def test_a_tied_body_may_reuse_names_of_what_stands_around_it() -> None:
    """Only what it takes from there matters, so names that it binds itself are no capture."""
    head = "space s\ninput x: [2]\noutput y: [2]\n"
    inner = "tied(dag({a}) {{ {b} = [{a}, {a} >> (relu | tanh)]; return {b}[1] >> linear(2) }})"
    bodies = (inner.format(a=a, b=b) for a, b in (("x", "s"), ("z", "t")))
    first, second = (table_of(f"{head}net = dag(x) {{ s = [x]; s += sum(from s: {b}); return s[1] }}") for b in bodies)
    assert [d.id for d in first.decisions] == [d.id for d in second.decisions]
    assert count(first) == count(second) == 2
