"""What the machine can do at most: the rate of a large matrix product, and the rate of a large copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

SIDE = {"cpu": 1024, "cuda": 8192}
COPIED = {"cpu": 2**27, "cuda": 2**30}
"""Bytes: far beyond the caches."""
REPEATS = 10


@dataclass(frozen=True)
class Rates:
    """``operations`` and ``bytes`` a second; a multiply-add is two operations, a byte copied is read and written."""

    operations: float
    bytes: float


def measure_rates(device: torch.device) -> Rates:
    """The best of :data:`REPEATS` float32 matrix products and copies, with the threads that torch has."""
    n, size = SIDE.get(device.type, SIDE["cpu"]), COPIED.get(device.type, COPIED["cpu"])
    a, b = torch.randn(n, n, device=device), torch.randn(n, n, device=device)
    product = _best(lambda: torch.mm(a, b), device)
    source = torch.ones(size // 4, device=device)
    target = torch.zeros_like(source)
    copy = _best(lambda: target.copy_(source), device)
    return Rates(2 * n**3 / product, 2 * size / copy)


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Of one call, waited for."""
    wait(device)
    start = time.perf_counter()
    run()
    wait(device)
    return time.perf_counter() - start


def _best(run: Callable[[], object], device: torch.device) -> float:
    run()
    return min(seconds(run, device) for _ in range(REPEATS))
