"""Files in the idx format of MNIST: two zero bytes, a type, the number of axes, their lengths, then the numbers.

Only unsigned bytes (type 8) are read. A file may be packed by gzip, told by its name's end, ``.gz``.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from spacec.diagnostics.model import Diagnostic, SpacecError

UNSIGNED_BYTES = 8
PIECE = 1 << 20


def read_idx(path: Path, inner: Sequence[int]) -> Tensor:
    """The bytes of ``path`` as uint8 ``[N, *inner]``.

    Raises :class:`SpacecError` (E0725) for a file that cannot be read, is cut off, goes on after its end, or holds
    arrays of another type or shape.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _read(file, path, tuple(inner))
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _read(file: gzip.GzipFile | BinaryIO, path: Path, inner: tuple[int, ...]) -> Tensor:
    rank = 1 + len(inner)
    start = file.read(4 + 4 * rank)
    if start[:4] != bytes((0, 0, UNSIGNED_BYTES, rank)):
        raise _damaged(path, f"it does not begin as an idx file of unsigned bytes with {rank} axes does")
    if len(start) < 4 + 4 * rank:
        raise _damaged(path, "it ends within its header")
    count, *found = struct.unpack(f">{rank}I", start[4:])
    if tuple(found) != inner:
        raise _damaged(path, f"its items are {_times(found)}, not {_times(inner)}")
    size = count
    for n in inner:
        size *= n
    data = bytearray()
    while len(data) <= size and (piece := file.read(min(PIECE, size + 1 - len(data)))):
        data += piece  # a header may claim more than there is room for
    if len(data) != size:
        what = "ends before" if len(data) < size else "goes on after"
        raise _damaged(path, f"it {what} the {count:,} items that its header tells of")
    numbers = torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
    return numbers.reshape(count, *inner)


def _times(lengths: Sequence[int]) -> str:
    return " x ".join(map(str, lengths)) or "single numbers"


def _damaged(path: Path, why: str) -> SpacecError:
    return SpacecError(Diagnostic("E0725", f"'{path}' cannot be read", notes=(why,)))
