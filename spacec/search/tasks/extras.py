"""Packages that only some tasks need, imported when they are needed.

The core runs without scikit-image, scikit-learn, mlxtend and Pillow; a task that needs one of them says so in
a diagnostic that names the extra to install.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from spacec.diagnostics.model import Diagnostic, SpacecError


def require(module: str, package: str, needed_by: str, extra: str = "data") -> ModuleType:
    """Import ``module``, which the distribution ``package`` provides.

    Raises :class:`SpacecError` (E0720) that names ``needed_by`` and the extra, where it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise _missing(package, needed_by, extra, f"no module named '{error.name}'") from error


def installed(module: str) -> bool:
    """Whether a top-level module is there to be imported."""
    return find_spec(module) is not None


def package_folder(module: str, package: str, needed_by: str, extra: str = "data") -> Path:
    """The folder of an installed package, without importing it; E0720 where it is not installed."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise _missing(package, needed_by, extra, f"no module named '{module}'")
    return Path(spec.origin).parent


def _missing(package: str, needed_by: str, extra: str, reason: str) -> SpacecError:
    return SpacecError(
        Diagnostic(
            "E0720",
            f"{needed_by} needs {package}, which is not installed",
            notes=(reason,),
            help=f'pip install "spacec[{extra}]"',
        )
    )
