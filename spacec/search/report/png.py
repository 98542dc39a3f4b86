"""PNG files without an imaging library, and pictures side by side."""

from __future__ import annotations

import struct
import zlib

import torch
from torch import Tensor


def png(image: Tensor) -> bytes:
    """``[C, H, W]`` on 0..1 (C = 1 or 3; clipped and rounded) as an 8-bit PNG file.

    Format: W3C, Portable Network Graphics (2nd ed.), sections 5 and 11.2; every row unfiltered or, if that is
    smaller, as differences from the row above.
    """
    channels, height, width = image.shape
    if channels not in (1, 3):
        raise ValueError(f"a picture has 1 or 3 channels, found {channels}")
    pixels = (image.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    rows = pixels.permute(1, 2, 0).reshape(height, width * channels)
    above = torch.cat((torch.zeros_like(rows[:1]), rows[:-1]))
    packed = min((_packed(rows, 0), _packed(rows - above, 2)), key=len)
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def side_by_side(images: list[Tensor], gap: int = 4) -> Tensor:
    """Pictures ``[C, H, W]`` of one height in a row, white between them."""
    channels, height, _ = images[0].shape
    white = torch.ones(channels, height, gap)
    parts = [part for image in images for part in (white, image.detach().cpu().float())]
    return torch.cat(parts[1:], dim=2)


def _packed(rows: Tensor, filter: int) -> bytes:
    marks = torch.full((len(rows), 1), filter, dtype=torch.uint8)
    return zlib.compress(torch.cat((marks, rows), dim=1).numpy().tobytes(), 9)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
