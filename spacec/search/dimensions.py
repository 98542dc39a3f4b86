"""What decisions change of a network: the kernels of its layers, its widths, its depth, or what it runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from spacec.ir.dims import Dim, Poly, symbols
from spacec.ir.flat import FlatGraph, FlatOp
from spacec.ir.ops import AttrValue
from spacec.space.decisions import Decision

Dimension = Literal["operation", "kernel", "depth", "width"]


def dimensions(flat: FlatGraph, decisions: Sequence[Decision]) -> dict[str, Dimension]:
    """By decision.

    *depth*: how often something is repeated. *kernel*: an elastic value that kernels mention and no number of channels
    does. *width*: any other elastic value (channels, expansions, heads). *operation*: all else, that is, what is no
    slice of anything larger: which operation runs, which inputs a node has, and values that choose between layers.
    """
    ops = [node for node in flat.nodes if isinstance(node, FlatOp)]
    kernels = _mentioned(d for op in ops for d in _dims(op.attrs.get("kernel", 0)))
    channels = _mentioned(op.type.channels for op in ops)
    return {d.id: _dimension(d, d.id in kernels and d.id not in channels) for d in decisions}


def _dimension(decision: Decision, kernel: bool) -> Dimension:
    if decision.kind == "depth":
        return "depth"
    if decision.kind != "value" or not decision.elastic:
        return "operation"
    return "kernel" if kernel else "width"


def _mentioned(dims: Iterable[Dim]) -> frozenset[str]:
    return frozenset(s.name for dim in dims for s in symbols(dim))


def _dims(value: AttrValue) -> list[Dim]:
    if isinstance(value, tuple):
        return [d for v in value for d in _dims(v)]
    return [value] if isinstance(value, int | Poly) else []
