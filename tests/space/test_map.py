"""The page that tells which file owns what names every file."""

from __future__ import annotations

import re
from pathlib import Path

import spacec.space


def test_every_module_is_on_the_map() -> None:
    folder = Path(spacec.space.__file__).parent
    modules = {p.stem for p in (*folder.glob("*.py"), *(p.parent for p in folder.glob("*/__init__.py")))}
    named = set(re.findall(r"``([a-z_.]+)``", spacec.space.__doc__ or ""))
    assert modules - {"__init__"} <= named
    assert named <= modules | {"where", "encodings.wiring"}
