"""Images brought to the channels and size that a space states."""

from __future__ import annotations

import torch
from torch import Tensor


def fit_images(x: Tensor, wanted: tuple[int, int, int]) -> Tensor:
    """``[N, C, H, W]`` to ``[N, *wanted]``.

    Channels: repeated from one, averaged to one, else they must agree (``ValueError``). Sides: enlarged by the
    largest whole factor that fits and padded evenly with the border's value; shrunk by averaging areas.
    """
    channels, height, width = wanted
    x = _fit_channels(x, channels)
    h, w = x.shape[-2:]
    if height < h or width < w:
        x = torch.nn.functional.interpolate(x, (min(h, height), min(w, width)), mode="area")
        h, w = x.shape[-2:]
    factor = min(height // h, width // w)
    if factor > 1:
        x = torch.nn.functional.interpolate(x, scale_factor=factor, mode="nearest")
    down, right = height - x.shape[-2], width - x.shape[-1]
    sides = (right // 2, right - right // 2, down // 2, down - down // 2)
    return torch.nn.functional.pad(x, sides, mode="replicate")


def _fit_channels(x: Tensor, channels: int) -> Tensor:
    have = x.shape[1]
    if have == channels:
        return x
    if have == 1:
        return x.expand(-1, channels, -1, -1)
    if channels == 1:
        return x.mean(1, keepdim=True)
    raise ValueError(f"images have {have} channels, the space asks for {channels}")
