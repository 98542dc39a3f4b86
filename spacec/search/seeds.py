"""Seeds: one number given by the user, from which every random stream is derived by name.

Streams are named, so that adding one (a new augmentation, another worker) moves no other.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch


def stable_seed(*parts: int | str) -> int:
    """A 63-bit seed from ``parts``: the same on every machine, process and ``PYTHONHASHSEED``."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator of the stream that ``parts`` name."""
    return torch.Generator().manual_seed(stable_seed(*parts))


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Run the body (dropout, drop-path) on global generators that are put back afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


def reseed(*parts: int | str) -> None:
    """Start the global torch generators at the stream of ``parts``; called at every epoch, so that a run resumes
    at an epoch's border without any saved generator state. Called for every trial, too: without an accelerator, torch's
    own function would spend half a millisecond on writing down who asked for one to be seeded."""
    seed = stable_seed(*parts)
    if _accelerated():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@functools.cache
def _accelerated() -> bool:
    return torch.cuda.is_available() or torch.backends.mps.is_available() or torch.xpu.is_available()
