"""Crops, flips and noise: clean images to noisy and clean patches, from an explicit source of randomness.

Everything runs on the CPU with torch's CPU generator, so that a batch is the same whatever device trains on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spacec.search.seeds import generator, stable_seed
from spacec.search.task import Batch, Split


@dataclass(frozen=True)
class Noise:
    """Additive white Gaussian noise of deviation ``sigma`` (on the 0..255 scale).

    ``quantise``: clip to 0..255 and cut to whole grey levels, as CLEARER's released data code does; its PSNR
    differs from that of plain additive noise.
    """

    sigma: float
    quantise: bool = False

    def add(self, clean: Tensor, rng: torch.Generator) -> Tensor:
        """``clean`` (0..1) with noise drawn from ``rng``, on the 0..1 scale, not clipped unless quantised."""
        noisy = clean + torch.randn(clean.shape, generator=rng) * (self.sigma / 255)
        return (noisy * 255).clamp(0, 255).floor() / 255 if self.quantise else noisy


def dihedral(image: Tensor, mode: int) -> Tensor:
    """One of the 8 symmetries of the square, on the last two axes: ``mode % 4`` quarter turns, mirrored from 4 on."""
    turned = torch.rot90(image, mode % 4, (-2, -1))
    return turned.flip(-1) if mode >= 4 else turned


def undo_dihedral(image: Tensor, mode: int) -> Tensor:
    """The inverse of :func:`dihedral`."""
    return torch.rot90(image.flip(-1) if mode >= 4 else image, -(mode % 4), (-2, -1))


def centre_crop(image: Tensor, size: int | None, multiple: int = 64) -> Tensor:
    """The central ``size`` x ``size`` pixels, or with ``None`` the largest centre whose sides are multiples."""
    height, width = image.shape[-2:]
    h, w = (size, size) if size else (height // multiple * multiple, width // multiple * multiple)
    top, left = (height - h) // 2, (width - w) // 2
    return image[..., top : top + h, left : left + w]


def psnr(prediction: Tensor, clean: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of every sample ``[B]``: range 1, the prediction clipped to it.

    A perfect prediction gives infinity.
    """
    error = (prediction.clamp(0, 1) - clean).double().square().flatten(1).mean(1)
    return -10 * torch.log10(error)


class PatchSplit(Split):
    """Random square patches of a set of images, ``length`` of them per pass, each image equally often.

    Sample ``i`` is cut from image ``i mod n``. In training its place, symmetry and noise come from the generator;
    otherwise they come from ``i`` and ``seed``, without a symmetry.
    """

    def __init__(self, images: Sequence[Tensor], length: int, patch: int, noise: Noise, seed: int) -> None:
        """``images``: uint8 ``[C, H, W]``, no side shorter than ``patch``."""
        self.images = tuple(images)
        self.length = length
        self.patch = patch
        self.noise = noise
        self.seed = seed

    def __len__(self) -> int:
        return self.length

    def fetch(self, indices: Sequence[int], rng: torch.Generator, train: bool) -> Batch:
        """``noisy`` and ``clean``: ``[B, C, patch, patch]`` on the 0..1 scale."""
        if not train:
            pairs = [self._fixed(i) for i in indices]
            return _batch([n for n, _ in pairs], [c for _, c in pairs])
        modes = torch.randint(8, (len(indices),), generator=rng).tolist()
        clean = torch.stack([dihedral(self._crop(i, rng), m) for i, m in zip(indices, modes, strict=True)])
        return Batch({"noisy": self.noise.add(clean, rng)}, {"clean": clean})

    def _fixed(self, index: int) -> tuple[Tensor, Tensor]:
        rng = generator("patch", self.seed, index)
        clean = self._crop(index, rng)
        return self.noise.add(clean, rng), clean

    def _crop(self, index: int, rng: torch.Generator) -> Tensor:
        image = self.images[index % len(self.images)]
        height, width = image.shape[-2:]
        top = int(torch.randint(height - self.patch + 1, (), generator=rng))
        left = int(torch.randint(width - self.patch + 1, (), generator=rng))
        return image[:, top : top + self.patch, left : left + self.patch].float() / 255


class ImageSplit(Split):
    """Whole images, each with its own fixed noise (from its name and ``seed``, in training too)."""

    def __init__(self, images: dict[str, Tensor], noise: Noise, seed: int) -> None:
        """``images``: name to uint8 ``[C, H, W]``."""
        self.names = tuple(images)
        self.clean = {name: image.float() / 255 for name, image in images.items()}
        self.noisy = {
            name: noise.add(image, torch.Generator().manual_seed(stable_seed("image", seed, name)))
            for name, image in self.clean.items()
        }
        same = len({image.shape for image in images.values()}) == 1
        self.eval_batch_size = None if same else 1

    def __len__(self) -> int:
        return len(self.names)

    def fetch(self, indices: Sequence[int], rng: torch.Generator, train: bool) -> Batch:
        """``noisy`` and ``clean``: ``[B, C, H, W]``; ``rng`` and ``train`` make no difference."""
        names = [self.names[i] for i in indices]
        return _batch([self.noisy[n] for n in names], [self.clean[n] for n in names])


def _batch(noisy: list[Tensor], clean: list[Tensor]) -> Batch:
    return Batch({"noisy": torch.stack(noisy)}, {"clean": torch.stack(clean)})
