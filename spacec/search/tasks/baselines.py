"""What a denoiser has to beat: the noisy input itself, the best fixed Gaussian blur, and non-local means.

All are judged on the same held-out noisy images as the network. The blur's width is chosen on the training
photographs. Non-local means (Buades, Coll & Morel, CVPR 2005) is scikit-image's, told the true noise deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from spacec.search.task import Baseline
from spacec.search.tasks.extras import require
from spacec.search.tasks.patches import ImageSplit, psnr

Denoiser = Callable[[Tensor], Tensor]
"""A noisy image ``[C, H, W]`` to a clean one."""

BLUR_WIDTHS: tuple[float, ...] = tuple(round(0.3 + 0.1 * i, 1) for i in range(33))
"""Candidate deviations of the blur in pixels: 0.3 to 3.5."""

NLM_STRENGTHS: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8)
"""Candidate filter strengths h of non-local means, in units of the noise deviation."""


def evaluate_baselines(train: ImageSplit, test: ImageSplit, sigma: float, nlm: bool = True) -> list[Baseline]:
    """Noisy input, best fixed Gaussian blur and (``nlm``) non-local means: chosen on ``train``, judged on ``test``.

    ``sigma`` is the noise deviation on the 0..1 scale. Raises :class:`spacec.diagnostics.model.SpacecError` (E0720)
    where non-local means is asked for and scikit-image is not installed.
    """
    width = best_of(BLUR_WIDTHS, lambda s: lambda x: gaussian_blur(x, s), train)
    results = [
        _judge("noisy", "noisy input", lambda x: x, test),
        _judge("blur", "best fixed Gaussian blur", lambda x: gaussian_blur(x, width), test, width=width),
    ]
    if nlm:
        strength = best_of(NLM_STRENGTHS, lambda h: lambda x: nonlocal_means(x, sigma, h * sigma), train)

        def denoise(noisy: Tensor) -> Tensor:
            return nonlocal_means(noisy, sigma, strength * sigma)

        results.append(_judge("nlm", "non-local means", denoise, test, strength=strength))
    return results


def best_of(values: Sequence[float], denoiser: Callable[[float], Denoiser], images: ImageSplit) -> float:
    """The value whose denoiser has the highest mean PSNR on ``images``; the first of equal ones."""
    return max(values, key=lambda v: _mean(_per_image(denoiser(v), images)))


def gaussian_blur(image: Tensor, width: float) -> Tensor:
    """``[C, H, W]`` convolved with a Gaussian of deviation ``width`` pixels, cut at 4 deviations, mirrored borders."""
    radius = int(4 * width + 0.5)
    x = torch.arange(-radius, radius + 1, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (x / width) ** 2)
    kernel = kernel / kernel.sum()
    padded = torch.nn.functional.pad(image[:, None], (radius,) * 4, mode="reflect")
    rows = torch.nn.functional.conv2d(padded, kernel.view(1, 1, -1, 1))
    return torch.nn.functional.conv2d(rows, kernel.view(1, 1, 1, -1))[:, 0]


def nonlocal_means(image: Tensor, sigma: float, h: float) -> Tensor:
    """scikit-image's fast form on ``[C, H, W]``: 5 x 5 patches, search distance 6; ``sigma`` and ``h`` on 0..1."""
    restoration = require("skimage.restoration", "scikit-image", "the baseline 'non-local means'")
    grey = image.shape[0] == 1  # scikit-image 0.26 returns wrong values for a channel axis of length one
    pixels = image[0].numpy() if grey else image.permute(1, 2, 0).numpy()
    found = restoration.denoise_nl_means(
        pixels, patch_size=5, patch_distance=6, h=h, sigma=sigma, fast_mode=True, channel_axis=None if grey else -1
    )
    cleaned = torch.from_numpy(found).to(image.dtype)
    return cleaned[None] if grey else cleaned.permute(2, 0, 1)


def _judge(name: str, title: str, denoiser: Denoiser, images: ImageSplit, **parameters: float) -> Baseline:
    found = _per_image(denoiser, images)
    return Baseline(name, title, _mean(found), found, parameters)


def _per_image(denoiser: Denoiser, images: ImageSplit) -> dict[str, float]:
    return {name: float(psnr(denoiser(images.noisy[name])[None], images.clean[name][None])) for name in images.names}


def _mean(per_image: dict[str, float]) -> float:
    return sum(per_image.values()) / len(per_image)
