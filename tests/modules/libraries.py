"""A session with one installed library: the standard library's own files, under the name ``std``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spacec.driver import Session
from spacec.hooks import LibraryDescriptor, Plugin, Registry


def session(*folders: Path, package: str = "spacec.std", name: str = "std") -> Session:
    own = Session.default(libraries=folders)
    library = LibraryDescriptor(name, "files for the tests", package)
    owner = Plugin("libs", "spacec-libs", "1.0", {"spacec_library": (library,)})
    return replace(own, registry=Registry((*own.registry.plugins, owner)))
