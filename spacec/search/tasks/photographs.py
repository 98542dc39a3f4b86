"""The photographs inside scikit-image's wheel, and which side of the split each is on.

Only files that the wheel itself carries are listed, so nothing is fetched at run time. Left out, though they are
in the wheel: drawings, masks and phantoms (``horse``, ``phantom``, ``color``, ``logo``, the chessboards), a motion
blur (``clock_motion``), a phase map of one cell (``cell``), pictures under 128 pixels (``microaneurysms``,
``no_time_for_that_tiny``) and a set of 25-pixel faces (``lfw_subset``). ``motorcycle_left`` and
``motorcycle_right`` are one scene seen twice, so they stay together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.tasks.extras import package_folder, require

Side = Literal["weights", "arch", "test"]
NEEDED_BY = "task 'denoise'"


@dataclass(frozen=True)
class Photograph:
    """One file of scikit-image's ``data`` folder; ``box`` = (left, top, right, bottom) cuts off a black surround."""

    name: str
    file: str
    side: Side
    colour: bool
    box: tuple[int, int, int, int] | None = None


PHOTOGRAPHS: tuple[Photograph, ...] = (
    Photograph("astronaut", "astronaut.png", "weights", True),
    Photograph("brick", "brick.png", "weights", False),
    Photograph("grass", "grass.png", "weights", False),
    Photograph("hubble", "hubble_deep_field.jpg", "weights", True),
    Photograph("ihc", "ihc.png", "weights", True),
    Photograph("motorcycle-left", "motorcycle_left.png", "weights", True),
    Photograph("motorcycle-right", "motorcycle_right.png", "weights", True),
    Photograph("page", "page.png", "weights", False),
    Photograph("retina", "retina.jpg", "weights", True, box=(220, 220, 1190, 1190)),
    Photograph("gravel", "gravel.png", "arch", False),
    Photograph("moon", "moon.png", "arch", False),
    Photograph("rocket", "rocket.jpg", "arch", True),
    Photograph("text", "text.png", "arch", False),
    Photograph("camera", "camera.png", "test", False),
    Photograph("chelsea", "chelsea.png", "test", True),
    Photograph("coffee", "coffee.png", "test", True),
    Photograph("coins", "coins.png", "test", False),
)


def photographs(side: Side, channels: int) -> tuple[Photograph, ...]:
    """Those of one side; with three channels only those taken in colour."""
    return tuple(p for p in PHOTOGRAPHS if p.side == side and (p.colour or channels == 1))


def load(photograph: Photograph, channels: int) -> Tensor:
    """``[channels, H, W]`` uint8; grey is Pillow's luma (ITU-R 601-2).

    Raises :class:`SpacecError`: E0720 without scikit-image or Pillow, E0721 where the installed scikit-image does
    not carry the file.
    """
    path = package_folder("skimage", "scikit-image", NEEDED_BY) / "data" / photograph.file
    image = require("PIL.Image", "Pillow", NEEDED_BY)
    if not path.is_file():
        text = f"the installed scikit-image does not carry '{photograph.file}'"
        raise SpacecError(Diagnostic("E0721", text, notes=(f"{NEEDED_BY} needs the photograph '{photograph.name}'",)))
    with image.open(path) as opened:
        picture = opened.crop(photograph.box) if photograph.box else opened
        pixels = np.array(picture.convert("L" if channels == 1 else "RGB"))
    return torch.from_numpy(pixels if channels == 3 else pixels[..., None]).permute(2, 0, 1).contiguous()
