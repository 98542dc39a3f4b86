"""Nested state (dicts, lists, tensors, numbers) as leaves by path, and where two of them first differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path (``supernets.main.conv.weight``), in order; an empty container is a leaf."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def equal(a: Any, b: Any) -> bool:
    """Whether two leaves are the same, bit for bit; NaN is itself."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        if not (isinstance(a, Tensor) and isinstance(b, Tensor)) or a.dtype != b.dtype or a.shape != b.shape:
            return False
        return torch.equal(a, b) or bool((a.isnan() == b.isnan()).all() and torch.equal(a.nan_to_num(), b.nan_to_num()))
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) == 0
    return bool(a == b) or (a != a and b != b)


def first_difference(a: Any, b: Any) -> str | None:
    """The path of the first leaf that differs or is in one only; ``None`` where all are equal."""
    mine, theirs = dict(leaves(a)), dict(leaves(b))
    for path, value in mine.items():
        if path not in theirs or not equal(value, theirs[path]):
            return path or "the whole"
    return next((path or "the whole" for path in theirs if path not in mine), None)


def frozen(tensors: Mapping[str, Tensor | None]) -> dict[str, Tensor | None]:
    """Copies, to compare with later."""
    return {name: None if t is None else t.detach().clone() for name, t in tensors.items()}


def changed(before: Mapping[str, Tensor | None], now: Mapping[str, Tensor | None]) -> list[str]:
    """Names whose tensor is another than before, in order."""
    return [name for name, t in now.items() if name not in before or not equal(before[name], t)]
