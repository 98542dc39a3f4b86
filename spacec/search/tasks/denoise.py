"""Denoising of photographs: Gaussian noise of a known deviation, judged by PSNR on photographs never trained on.

The photographs come from scikit-image's wheel (:mod:`spacec.search.tasks.photographs`), split by photograph. The
setting is CLEARER's (Gou et al., NeurIPS 2020; its data were BSD500): random 64 x 64 patches under the symmetries
of the square, mean squared error on the 0..1 scale, PSNR of the clipped output. The released code quantises the
noisy image to bytes; here that is the option ``quantise``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from spacec.search.options import Options, option
from spacec.search.task import Baseline, Batch, Forward, Metric, OutLike, Output, Port, Splits, Task
from spacec.search.tasks.baselines import evaluate_baselines
from spacec.search.tasks.extras import installed
from spacec.search.tasks.patches import ImageSplit, Noise, PatchSplit, centre_crop, dihedral, psnr, undo_dihedral
from spacec.search.tasks.photographs import Side, load, photographs


@dataclass(frozen=True)
class DenoiseOptions(Options):
    """Options of :class:`Denoise`."""

    sigma: float = option(30.0, "deviation of the noise on the 0..255 scale", low=0.1, high=255.0)
    channels: Literal[1, 3] = option(1, "1 for grey, 3 for colour (fewer photographs)")
    quantise: bool = option(False, "clip the noisy image and cut it to whole grey levels, as CLEARER's code does")
    patch: int = option(64, "side of a training patch", low=8, high=128)
    patches: int = option(1600, "training patches per pass (50 batches of 32)", low=1)
    crop: int = option(256, "side of the central test crop; 0: the largest centre of multiples of 64", low=0, high=256)
    noise_seed: int = option(0, "seed of the test images' noise, apart from the seed of the run")
    self_ensemble: bool = option(False, "average the 8 symmetries in the final report")


class Denoise(Task):
    """Noisy photograph in, clean photograph out."""

    name = "denoise"
    help = "Remove Gaussian noise from photographs."
    metrics = (Metric("psnr", "max", "peak signal-to-noise ratio, range 1, output clipped", "dB", 2),)
    Options = DenoiseOptions
    options: DenoiseOptions
    batch_size = 32

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (Port("noisy", (self.options.channels, None, None)),)

    @property
    def outputs(self) -> tuple[Port, ...]:
        return (Port("clean", (self.options.channels, None, None)),)

    def header(self) -> dict[str, int | float | str]:
        return {"channels": self.options.channels}

    @property
    def noise(self) -> Noise:
        return Noise(self.options.sigma, self.options.quantise)

    def images(self, side: Side) -> dict[str, Tensor]:
        """The photographs of one side by name: uint8 ``[C, H, W]``."""
        return {p.name: load(p, self.options.channels) for p in photographs(side, self.options.channels)}

    def fixed_images(self, side: Side) -> ImageSplit:
        """Central crops with fixed noise: what baselines are tuned on (``weights``) and everything is judged on."""
        crop = self.options.crop or None
        cropped = {name: centre_crop(image, _fit(image, crop)) for name, image in self.images(side).items()}
        return ImageSplit(cropped, self.noise, self.options.noise_seed)

    def splits(self, seed: int) -> Splits:
        """Photographs never change sides; ``seed`` moves only the fixed patches of ``weights`` and ``arch``."""
        o = self.options
        weights, arch = tuple(self.images("weights").values()), tuple(self.images("arch").values())
        return Splits(
            weights=PatchSplit(weights, o.patches, o.patch, self.noise, seed),
            arch=PatchSplit(arch, max(1, o.patches // 8), o.patch, self.noise, seed),
            test=self.fixed_images("test"),
        )

    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, Tensor]:
        return {"mse": torch.nn.functional.mse_loss(out.prediction, batch.target)}

    def measure(self, out: OutLike, batch: Batch) -> dict[str, Tensor]:
        return {"psnr": psnr(out.prediction, batch.target)}

    def predict(self, forward: Forward, batch: Batch, final: bool) -> OutLike:
        if not (final and self.options.self_ensemble):
            return forward(batch.inputs)
        (name, noisy), *_ = batch.inputs.items()
        total = torch.zeros_like(batch.target)
        for mode in range(8):
            total += undo_dihedral(forward({name: dihedral(noisy, mode)}).prediction, mode).to(total)
        return Output(total / 8, {"clean": total / 8})

    def baselines(self) -> Sequence[Baseline]:
        """The noisy input and the best blur; non-local means too where scikit-image is installed."""
        train, test = self.fixed_images("weights"), self.fixed_images("test")
        return evaluate_baselines(train, test, self.options.sigma / 255, nlm=installed("skimage"))

    def pictures(self, forward: Forward, splits: Splits) -> dict[str, Tensor]:
        """``NAME.noisy``, ``NAME.denoised`` and ``NAME.clean`` of every test image, clipped to 0..1."""
        found: dict[str, Tensor] = {}
        for name, batch in _one_by_one(splits.test):
            found[f"{name}.noisy"] = batch.inputs["noisy"][0].clamp(0, 1)
            found[f"{name}.denoised"] = self._answer(forward, batch)[0].clamp(0, 1)
            found[f"{name}.clean"] = batch.target[0]
        return found

    def per_sample(self, forward: Forward, splits: Splits) -> dict[str, float]:
        """PSNR in dB of every test image."""
        pairs = _one_by_one(splits.test)
        return {name: float(psnr(self._answer(forward, batch), batch.target)) for name, batch in pairs}

    def _answer(self, forward: Forward, batch: Batch) -> Tensor:
        with torch.no_grad():
            return self.predict(forward, batch, final=True).prediction.detach().cpu()


def _fit(image: Tensor, crop: int | None) -> int | None:
    """``crop``, or the largest multiple of 8 that a smaller image has."""
    return None if crop is None else min(crop, min(image.shape[-2:]) // 8 * 8)


def _one_by_one(split: object) -> list[tuple[str, Batch]]:
    if not isinstance(split, ImageSplit):
        raise TypeError(f"expected the images of a denoising task, found {type(split).__name__}")
    rng = torch.Generator()
    return [(name, split.fetch([i], rng, train=False)) for i, name in enumerate(split.names)]
