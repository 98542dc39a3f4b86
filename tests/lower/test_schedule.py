"""Schedules as data, and what a supernet does by one: its kernels and its layout under every kind of mask."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from torch import Tensor, nn

from spacec.lower import optimised
from spacec.lower.kernels.chosen import Chosen, kernels_of
from spacec.lower.kernels.table import OpSite, Window
from spacec.lower.layout import laid_out
from spacec.lower.schedule import NAMED, Measurement, Schedule, Trial, named
from tests.lower.helpers import inputs_of, supernet_of
from tests.lower.spaces import pick_space

SITE = OpSite("conv", (4, 4), 8, (6, 6), "float32", "channels_last", "cpu", Window((3, 3), (1, 1), (1, 1), (1, 1), 4))


def measured() -> Schedule:
    trials = (Trial("library", 0.5), Trial("native", 0.25))
    told = Measurement(SITE.signature, 12, trials, "library|native|library", "native takes 0.50 of the library's time")
    kernels = {SITE.signature: "library|native|library"}
    return Schedule(("mixes",), "channels_last", kernels, goal="launches", measured=(told,), place={"threads": 1})


def test_a_schedule_goes_through_json_and_its_digest_is_of_what_it_computes() -> None:
    schedule = measured()
    again = Schedule.from_json(json.loads(json.dumps(schedule.to_json())))
    assert again == schedule
    assert again.digest == schedule.digest
    assert dataclasses.replace(schedule, measured=(), place={}, goal="fast").digest == schedule.digest
    others = {
        dataclasses.replace(schedule, **change).digest
        for change in ({"passes": ()}, {"layout": "contiguous"}, {"kernels": {}}, {"otherwise": "expected"})
    }
    assert len({*others, schedule.digest}) == 5
    assert [name for name in (*NAMED, "default", "plain") if named(name).plain] == ["plain"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": 9}, "version 9"),
        ({"layout": "rows"}, "`layout` is 'rows', not one of contiguous, channels_last"),
        ({"passes": ["mixer"]}, "no pass is called 'mixer'"),
        ({"kernels": 3}, "no schedule"),
        ({"measured": [{}]}, "no schedule"),
        ({"layout": "contiguous"}, "its digest is another's"),
    ],
)
def test_what_is_no_schedule_is_refused_in_words(change: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Schedule.from_json({**measured().to_json(), **change})
    with pytest.raises(ValueError, match="no schedule is called 'quick'"):
        named("quick")


def test_a_site_without_an_entry_takes_that_of_the_nearest_batch() -> None:
    def at(batch: int) -> OpSite:
        return dataclasses.replace(SITE, batch=batch)

    kernels = {at(8).signature: "eight", at(64).signature: "sixty-four"}
    choose = Chosen(Schedule(kernels=kernels))
    assert [choose(at(n)) for n in (1, 8, 40, 64, 999)] == ["eight", "eight", "sixty-four", "sixty-four", "sixty-four"]
    assert choose(dataclasses.replace(SITE, space=(7, 7))) == "library"
    assert kernels_of(Schedule(kernels={SITE.signature: "library"})) is None


class Flattening(nn.Module):
    """A user's module that counts on the default memory layout."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1).view(x.shape) + self.shift


def test_layout_reaches_every_layer_but_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = pick_space()
    net, plain = supernet_of(toy), supernet_of(toy)
    (x,) = inputs_of(toy)
    monkeypatch.setitem(net._modules["stem_1"]._modules, "conv_0", Flattening())
    node = net.blueprint.names["stem_1.conv_0"][0]
    net._machine = dataclasses.replace(net._machine, modules={**net._machine.modules, "stem_1.conv_0": Flattening()})
    monkeypatch.setattr(optimised, "foreign_ops", lambda blueprint: frozenset({node}))
    net.use(Schedule(layout="channels_last"))
    sampled = {s.id: 2 for s in toy.table.slots}
    for mask in (None, sampled):
        torch.manual_seed(0)
        out = net(x, mask=mask, taps=("stem_0.conv_0", "stem_1.conv_0", "node_0.edge_0.conv_1"))
        for value in out.taps.values():
            assert isinstance(value, Tensor)
            assert value.is_contiguous(memory_format=torch.channels_last)
    net.use(None)
    torch.manual_seed(0)
    contiguous = net(x, mask=sampled).prediction
    torch.testing.assert_close(contiguous, out.prediction, rtol=1e-10, atol=1e-10)
    assert plain.schedule is None
    assert supernet_of(toy).state_dict().keys() == plain.state_dict().keys()


def test_weights_take_the_layout_and_leave_it() -> None:
    net = supernet_of(pick_space())
    dense = [m.weight for m in net.modules() if isinstance(m, torch.nn.Conv2d) and min(m.weight.shape[1:]) > 1]
    before = [w.clone() for w in dense]
    for schedule, layout in ((Schedule(layout="channels_last"), torch.channels_last), (None, torch.contiguous_format)):
        net.use(schedule)
        assert dense
        assert all(w.is_contiguous(memory_format=layout) for w in dense)
    assert all(torch.equal(w, known) for w, known in zip(dense, before, strict=True))


def test_one_channel_says_the_layout_by_its_strides() -> None:
    x = laid_out(torch.randn(2, 1, 4, 6), "channels_last")
    y = torch.nn.functional.conv2d(x, torch.randn(8, 1, 3, 3))
    assert y.is_contiguous(memory_format=torch.channels_last)
