"""A supernet's forward pass is one graph for ``torch.compile``; autocast; what the device must have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch._dynamo.utils import counters

import spacec
from spacec.lower.regions import Compiler
from spacec.lower.schedule import FAST, NAMED, PLAIN, Schedule
from spacec.lower.supernet import Supernet
from spacec.testing.inputs import example_inputs
from tests.grammars.record import GRAMMARS
from tests.lower.helpers import inputs_of, supernet_of
from tests.lower.spaces import TOYS, cell_space


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def _soft(net: Supernet, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    slots = net.blueprint.slots.values()
    return {s.id: torch.rand(s.size, generator=generator, dtype=torch.float64, requires_grad=True) for s in slots}


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's tracer of functions
@pytest.mark.parametrize("schedule", [None, *NAMED])
@pytest.mark.parametrize("name", ["cell", "mlp"])
def test_soft_masks_are_inputs_of_one_graph(name: str, schedule: str | None) -> None:
    toy = TOYS[name]()
    net = supernet_of(toy).train()
    net.use(None if schedule is None else NAMED[schedule])
    inputs = inputs_of(toy)
    start = net.snapshot()
    expected = [net(*inputs, mask=_soft(net, k)).prediction for k in range(3)]
    net.restore(start)
    whole = torch.compile(net, fullgraph=True, backend="aot_eager")
    for k, value in enumerate(expected):
        found = whole(*inputs, mask=_soft(net, k)).prediction
        torch.testing.assert_close(found, value, rtol=1e-9, atol=1e-9)
        found.sum().backward()
    assert counters["stats"]["unique_graphs"] == 1


def test_an_elastic_space_has_no_break() -> None:
    space = spacec.load(GRAMMARS / "autoformer.space", preset="tiny")
    net = space.supernet(0).double().train()
    inputs = {k: v.double() if v.is_floating_point() else v for k, v in example_inputs(space, batch=2).items()}
    net(**inputs, mask=_soft(net, 0))
    torch.compile(net, fullgraph=True, backend="eager")(**inputs, mask=_soft(net, 1))
    assert counters["stats"]["unique_graphs"] == 1


def test_one_pass_before_tells_what_runs() -> None:
    toy = cell_space()
    net = supernet_of(toy)
    with pytest.raises(Exception, match="run the supernet once without"):
        torch.compile(net, fullgraph=True, backend="eager")(*inputs_of(toy))


@pytest.mark.parametrize("schedule", [PLAIN, FAST, Schedule(regions="compiled")])
def test_autocast(schedule: Schedule) -> None:
    toy = cell_space()
    net = supernet_of(toy).float().train()
    (x,) = (t.float() for t in inputs_of(toy))
    start = net.snapshot()
    expected = net(x).prediction
    net.restore(start)
    net.use(schedule, Compiler("aot_eager", measure=False))
    with torch.autocast("cpu", torch.bfloat16):
        found = net(x).prediction
    found.float().square().sum().backward()
    assert found.isfinite().all()
    torch.testing.assert_close(found.float(), expected, rtol=0.1, atol=0.1)
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a GPU")
def test_graphs_of_launches_need_a_gpu() -> None:
    with pytest.raises(ValueError, match="CUDA graphs need a GPU"):
        Compiler(mode="reduce-overhead")
