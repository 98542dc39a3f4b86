"""Which device to compute on."""

from __future__ import annotations

import torch

from spacec.diagnostics.model import Diagnostic, SpacecError


def resolve_device(name: str) -> torch.device:
    """``"auto"`` is a GPU if there is one, else the CPU; anything else is torch's name of a device.

    Raises E0708 for a name torch does not know and for a device this machine lacks.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SpacecError(
            Diagnostic("E0708", f"'{name}' is not a device", notes=("auto, cpu, cuda, cuda:1, mps",))
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise SpacecError(Diagnostic("E0708", f"device '{name}' was asked for, this machine has {count} CUDA devices"))
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise SpacecError(Diagnostic("E0708", f"device '{name}' was asked for, this machine has none"))
    return device
