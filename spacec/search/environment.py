"""What a run ran on, for its record."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import torch


def versions(*objects: object) -> dict[str, str]:
    """Versions of python, torch, spacec and of the plugin distributions that define the classes of ``objects``."""
    out = {"python": platform.python_version(), "torch": str(torch.__version__), "spacec": _version("spacec")}
    packages = {type(thing).__module__.partition(".")[0] for thing in objects}
    for entry in importlib.metadata.entry_points(group="spacec"):
        if entry.dist is not None and entry.module.partition(".")[0] in packages:
            out[entry.dist.name] = entry.dist.version
    return out


def environment(device: torch.device) -> dict[str, Any]:
    """Machine, threads and device."""
    cuda = device.type == "cuda"
    return {
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine(),
        "cuda": torch.version.cuda if cuda else None,
    }


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
