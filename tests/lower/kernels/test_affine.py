"""Affine sums of images by generated code, against the same in plain operations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spacec.lower.kernels.native import affine

LAST = torch.channels_last


def images(count: int, channels: int, wide: int) -> list[Tensor]:
    """Channels of wider images, the first ones and the last ones by turns."""
    made = torch.Generator().manual_seed(count)
    found = []
    for k in range(count):
        z = torch.randn(3, wide, 9, 7, dtype=torch.float64, generator=made).contiguous(memory_format=LAST)
        found.append(z.narrow(1, 0 if k % 2 else wide - channels, channels))
    return found


@pytest.mark.parametrize(("count", "channels", "wide"), [(1, 2, 2), (1, 11, 11), (2, 8, 13), (5, 19, 24)])
def test_sums_and_gradients(count: int, channels: int, wide: int) -> None:
    zs, numbers = images(count, channels, wide), torch.randn(3, count, channels, dtype=torch.float64)
    g = torch.randn(3, channels, 9, 7, dtype=torch.float64).contiguous(memory_format=LAST)
    a, b, c = numbers
    if not affine.ready([g, *zs], channels):
        pytest.skip("no C compiler")
    slopes, slants, constants = (rows[:, None, :, None, None] for rows in (a, b, c))
    stack = torch.stack(zs)
    out = affine.affine_sum(zs, a, c[0])
    assert out.is_contiguous(memory_format=LAST)
    torch.testing.assert_close(out, (slopes * stack).sum(0) + constants[0])
    wanted = (g * (stack - slants)).sum((1, 3, 4))
    torch.testing.assert_close(affine.products(zs, b, g), torch.cat([wanted, g.sum((0, 2, 3))[None]]))
    first, *rest = affine.gradients([None, *zs[1:]], g, a, b, c, [True] * (count - 1) + [count == 1])
    whole = slopes * g + slants * stack + constants
    torch.testing.assert_close(first, (slopes * g)[0])
    assert count == 1 or rest[-1] is None
    for found, expected in zip(rest[:-1], whole[1:], strict=False):
        torch.testing.assert_close(found, expected)


def test_other_tensors_are_refused() -> None:
    x = torch.randn(2, 4, 5, 5)
    assert not affine.ready([x], 4), "the default layout"
    last = x.contiguous(memory_format=LAST)
    assert not affine.ready([last, last.double()], 4), "two dtypes"
    assert not affine.ready([last.bfloat16()], 4), "half precision"
    assert not affine.ready([last[:, :, ::2]], 4), "rows left out"
