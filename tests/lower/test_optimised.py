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


@pytest.mark.parametrize("schedule", NAMED)
@pytest.mark.parametrize("name", NAMES)
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
