"""Choices that other decisions determine: law 4, soft masks at the corners, exact costs, gate gradients."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

import spacec
from spacec.testing.equality import check_selected
from spacec.testing.inputs import example_inputs
from tests.lower.helpers import count_parameters, disturb, exported

pytestmark = pytest.mark.usefixtures("double")

HEAD = """space s(C = 4)
input  x: [3, 6, 6]
output y: [2]
"""
SHORTCUT = "net = conv(3, C) >> bn >> basic_block -> [w, 6, 6] >> basic_block -> [v, 3, 3] >> global_pool >> linear(2)"
SPACES = {
    "shortcut": HEAD + "let w = elastic {2, 4, 6}\nlet v = elastic {4, 6, 8}\n" + SHORTCUT.replace("3, 3]", "6, 6]"),
    "strided": HEAD + "let w = elastic {2, 4}\nlet v = elastic {4, 8}\n" + SHORTCUT,
    "value": HEAD
    + "let k = {1, 3, 5}\n"
    + "def f = small: conv(k) when k < 5 | large: max_pool(3) >> (conv(3) | conv(1)) when k == 5\n"
    + "net = conv(k, C) >> bn >> f >> f >> relu >> global_pool >> linear(2)",
    "list": HEAD
    + "let w = elastic {2, 4, 6}\ndef f = one: bn when w in [2, 6] | two: bn >> relu when not w in [2, 6]\n"
    + "net = conv(3, w) >> f >> conv(1, C) >> global_pool >> linear(2)",
    "inside": HEAD
    + "def wide = dag(x) { w = elastic {2, 4};  return x >> conv(1, w) >> basic_block -> [C, *x.hw] }\n"
    + "net = conv(3, C) >> (wide | conv(3) | bn) * 2 >> global_pool >> linear(2)",
    "argument": HEAD
    + "def f(k) = conv(k) >> (bn when k == 3 | relu when k == 1)\n"
    + "net = conv(3, C) >> f({1, 3}) * 2 >> global_pool >> linear(2)",
    "shared depth": HEAD
    + "let d = {1..3}\nnet = conv(1, C) >> (conv(3) | bn) * d >> relu >> bn * d >> global_pool >> linear(2)",
    "elastic depth": HEAD
    + "let d = elastic {1..3}\n"
    + "net = conv(1, C) >> (conv(3) | bn) * d >> relu >> conv(1) * d >> global_pool >> linear(2)",
    "sum of depths": HEAD
    + "let a = {0, 1}\nlet b = {1, 2}\n"
    + "net = conv(1, C) >> (conv(3) | bn) * (a + b) >> conv(3) * b >> global_pool >> linear(2)\nwhere a < b",
    "family": HEAD
    + "let w[i] = elastic {2, 4}\nlet k[i] = {1, 3}\n"
    + "net = conv(k[0], C) >> basic_block -> [w[0], 6, 6] >> conv(k[1]) >> basic_block -> [w[1], 6, 6]\n"
    + "   >> global_pool >> linear(2)\nwhere w[0] <= w[1], k[0] >= k[1]",
    "inverted residual": HEAD
    + "let w = elastic {2, 4}\n"
    + "net = conv(3, C) >> mbconv(elastic {3, 5}, elastic {2, 3}, squeezed(0.5)) -> [w, 6, 6]\n"
    + "   >> mbconv(3, elastic {2, 4}, act = relu) -> [C, 6, 6] >> global_pool >> linear(2)",
    "guarded option": HEAD
    + "let r = {0, 0.25}\ndef se(r, n) = identity when r == 0 | squeeze_excite(round_to(r * in.c, n)) when r > 0\n"
    + "net = conv(3, 8) >> se(r, 2) >> bn >> se(r, 4) >> global_pool >> linear(2)",
    "nested": HEAD
    + "let k = {1, 3}\nlet d = {1, 2}\n"
    + "def f = (conv(k) when d == 1 | bn when d == 2) when k == 3\n"
    + "      | (relu when k + d == 2 | gelu when k + d == 3) when k == 1\n"
    + "net = conv(1, C) >> f * d >> global_pool >> linear(2)",
    "tied": HEAD
    + "let w = elastic {2, 4}\ntied f = (conv(3, 4) | conv(1, 4)) when in.c == 2 | conv(1) when in.c == 4\n"
    + "net = conv(3, w) >> f >> conv(1, w) >> f >> global_pool >> linear(2)",
    "pick": HEAD
    + "let w = elastic {2, 4}\ndef f = conv(3) when in.c == 2 | relu when in.c == 4\n"
    + "net = conv(3, w) >> dag(x) { s = [x];  for i in 1..2 { s += sum(pick 1 from s: f) };  return s[2] }\n"
    + "   >> global_pool >> linear(2)",
    "pyramid": HEAD
    + "let w = elastic {2, 4}\ndef f = each(conv(3)) when w == 2 | each(relu) when w == 4\n"
    + "net = conv(1, w) >> transition(2, 4) >> f >> select(0) >> global_pool >> linear(2)",
    "local let": HEAD
    + "def a = dag(x) { let f = conv(1, elastic {2, 4}) >> relu;  return x >> f >> basic_block -> [C, *x.hw] }\n"
    + "net = conv(1, C) >> a * 2 >> global_pool >> linear(2)",
    "groups": HEAD
    + "let w[i] = elastic {4, 8}\nlet g = {1, 2}\n"
    + "net = conv(3, C) >> bn >> resnext_block(w[0] / 2, g) -> [w[1], 6, 6] >> conv(elastic {1, 3}, w[0], groups = 2)\n"
    + "   >> relu >> global_pool >> linear(2)",
    "value of another place": HEAD
    + "def f(k) = conv(k) >> bn\nnet = conv(3, C) >> f({1, 3}) * 2 >> global_pool >> linear(2)",
    "quotient": HEAD
    + "let w = elastic {8, 16}\nlet b = elastic {1, 2, 4}\n"
    + "net = conv(3, w / b) >> bn >> conv(1, w) >> global_pool >> linear(2)",
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("training", [False, True])
def test_law_4(name: str, training: bool) -> None:
    space = spacec.loads(SPACES[name])
    supernet = space.supernet(seed=0)
    disturb(supernet, 0)
    inputs = example_inputs(space)
    assert count_parameters(supernet) == space.supernet_params()
    archs = list(space.enumerate())
    assert space.count() == len(archs) < 200
    for arch in archs[:: 1 + len(archs) // 16]:
        check_selected(space, supernet, arch, inputs, training=training)
        assert count_parameters(space.network(arch)) == space.params(arch)


@pytest.mark.parametrize("name", SPACES)
def test_soft_masks_at_the_corners_are_the_architectures(name: str) -> None:
    space = spacec.loads(SPACES[name])
    supernet = space.supernet(seed=0).eval()
    disturb(supernet, 0)
    inputs = example_inputs(space)
    for arch in islice(space.enumerate(), 0, None, 1 + space.count() // 12):
        index = space.mask(arch)
        soft = {
            s.id: torch.eye(s.size)[index[s.id]] if index[s.id] is not None else torch.ones(s.size) / s.size  # type: ignore[index]  # an architecture's masks are indices
            for s in space.slots
        }
        theirs, mine = supernet(**inputs, mask=index).prediction, supernet(**inputs, mask=soft).prediction
        assert torch.allclose(mine, theirs, rtol=1e-10, atol=1e-10), arch.text()


def test_expected_cost_at_the_corners_and_between() -> None:
    space = spacec.loads(SPACES["shortcut"])
    archs = list(space.enumerate())
    for cost in ("params", "macs"):
        for arch in archs:
            assert space.expected_cost(space.mask(arch), cost) == space.cost(arch, cost)
        mean = sum(space.cost(a, cost) for a in archs) / len(archs)
        assert space.expected_cost({}, cost) == pytest.approx(mean)


def test_gradients_of_masks_are_those_of_the_switch() -> None:
    space = spacec.loads(SPACES["shortcut"])
    supernet, inputs = space.supernet(seed=0).eval(), example_inputs(space)
    disturb(supernet, 0)
    masks = {s.id: torch.softmax(torch.arange(s.size) / 3.0, 0).requires_grad_() for s in space.slots}
    out = supernet(**inputs, mask=masks, gates=True)
    loss = out.prediction.square().sum()
    found = supernet.gate_gradients(loss, out)
    plain = supernet(**inputs, mask=masks).prediction.square().sum()
    expected = torch.autograd.grad(plain, list(masks.values()))
    for name, gradient in zip(masks, expected, strict=True):
        assert torch.allclose(found[name], gradient, rtol=1e-8), name


def test_a_value_that_switches_read_has_its_gradient_too() -> None:
    space = spacec.loads(SPACES["value"])
    supernet, inputs = space.supernet(seed=0).eval(), example_inputs(space)
    masks = {s.id: torch.softmax(torch.arange(s.size) / 3.0, 0).requires_grad_() for s in space.slots}
    out = supernet(**inputs, mask=masks, gates="all")
    found = supernet.gate_gradients(out.prediction.square().sum(), out)
    plain = supernet(**inputs, mask=masks).prediction.square().sum()
    expected = torch.autograd.grad(plain, list(masks.values()))
    for name, gradient in zip(masks, expected, strict=True):
        assert torch.allclose(found[name], gradient, rtol=1e-8), name


def test_a_switch_is_no_decision() -> None:
    space = spacec.loads(SPACES["shortcut"])
    assert [d.id for d in space.decisions] == ["w", "v"]
    assert [s.id for s in space.slots] == ["w", "v"]
    assert space.count() == 9
    wide = spacec.loads(SPACES["inside"])
    assert wide.count() == 16


def test_the_exported_file_runs_what_the_switch_takes() -> None:
    space = spacec.loads(SPACES["shortcut"])
    inputs = example_inputs(space)
    for arch in space.enumerate():
        network = space.network(arch, seed=0).eval()
        model = exported(space, arch)
        model.load_state_dict(network.state_dict())
        assert torch.equal(model.eval()(**inputs), network(**inputs))
