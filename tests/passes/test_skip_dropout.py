"""Which candidates are skips, and that a dropout behind them drops there and nowhere else."""

from __future__ import annotations

import pytest
import torch

import spacec
from spacec.ir.flat import FlatChoose
from spacec.passes.skip_dropout import PREFIX, skips

TEXT = """
space skipping(width = 6)
input  x: [width]
output y: [width]
def block = BODY
net = block
"""


def of(body: str) -> spacec.Space:
    return spacec.loads(TEXT.replace("BODY", body))


def labels(space: spacec.Space) -> dict[str, set[str]]:
    """Labels of the skips by slot, of all activations."""
    found: dict[str, set[str]] = {}
    names = {slot.id: slot.labels for slot in space.slots}
    for index, positions in skips(space.flat).items():
        node = space.flat.nodes[index]
        assert isinstance(node, FlatChoose)
        found.setdefault(node.slot, set()).update(names[node.slot][k] for k in positions)
    return found


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("lin: linear(width) | skip: identity", {"skip"}),
        ("lin: linear(width) | skip: identity >> identity | none: zero", {"skip"}),
        ("lin: linear(width) | after: linear(width) >> identity | act: relu", set()),
        ("lin: linear(width) | act: relu >> identity", set()),
    ],
)
def test_a_skip_hands_on_what_the_others_read(body: str, expected: set[str]) -> None:
    found = labels(of(body))
    assert set().union(*found.values()) == expected


def test_skips_of_shipped_spaces() -> None:
    nas_bench_201 = labels(spacec.load("grammars/nas_bench_201.space", preset="tiny"))
    assert len(nas_bench_201) == 6
    assert set().union(*nas_bench_201.values()) == {"skip"}
    darts = spacec.load("grammars/darts.space", preset="tiny")
    found = labels(darts)
    assert all(names == {"skip"} for names in found.values())
    strided = {slot.id for slot in darts.slots} - set(found)
    assert strided == {f"reduce.pick[{i}].edge[{j}]" for i in range(4) for j in (0, 1)}
    assert labels(spacec.load("grammars/enas_macro.space", preset="tiny")) == {}


def test_it_drops_behind_skips_in_training_only() -> None:
    space = of("lin: linear(width) | skip: identity")
    plain, net = space.supernet(seed=0), space.supernet(seed=0, skip_dropout=True)
    assert list(plain.state_dict()) == list(net.state_dict())
    x = torch.randn(50, 6)
    (slot,) = (s.id for s in space.slots)
    assert torch.equal(net(x, mask=None).prediction, plain(x, mask=None).prediction)
    net.set_skip_dropout(0.5)
    dropped = net(x, mask={slot: 1}).prediction
    gone = dropped == 0
    assert 0.3 < float(gone.float().mean()) < 0.7
    torch.testing.assert_close(dropped[~gone], 2 * x[~gone])
    assert torch.equal(net(x, mask={slot: 0}).prediction, plain(x, mask={slot: 0}).prediction)
    net.eval()
    assert torch.equal(net(x, mask={slot: 1}).prediction, x)
    with pytest.raises(ValueError, match="rate"):
        net.set_skip_dropout(1.0)
    plain.set_skip_dropout(0.5)


def test_it_goes_with_partial_channels() -> None:
    space = spacec.load("grammars/robust_darts.space", preset="tiny")
    net = space.supernet(seed=0, partial=2, skip_dropout=True)
    assert net(torch.randn(2, 3, 32, 32)).prediction.shape == (2, 10)
    inserted = [name for name, _ in net.named_modules() if name.startswith(PREFIX) and "candidate" in name]
    assert len(inserted) == sum(len(k) for k in skips(space.partial_channels(2).flat).values()) > 0
