"""Metrics that an exported network can check itself by. Exported files carry copies, so this imports torch only."""

from __future__ import annotations

import torch
from torch import Tensor


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each image ``[N, C, *space]`` in 0..1, the prediction clipped: ``[N]``."""
    error = (prediction.clamp(0.0, 1.0) - target).square().flatten(1).mean(1)
    return -10.0 * torch.log10(error.clamp_min(1e-12))


def accuracy(prediction: Tensor, target: Tensor) -> Tensor:
    """1 where the largest of the logits ``[N, classes]`` is the class ``[N]``, else 0: ``[N]``."""
    return (prediction.argmax(1) == target).to(torch.get_default_dtype())


METRICS = {"psnr": psnr, "accuracy": accuracy}
