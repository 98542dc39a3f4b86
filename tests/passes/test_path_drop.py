"""Drop-path behind the edges of a supernet: which edges there are, and what is dropped."""

from __future__ import annotations

import pytest
import torch

import spacec
from spacec.ir.flat import FlatChoose
from spacec.passes.path_drop import PREFIX, edges

CELL = """
space cell(width = 4)
input  x: [width]
output y: [width]
default pick(absent = 1)
def edge = skip: identity | act: tanh
net = edge >> dag(a) { return sum(pick 1..2 from [a, a >> relu]: edge) }
"""


def slots(space: spacec.Space) -> set[str]:
    nodes = (space.flat.nodes[index] for index in edges(space.flat))
    return {node.slot for node in nodes if isinstance(node, FlatChoose)}


def test_edges_are_the_choices_that_sums_read() -> None:
    assert slots(spacec.loads(CELL)) == {"net.pick[0].edge[0]", "net.pick[0].edge[1]"}
    darts = spacec.load("grammars/robust_darts.space", preset="tiny")
    assert slots(darts) == {slot.id for slot in darts.slots}
    chain = spacec.load("grammars/nas_bench_macro.space", preset="tiny")
    assert slots(chain) == set()


def test_without_a_rate_it_is_the_plain_supernet_bit_for_bit() -> None:
    space = spacec.loads(CELL)
    plain, net = space.supernet(seed=0), space.supernet(seed=0, path_drop=True)
    assert list(plain.state_dict()) == list(net.state_dict())
    x = torch.randn(5, 4)
    for arch in space.enumerate():
        assert torch.equal(net(x, mask=arch).prediction, plain(x, mask=arch).prediction)
    assert torch.equal(net(x).prediction, plain(x).prediction)


def test_it_drops_whole_samples_of_one_edge_in_training_only() -> None:
    space = spacec.loads(CELL)
    net = space.supernet(seed=0, path_drop=True)
    mask = {"net.edge[0]": 0, "net.pick[0].edge[0]": 1, "net.pick[0].edge[1]": 1}
    assert {s.id: s.labels for s in space.slots}["net.pick[0].edge[0]"] == ("absent", "skip", "act")
    net.set_drop_path(0.5)
    x = torch.randn(200, 4)
    y = net(x, mask=mask).prediction
    ways = [0 * x, 2 * x, 2 * x.relu(), 2 * x + 2 * x.relu()]
    found = [sum(torch.equal(row, w) for row, w in zip(y, way, strict=True)) for way in ways]
    assert sum(found) >= 200, "every sample takes one of the four ways"
    assert all(n > 20 for n in found)
    net.eval()
    torch.testing.assert_close(net(x, mask=mask).prediction, x + x.relu())


@pytest.mark.parametrize("form", [{"partial": 2}, {"skip_dropout": True}])
def test_it_goes_with_the_other_forms(form: dict[str, int]) -> None:
    space = spacec.load("grammars/robust_darts.space", preset="tiny")
    net = space.supernet(seed=0, path_drop=True, **form)
    net.set_drop_path(0.2)
    assert net(torch.randn(2, 3, 32, 32)).prediction.shape == (2, 10)
    stages = {name for name, m in net.named_modules() if name.startswith(PREFIX) and not list(m.children())}
    assert len(stages) == len(edges(space.flat)) == 42
