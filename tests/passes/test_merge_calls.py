"""Which calls of tied members run as one, and which stay apart."""

from __future__ import annotations

import time

import pytest

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.ir.flat import FlatMeet, FlatOp

HEAD = "space s(C = 4)\ninput  x: [4, 8, 8]\noutput y: [4, 8, 8]\n"


def merged(text: str) -> set[str]:
    return {name for name, _ in spacec.loads(HEAD + text).graph.merged}


def test_calls_under_different_candidates_are_one() -> None:
    assert merged("tied f[i] = conv(3)\nnet = a: relu >> f[0] | b: bn >> f[0]") == {"f[0]"}


def test_calls_in_sequence_are_separate() -> None:
    assert merged("tied f[i] = conv(3)\nnet = f[0] >> f[0]") == set()


def test_calls_side_by_side_are_separate() -> None:
    assert merged("tied f[i] = conv(3)\nnet = f[0] + (relu >> f[0])") == set()


def test_a_call_outside_the_choice_is_separate() -> None:
    assert merged("tied f[i] = conv(3)\nnet = f[0] >> (a: f[0] | b: relu)") == set()


def test_calls_under_candidates_of_unrelated_choices_are_separate() -> None:
    text = "tied f[i] = conv(3)\nnet = (a: f[0] | b: relu) >> (a: f[0] | b: relu)"
    assert merged(text) == set()


def test_a_shared_decision_excludes() -> None:
    """Both choices are one let: its decision has one value, so the calls exclude each other."""
    text = "tied f[i] = conv(3)\nlet g(p, q) = a: p | b: q\nnet = g(f[0], relu) + (relu >> g(bn, f[0]))"
    assert merged(text) == {"f[0]"}


def test_calls_that_hang_on_a_value_are_separate() -> None:
    text = """let k = {1, 3}
    tied f[i] = conv(3)
    def g = f[0] when k == 1 | relu >> f[0] when k == 3
    net = conv(k) >> g"""
    assert merged(text) == set()


def test_a_call_that_needs_the_other_is_separate() -> None:
    """The same decision, but what the second call is given passes through the first."""
    text = "tied f[i] = conv(3)\nlet g(p, q) = a: p | b: q\nnet = g(f[0], relu) >> g(bn, f[0])"
    assert merged(text) == set()


def test_a_tied_definition_without_index_is_no_lattice() -> None:
    assert merged("tied f = conv(3)\nnet = a: relu >> f | b: bn >> f") == set()


def test_types_must_agree() -> None:
    text = """tied f[i] = conv(3)
    net = a: max_pool(3, stride = 2) >> f[0] >> upsample(2) | b: relu >> f[0]"""
    assert merged(text) == set()
    text = """tied f[i] = conv(3)
    net = a: f[0] | b: relu >> f[0] | c: max_pool(3, stride = 2) >> f[0] >> upsample(2)"""
    assert merged(text) == {"f[0]"}


def test_two_lattices_in_sequence() -> None:
    text = """
    tied p[i, j] = conv(3) >> (l: p[i+1, 0] when i < 3 | r: relu >> p[i+1, 1] when i < 3 | end: identity when i == 3)
    tied q[i, j] = conv(3) >> (l: q[i+1, 0] when i < 3 | r: relu >> q[i+1, 1] when i < 3 | end: identity when i == 3)
    net = p[1, 0] >> q[1, 0]"""
    assert merged(text) == {f"{n}[3,{j}]" for n in "pq" for j in (0, 1)}


def test_a_family_inside_a_dag_belongs_to_its_activation() -> None:
    text = """def block = dag(x) { tied f[i] = conv(3);  return x >> (a: relu >> f[0] | b: bn >> f[0]) }
    net = block >> block"""
    space = spacec.loads(HEAD + text)
    assert {n for n, _ in space.graph.merged} == {"net.block[0].f[0]", "net.block[1].f[0]"}
    assert sum(isinstance(n, FlatMeet) for n in space.flat.nodes) == 2


def lattice(layers: int, width: int) -> str:
    return f"""
    tied w[l, r] = conv(3) >> ( up: relu >> w[l+1, r-1]   when l < {layers} and r > 0
                              | on: w[l+1, r]             when l < {layers}
                              | down: bn >> w[l+1, r+1]   when l < {layers} and r < {width - 1}
                              | end: identity             when l == {layers} )
    net = w[1, 0]"""


@pytest.mark.parametrize(("layers", "width"), [(40, 4), (20, 20), (100, 3)])
def test_large_lattices_are_compiled_counted_and_expanded_quickly(layers: int, width: int) -> None:
    began = time.process_time()
    space = spacec.loads(HEAD + lattice(layers, width))
    paths = [1] + [0] * (width - 1)
    for _ in range(layers - 1):
        paths = [sum(paths[max(r - 1, 0) : r + 2]) for r in range(width)]
    assert space.count() == sum(paths)
    assert len(space.flat.nodes) < 12 * layers * width
    assert time.process_time() - began < 10


def test_calls_that_are_not_shown_to_exclude_each_other_are_written_out_up_to_a_limit() -> None:
    text = """
    tied w[l] = dag(x) { return (x >> conv(3) >> w[l+1]) + (x >> relu >> w[l+1]) } when l < 18 | identity when l == 18
    net = w[1]"""
    with pytest.raises(SpacecError) as caught:
        spacec.loads(HEAD + text)
    (found,) = caught.value.diagnostics
    assert found.code == "E0408"
    assert "is written out" in found.label


def test_two_dags_of_one_definition_have_their_own_lets() -> None:
    body = "dag(x) { let f = conv(1) | conv(3);  return x >> f }"
    assert spacec.loads(HEAD + f"net = ({body}) >> ({body})").count() == 4


def test_a_local_tied_has_one_set_of_weights_wherever_it_is_used() -> None:
    text = "net = dag(x) { tied f = conv(3);  def g = relu >> f;  return (x >> g) + (x >> f) }"
    assert {n.key for n in spacec.loads(HEAD + text).flat.nodes if isinstance(n, FlatOp) and n.key} == {"f.conv_0"}


def test_a_local_family_decides_for_each_activation() -> None:
    text = "def b = dag(x) { let f[i] = conv(1) | conv(3);  return x >> f[0] >> f[1] >> f[0] }\nnet = b >> b"
    assert spacec.loads(HEAD + text).count() == 16
