"""A folder of the user's images as a task.

Sub-folders with images are classes; images in the folder itself are photographs to denoise. Files are taken in the
order of their names, so the division depends on the seed and the names alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.options import Options as OptionsBase
from spacec.search.options import option
from spacec.search.seeds import generator
from spacec.search.task import Task
from spacec.search.tasks.classify import ClassifyOptions, ImageClassification, Pool
from spacec.search.tasks.denoise import Denoise
from spacec.search.tasks.extras import require
from spacec.search.tasks.photographs import Side

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class FolderClassesOptions(ClassifyOptions):
    """Options of :class:`FolderClasses`."""

    channels: int = option(3, "1 for grey, 3 for colour", low=1, high=3)
    size: int = option(32, "side that images are cropped and scaled to, where the space states none", low=4, high=512)


class FolderClasses(ImageClassification):
    """One sub-folder per class, in alphabetical order; held in memory."""

    name = "folder"
    help = "Classify the images of a folder, one sub-folder per class."
    Options = FolderClassesOptions
    options: FolderClassesOptions

    def __init__(self, folder: Path, options: OptionsBase | Mapping[str, object] | None = None) -> None:
        """Raises :class:`SpacecError` (E0722) where fewer than two classes have images."""
        super().__init__(options)
        self.folder = folder
        self.labels = tuple(p.name for p in sorted(folder.iterdir()) if p.is_dir() and image_files(p))
        if len(self.labels) < 2:
            text = f"'{folder}' has {len(self.labels)} sub-folder with images; each class needs one"
            raise SpacecError(Diagnostic("E0722", text))

    @property
    def classes(self) -> int:
        return len(self.labels)

    @property
    def native(self) -> tuple[int, int, int]:
        return self.options.channels, self.options.size, self.options.size

    def renew(self) -> FolderClasses:
        return type(self)(self.folder, self.options)

    def pool(self) -> Pool:
        _, height, width = self.wanted or self.native
        files = [(p, k) for k, label in enumerate(self.labels) for p in image_files(self.folder / label)]
        images = [read_image(p, self.options.channels, (width, height)).float() / 255 for p, _ in files]
        return Pool(torch.stack(images), torch.tensor([k for _, k in files]))

    def replace_options(self, **changes: object) -> Task:
        return type(self)(self.folder, {**self.options.describe(), **changes})


class FolderDenoise(Denoise):
    """The images of a folder in place of scikit-image's: a half for weights, a quarter each for arch and test."""

    name = "folder-denoise"
    help = "Remove Gaussian noise from the images of a folder."

    def __init__(self, folder: Path, options: OptionsBase | Mapping[str, object] | None = None) -> None:
        """Raises :class:`SpacecError` (E0722) where there are fewer than four images."""
        super().__init__(options)
        self.folder = folder
        if len(self._sides) < 4:
            text = f"'{folder}' has {len(self._sides)} images; at least 4 are needed to hold some out"
            raise SpacecError(Diagnostic("E0722", text))

    @cached_property
    def _sides(self) -> dict[Path, Side]:
        files = image_files(self.folder)
        order = torch.randperm(len(files), generator=generator("folder")).tolist()
        quarter = len(files) // 4
        ends: tuple[tuple[int, Side], ...] = ((quarter, "test"), (2 * quarter, "arch"), (len(files), "weights"))
        sides = {files[k]: next(side for end, side in ends if i < end) for i, k in enumerate(order)}
        return dict(sorted(sides.items()))

    def images(self, side: Side) -> dict[str, Tensor]:
        """Raises :class:`SpacecError` (E0722) for an image smaller than a patch."""
        found = {p.name: read_image(p, self.options.channels) for p, s in self._sides.items() if s == side}
        for name, image in found.items():
            if min(image.shape[-2:]) < self.options.patch:
                height, width = image.shape[-2:]
                text = f"'{name}' is {width} x {height} pixels, smaller than a patch of {self.options.patch}"
                raise SpacecError(Diagnostic("E0722", text))
        return found

    def replace_options(self, **changes: object) -> Task:
        return type(self)(self.folder, {**self.options.describe(), **changes})


def folder_task(folder: Path, options: Mapping[str, object] | None = None) -> Task:
    """The task that the shape of ``folder`` asks for. Raises :class:`SpacecError` (E0722) where it has no images."""
    if any(p.is_dir() and image_files(p) for p in sorted(folder.iterdir())):
        return FolderClasses(folder, options)
    if not image_files(folder):
        note = f"images end in {', '.join(SUFFIXES)}"
        raise SpacecError(Diagnostic("E0722", f"'{folder}' has no images, nor sub-folders with images", notes=(note,)))
    return FolderDenoise(folder, options)


def image_files(folder: Path) -> list[Path]:
    """Images directly in ``folder``, by name; hidden files are none."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file() and p.name[0] != ".")
    return sorted(found)


def read_image(path: Path, channels: int, size: tuple[int, int] | None = None) -> Tensor:
    """uint8 ``[channels, H, W]``; with ``size`` (width, height) its centre, cut to that shape and scaled.

    Raises :class:`SpacecError`: E0720 without Pillow, E0723 for a file that is no image it can read.
    """
    image = require("PIL.Image", "Pillow", "a folder of images")
    ops = require("PIL.ImageOps", "Pillow", "a folder of images")
    try:
        with image.open(path) as opened:
            picture = ops.exif_transpose(opened).convert("L" if channels == 1 else "RGB")
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        text = f"'{path}' cannot be read as an image"
        raise SpacecError(Diagnostic("E0723", text, notes=(str(error),))) from error
    pixels = np.array(ops.fit(picture, size) if size else picture)
    return torch.from_numpy(pixels if channels == 3 else pixels[..., None]).permute(2, 0, 1).contiguous()
