"""spacec compiles a grammar of networks into a PyTorch supernet, any one network, and facts about the space.

>>> import spacec
>>> space = spacec.load("grammars/darts.space", C=16, layers=8)
>>> space.count(owner="normal")
1037664180

The names below are imported at their first use, so that ``import spacec`` costs nothing and loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spacec.diagnostics.model import Diagnostic, SpacecError
    from spacec.driver import Session, Space, load, loads
    from spacec.hooks.specs import hookimpl
    from spacec.lower.network import Network
    from spacec.lower.supernet import Supernet
    from spacec.space.architecture import Architecture

    __version__: str

__all__ = [
    "Architecture",
    "Diagnostic",
    "Network",
    "Session",
    "Space",
    "SpacecError",
    "Supernet",
    "__version__",
    "hookimpl",
    "load",
    "loads",
]

_HOME = {
    "Architecture": "spacec.space.architecture",
    "Diagnostic": "spacec.diagnostics.model",
    "Network": "spacec.lower.network",
    "Session": "spacec.driver",
    "Space": "spacec.driver",
    "SpacecError": "spacec.diagnostics.model",
    "Supernet": "spacec.lower.supernet",
    "hookimpl": "spacec.hooks.specs",
    "load": "spacec.driver",
    "loads": "spacec.driver",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from spacec.hooks.host import version  # reads package metadata: only for those who ask

        return version()
    if name not in _HOME:
        raise AttributeError(f"module 'spacec' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
