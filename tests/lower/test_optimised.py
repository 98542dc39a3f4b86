"""Optimised forms of a supernet equal the plain one: shipped spaces, every kind of mask, training and evaluation."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache

import pytest
import torch

import spacec
from spacec.lower.schedule import NAMED
from spacec.lower.supernet import Supernet
from spacec.testing.forms import MASK_FORMS, check_forms, mask_form
from spacec.testing.inputs import example_inputs
from tests.grammars.record import GRAMMARS, NAMES
from tests.lower.helpers import disturb, inputs_of, supernet_of
from tests.lower.spaces import TOYS

SIZED = {"nas_bench_101"}
"""Spaces whose candidates cannot be mixed."""

GENERATED = ("darts", "mnasnet", "robust_darts")
"""Spaces of depthwise convolutions that also run by generated kernels: building them takes longer than all the rest."""

CASES = [*((name, how) for name in NAMES for how in ("eager", "launches")), *((name, "fast") for name in GENERATED)]


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@cache
def plain_of(name: str) -> tuple[spacec.Space, Supernet]:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    net = space.supernet(0).double()
    disturb(net, 1)
    return space, net


@pytest.mark.parametrize(("name", "schedule"), CASES)
def test_shipped_spaces(name: str, schedule: str) -> None:
    space, plain = plain_of(name)
    other = space.supernet(0, optimise=schedule).double()
    inputs = example_inputs(space)
    forms = ("index",) if name in SIZED else ("soft", "per instance", "most")
    for k, form in enumerate(forms):
        check_forms(plain, other, inputs, mask_form(form, plain, k), training=k != 1, gates=k == 1)


@pytest.mark.parametrize("schedule", NAMED)
@pytest.mark.parametrize("name", TOYS)
def test_every_mask_form(name: str, schedule: str) -> None:
    toy = TOYS[name]()
    plain = supernet_of(toy)
    other = copy.deepcopy(plain)
    other.use(NAMED[schedule])
    inputs = dict(zip(toy.flat.inputs, inputs_of(toy), strict=True))
    taps = tuple(plain.blueprint.names)[::3]
    for k, form in enumerate(MASK_FORMS):
        mask = mask_form(form, plain, k)
        check_forms(plain, other, inputs, mask, training=k % 2 == 0, gates=k % 3 == 0)
        check_forms(plain, other, inputs, mask, training=k % 2 == 1, taps=taps)


@pytest.mark.parametrize("schedule", NAMED)
def test_gradients_of_gradients(schedule: str) -> None:
    """Second-order updates: weights replaced for the pass, and a gradient that is differentiated again."""
    space, plain = plain_of("darts")
    other = space.supernet(0, optimise=schedule).double()
    other.load_state_dict(plain.state_dict())
    inputs = example_inputs(space)
    found = []
    for net in (plain, other):
        form = mask_form("soft", net, 3)
        weights = {name: (0.9 * p.detach()).requires_grad_() for name, p in net.named_parameters()}
        out = net(**inputs, mask=form.mask, weights=weights)
        first = torch.autograd.grad(out.prediction.square().sum(), form.leaves, create_graph=True)
        total = torch.stack([g.square().sum() for g in first]).sum()
        tensors = [*weights.values(), *form.leaves]
        found.append(torch.autograd.grad(total, tensors, allow_unused=True))
    for mine, theirs in zip(*found, strict=True):
        mine, theirs = (torch.zeros(()) if g is None else g for g in (mine, theirs))
        scale = max(1.0, float(mine.abs().max()))
        torch.testing.assert_close(theirs, mine.expand_as(theirs), rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("schedule", NAMED)
@pytest.mark.parametrize("name", ["darts", "nas_bench_201", "clearer", "cream"])
def test_rounding_is_that_of_the_plain_form(name: str, schedule: str) -> None:
    """In float32 no further from the float64 result than twice the plain form, over all outputs and gradients."""
    space, exact = plain_of(name)
    nets = exact, space.supernet(0).float(), space.supernet(0, optimise=schedule).float()
    inputs = example_inputs(space)
    results = []
    for net in nets:
        net.load_state_dict(exact.state_dict())
        dtype = next(net.parameters()).dtype
        form = mask_form("soft", net, 5, dtype)
        out = net(**{k: v.to(dtype) for k, v in inputs.items()}, mask=form.mask)
        net.zero_grad()
        out.prediction.square().sum().backward()
        kinds = out.prediction.detach(), torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
        results.append([k.double() for k in (*kinds, torch.cat([leaf.grad for leaf in form.leaves]))])
    for truth, plain, optimised in zip(*results, strict=True):
        near, far = ((found - truth).norm() / truth.norm() for found in (plain, optimised))
        assert far <= 2 * near + 1e-7


@pytest.mark.parametrize("schedule", ["eager", "launches"])
def test_partial_channels(schedule: str) -> None:
    space = spacec.load(GRAMMARS / "darts.space", preset="tiny")
    plain, other = (space.supernet(0, partial=2, optimise=how).double() for how in (None, schedule))
    disturb(plain, 2)
    for k, form in enumerate(("soft", "per instance", "two paths")):
        mask = mask_form(form, plain, k)
        check_forms(plain, other, example_inputs(space), mask, training=k != 1, gates=k == 1)


def test_copies_are_independent() -> None:
    space, _ = plain_of("nas_bench_201")
    net = space.supernet(0, optimise="fast").double()
    inputs, mask = example_inputs(space), mask_form("soft", net, 0).mask
    net.eval()
    before = net(**inputs, mask=mask).prediction.detach()
    twin = net.clone()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(net(**inputs, mask=mask).prediction, before)
    assert not torch.equal(twin(**inputs, mask=mask).prediction, before)


@pytest.mark.parametrize("schedule", NAMED)
def test_what_a_tap_does_not_need_gets_no_gradient(schedule: str) -> None:
    space, plain = plain_of("nas_bench_201")
    other = space.supernet(0, optimise=schedule).double()
    tap = next(n.instance for n in plain.blueprint.chooses.values())
    reached = []
    for net in (plain, other):
        net.zero_grad(set_to_none=True)
        mask = mask_form("soft", net, 0).mask
        net(**example_inputs(space), mask=mask, taps=(tap,)).taps[tap].square().sum().backward()
        reached.append([name for name, p in net.named_parameters() if p.grad is not None])
    assert reached[0] == reached[1]
    assert 0 < len(reached[0]) < len(list(plain.parameters()))
