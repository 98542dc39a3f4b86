"""What kind of processor this is. Imports no torch."""

from __future__ import annotations

import platform
from pathlib import Path


def processor() -> str:
    """The processor's name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    told = (line.partition(":") for line in lines)
    names = [value.strip() for name, _, value in told if name.strip() in ("model name", "CPU part")]
    return names[0] if names else platform.processor() or platform.machine()
