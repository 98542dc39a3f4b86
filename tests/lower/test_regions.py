"""Compiled regions: what is shared, what never recompiles, what stays eager, and that nothing changes."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import torch
from torch._dynamo.utils import counters

import spacec
from spacec.lower.masks import Paths
from spacec.lower.regions import WORTH, Compiler
from spacec.lower.schedule import FAST, Schedule
from spacec.lower.supernet import Supernet
from spacec.testing.forms import check_forms, mask_form
from spacec.testing.inputs import example_inputs
from tests.grammars.record import GRAMMARS
from tests.lower.helpers import disturb, inputs_of, supernet_of
from tests.lower.spaces import TOYS, cell_space

COMPILED = Schedule(regions="compiled")
RELAXED = 1e-9
"""Of compiled sums, which are taken in another order."""


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def compiled(net: Supernet, schedule: Schedule = COMPILED) -> tuple[Supernet, Compiler]:
    """A copy of a supernet whose regions torch traces and differentiates, but does not generate code for."""
    other, compiler = net.clone(), Compiler("aot_eager", measure=False)
    other.use(schedule, compiler)
    return other, compiler


def graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def test_equal_cells_share_what_was_compiled_once() -> None:
    found = []
    for cells in (1, 3):
        torch._dynamo.reset()
        counters.clear()
        toy = cell_space(cells=cells)
        net, compiler = compiled(supernet_of(toy).train())
        net(*inputs_of(toy)).prediction.sum().backward()
        assert graphs() == len(compiler.functions) > 0
        assert not compiler.refused
        found.append(len(compiler.functions))
    assert found[0] == found[1]


@pytest.mark.parametrize("schedule", [COMPILED, Schedule(FAST.passes, FAST.layout, regions="compiled")])
def test_values_of_a_mask_never_compile(schedule: Schedule) -> None:
    toy = cell_space()
    net, compiler = compiled(supernet_of(toy).train(), schedule)
    inputs = inputs_of(toy)
    sizes = {slot.id: slot.size for slot in net.blueprint.slots.values()}
    for k in range(5):
        mask = {name: torch.rand(size, requires_grad=True) for name, size in sizes.items()}
        net(*inputs, mask=mask).prediction.sum().backward()
        if k == 0:
            warm = graphs()
    assert graphs() == warm == len(compiler.functions)


def test_switching_paths_compiles_nothing_after_a_warm_up() -> None:
    toy = cell_space()
    net, _ = compiled(supernet_of(toy).train())
    inputs, source = inputs_of(toy), random.Random(0)
    slots = list(net.blueprint.slots.values())
    with torch.no_grad():
        for k in range(max(slot.size for slot in slots)):
            net(*inputs, mask={s.id: k if k else 1 for s in slots})
            two = Paths((1, max(2, k)), torch.ones(2))
            net(*inputs, mask=dict.fromkeys((s.id for s in slots), two))
        warm = graphs()
        for _ in range(1000):
            mask = {s.id: source.randrange(1, s.size) for s in slots}
            net(*inputs, mask=mask)
    assert graphs() == warm


def test_another_batch_compiles_each_region_once_more() -> None:
    toy = cell_space()
    net, compiler = compiled(supernet_of(toy).train())
    (x,) = inputs_of(toy)
    net(x)
    once = len(compiler.functions)
    for batch in (x[:1], x, x[:1]):
        net(batch)
    assert graphs() == len(compiler.functions) == 2 * once


@pytest.mark.parametrize("name", TOYS)
def test_every_toy(name: str) -> None:
    toy = TOYS[name]()
    plain = supernet_of(toy)
    other, compiler = compiled(plain)
    inputs = dict(zip(toy.flat.inputs, inputs_of(toy), strict=True))
    for k, form in enumerate(("soft", "index")):
        mask = mask_form(form, plain, k)
        check_forms(plain, other, inputs, mask, training=True, gates=k == 0, tolerance=RELAXED)
        check_forms(plain, other, inputs, mask, training=False, taps=tuple(plain.blueprint.names)[::3])
    assert not compiler.refused


@pytest.mark.parametrize(("name", "base"), [("nas_bench_201", FAST), ("autoformer", Schedule())])
def test_shipped_spaces(name: str, base: Schedule) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    plain = space.supernet(0).double()
    disturb(plain, 1)
    other, _ = compiled(plain, Schedule(base.passes, base.layout, regions="compiled"))
    mask = mask_form("soft", plain, 0)
    check_forms(plain, other, example_inputs(space), mask, training=True, tolerance=RELAXED)


def test_what_is_differentiated_twice_is_paused() -> None:
    toy = cell_space()
    net, compiler = compiled(supernet_of(toy).train())
    weights = dict(net.named_parameters())
    with compiler.paused():
        loss = net(*inputs_of(toy)).prediction.square().sum()
    grads = torch.autograd.grad(loss, list(weights.values()), create_graph=True, allow_unused=True)
    sum(g.square().sum() for g in grads if g is not None).backward()
    assert not compiler.functions


def test_unrolled_weights_run_eagerly() -> None:
    toy = cell_space()
    net, compiler = compiled(supernet_of(toy).train())
    step = {name: p - 0.1 * p.detach() for name, p in net.named_parameters()}
    net(*inputs_of(toy), weights=step).prediction.sum().backward()
    assert all("w0 * x0" in text for text, _ in compiler.functions), "only sums, which have no weights"
    net(*inputs_of(toy), weights={name: p.detach() for name, p in net.named_parameters()})
    assert any("conv2d" in text for text, _ in compiler.functions)


def test_listened_layers_and_cumulative_norms_run_eagerly() -> None:
    toy = cell_space()
    plain = supernet_of(toy).train()
    net, _ = compiled(plain)
    heard: list[int] = []
    for other in (plain, net):
        for module in other.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(lambda *_: heard.append(1))
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
    expected = plain(*inputs_of(toy)).prediction
    count = len(heard)
    torch.testing.assert_close(net(*inputs_of(toy)).prediction, expected)
    assert len(heard) == 2 * count
    assert torch.equal(net.state_dict()["stem_0.bn_0.running_mean"], plain.state_dict()["stem_0.bn_0.running_mean"])


def test_what_cannot_be_compiled_is_told_and_runs() -> None:
    toy = cell_space()
    plain = supernet_of(toy)

    def broken(*_: object) -> None:
        raise RuntimeError("no code for this")

    net, compiler = plain.clone(), Compiler(broken)
    net.use(COMPILED, compiler)
    assert torch.equal(net(*inputs_of(toy)).prediction, plain(*inputs_of(toy)).prediction)
    assert compiler.refused
    assert not any(compiler.functions.values())
    assert "refused" in compiler.told()


def test_what_is_no_faster_stays_eager() -> None:
    toy = cell_space()
    plain = supernet_of(toy).train()
    net, compiler = plain.clone(), Compiler("aot_eager")
    net.use(COMPILED, compiler)
    expected, found = plain(*inputs_of(toy)).prediction, net(*inputs_of(toy)).prediction
    torch.testing.assert_close(found, expected, rtol=RELAXED, atol=RELAXED)
    assert compiler.gains.keys() == compiler.seconds.keys()
    for key, gain in compiler.gains.items():
        assert (compiler.functions[key] is None) == (gain <= WORTH)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], tensor)
