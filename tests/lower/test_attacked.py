"""Optimised forms under what went wrong once: each test is a fault that was found by random spaces or surroundings."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch

import spacec
from spacec.lower.schedule import FAST
from spacec.testing.forms import check_forms, mask_form
from tests.lower.helpers import disturb

HEAD = "space attacked()\ninput x: [2, 7, 5]\noutput y: [3]\n"
TAIL = " >> global_pool >> linear(3)\n"


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("batch", [1, 2])
def test_gradients_of_instance_norms_and_draws_in_another_layout(batch: int) -> None:
    """The library's gradient of an instance norm of one sample is wrong for gradients in channels_last, and dropout
    draws in the order of memory."""
    text = "net = conv(3, 4) >> (conv(3) >> instance_norm(affine = 1) | dropout(0.5) | conv(1)) * 2 >> bn"
    space = spacec.loads(HEAD + text + TAIL)
    plain = space.supernet(0).double()
    disturb(plain, 0)
    other = copy.deepcopy(plain)
    other.use(FAST)
    inputs = {"x": torch.randn(batch, 2, 7, 5)}
    for training in (True, False):
        check_forms(plain, other, inputs, mask_form("soft", plain, 1), training=training, gates=training)


def test_no_samples() -> None:
    """The last batch of a loader may be empty."""
    space = spacec.loads(HEAD + "net = conv(3, 4) >> (sep_conv(3) | relu_conv_bn(1) | dil_conv(5))" + TAIL)
    net = space.supernet(0, optimise="launches").eval()
    assert net(torch.zeros(0, 2, 7, 5)).prediction.shape == (0, 3)
