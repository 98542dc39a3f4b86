"""Edge weights of picks, ``default pick(edges = 1)``: the mixture by hand, gates, law 4, identity, PC-DARTS' rule."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.lower.masks import OneHot, PerInstance
from spacec.testing.equality import check_selected
from tests.lower.helpers import CLOSE

TEXT = """\
space weighed(absent = 1, weigh = 1, k = 2)
input  x: [2, 4, 4]
output y: [2, 4, 4]
default pick(absent = absent, edges = weigh)
let cell = dag(x) {
  s = [x, x >> relu, x >> conv(1)]
  return sum(pick k from s: conv(3) | skip)
}
net = cell >> cell
"""
DARTS = Path(__file__).parents[2] / "grammars" / "darts.space"


def weighed(**given_: int) -> spacec.Space:
    return spacec.loads(TEXT, **given_)


def vectors(space: spacec.Space, seed: int) -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    drawn = {s.id: torch.rand(s.size, generator=source, dtype=torch.float64) for s in space.slots}
    return {name: (w / w.sum()).requires_grad_() for name, w in drawn.items()}


def by_hand(net: torch.nn.Module, x: torch.Tensor, mask: dict[str, torch.Tensor], absent: int) -> torch.Tensor:
    """Two cells, written out: y = Σ_e w_e (a_conv conv_e(s_e) + a_skip s_e)."""
    for cell in ("cell_0", "cell_1"):
        part = net.get_submodule(cell)
        s = [x, torch.relu(x), part.conv_0(x)]
        total = torch.zeros_like(x)
        for e, value in enumerate(s):
            a = mask[f"cell.pick[0].choice[{e}]"]
            conv = part.get_submodule(f"pick_0.conv_{e}")
            total = total + mask["cell.pick[0].edges[0]"][e] * (a[absent] * conv(value) + a[absent + 1] * value)
        x = total
    return x


@pytest.mark.parametrize("absent", [0, 1])
@settings(deadline=None, max_examples=10, derandomize=True)
@given(seed=st.integers(0, 1_000))
def test_a_soft_mask_is_the_mixture_by_hand(absent: int, seed: int) -> None:
    space = weighed(absent=absent)
    net, mask = space.supernet(seed=seed).double(), vectors(space, seed)
    x = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = by_hand(net, x, mask, absent)
    out = net(x, mask=mask, gates=True)
    torch.testing.assert_close(out.prediction, expected, **CLOSE)
    loss = (out.prediction**2).sum()
    gates = net.gate_gradients(loss, out)
    direct = torch.autograd.grad((expected**2).sum(), list(mask.values()), allow_unused=True)
    for name, gradient in zip(mask, direct, strict=True):
        assert gradient is not None
        torch.testing.assert_close(gates[name], gradient, **CLOSE)
    assert set(out.gates) >= {"cell_0.pick_0_edges_0", "cell_1.pick_0_edges_0"}


def test_edges_of_each_instance_and_one_path() -> None:
    space = weighed(k=3)
    net, mask = space.supernet(seed=1).double(), vectors(space, 1)
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    name = "cell.pick[0].edges[0]"
    apart = {**mask, name: PerInstance({"cell_0.pick_0_edges_0": mask[name], "cell_1.pick_0_edges_0": mask[name]})}
    torch.testing.assert_close(net(x, mask=apart).prediction, net(x, mask=mask).prediction, **CLOSE)
    alone = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    same = [net(x, mask={**mask, name: entry}).prediction for entry in (1, alone, OneHot(alone))]
    for other in same[1:]:
        torch.testing.assert_close(other, same[0], **CLOSE)
    plain = weighed(k=3, weigh=0).supernet(seed=1).double()
    inner = {k: v for k, v in mask.items() if k != name}
    torch.testing.assert_close(net(x, mask={**mask, name: None}).prediction, plain(x, mask=inner).prediction, **CLOSE)


@pytest.mark.parametrize("given_", [{}, {"absent": 0}, {"k": 3}, {"k": 1}])
def test_law_4(given_: dict[str, int]) -> None:
    space = weighed(**given_)
    supernet = space.supernet(seed=3).double()
    x = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for k, arch in enumerate(space.enumerate()):
        if k % 3 == 0 and "conv" in arch.text():
            check_selected(space, supernet, arch, {"x": x}, training=k % 2 == 0)


def test_architectures_are_those_of_the_form_without() -> None:
    with_, without = weighed(), weighed(weigh=0)
    assert with_.digest == without.digest
    assert [d.id for d in with_.decisions] == [d.id for d in without.decisions]
    assert with_.supernet(seed=0).state_dict().keys() == without.supernet(seed=0).state_dict().keys()
    assert [s.id for s in with_.slots if s.edges] == ["cell.pick[0].edges[0]"]
    arch = with_.sample(seed=5)[0]
    assert with_.mask(arch)["cell.pick[0].edges[0]"] is None
    mask = {s.id: [1 / s.size] * s.size for s in with_.slots}
    assert with_.expected_cost(mask, "params") == without.expected_cost(mask, "params")


def test_definitions_called_edges_keep_their_names() -> None:
    text = TEXT.replace("conv(3) | skip)", "edges)").replace("let cell", "def edges = conv(3) | skip\nlet cell")
    with_, without = spacec.loads(text), spacec.loads(text, weigh=0)
    assert with_.digest == without.digest


def test_deriving_multiplies_edge_and_operation() -> None:
    """Xu et al., PC-DARTS (ICLR 2020), equation 5: the weight of an operation is the product of the two."""
    text = DARTS.read_text(encoding="utf-8").replace("absent = absent", "absent = absent, edges = 1")
    space = spacec.loads(text, preset="tiny", absent=0)
    assert sum(s.edges for s in space.slots) == 8
    source = random.Random(7)
    for _ in range(20):
        p = {s.id: [source.random() for _ in range(s.size)] for s in space.slots}
        arch = space.derive(p)
        for owner in ("normal", "reduce"):
            for node in range(4):
                pick = f"{owner}.pick[{node}]"
                edges = p[f"{pick}.edges[0]"]
                best = [max(edges[e] * w for w in p[f"{pick}.edge[{e}]"]) for e in range(node + 2)]
                kept = tuple(sorted(sorted(range(node + 2), key=lambda e: -best[e])[:2]))
                if node:
                    assert arch[pick] == kept
                for e in kept:
                    ops = p[f"{pick}.edge[{e}]"]
                    assert arch[f"{pick}.edge[{e}]"] == max(range(7), key=ops.__getitem__)
