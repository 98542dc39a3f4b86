"""Where the user's caches are: what was compiled or measured on this machine. Imports no torch."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def cache_folder(name: str) -> Path:
    """The folder of one kind of things, ``spacec/NAME`` under ``XDG_CACHE_HOME``, else ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "spacec" / name


def why_distrusted(folder: Path, group: bool = False) -> str:
    """Why code in ``folder`` may be another user's, in words; empty where it is not.

    It must be a folder of this user's (no link) into which nobody else may write; with ``group``, the user's group may.
    Where the system has no users there is nothing to ask.
    """
    if not hasattr(os, "geteuid"):
        return ""
    found = folder.lstat()
    writers = stat.S_IWOTH if group else stat.S_IWGRP | stat.S_IWOTH
    if not stat.S_ISDIR(found.st_mode):
        return f"'{folder}' is no folder of its own"
    if found.st_uid != os.geteuid():
        return f"'{folder}' belongs to another user"
    return f"others may write into '{folder}'" if found.st_mode & writers else ""
