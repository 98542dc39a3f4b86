"""Which ops may be joined with which, and what a joined op is, for :mod:`spacec.passes.stack`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from spacec.ir.conditions import ALWAYS
from spacec.ir.flat import FlatGraph, FlatOp
from spacec.ir.ops import AttrValue
from spacec.ir.types import TensorType

BLOCKWISE = frozenset(
    (
        *("relu", "relu6", "leaky_relu", "elu", "gelu", "swish", "hardswish", "mish", "sigmoid", "hardsigmoid"),
        *("tanh", "softplus", "mul", "sum", "upsample", "shift", "global_pool"),
    )
)
"""Ops without weights and windows that treat each channel by itself."""

POOLS = frozenset(("max_pool", "avg_pool"))


@dataclass(frozen=True)
class Options:
    """Kinds of layers that are joined, and the window into which kernels are embedded."""

    kinds: frozenset[str]
    embed: int = 0


@dataclass(frozen=True)
class Class:
    """``what`` nodes of one class have in common. ``kind``: one of the pass's flags.

    ``pairwise``: parts of different inputs are joined only where their own shapes agree.
    """

    kind: str
    what: Hashable
    pairwise: bool = False


def class_of(flat: FlatGraph, index: int, options: Options) -> Class | None:
    """With what a node may be joined; ``None`` where it stays alone."""
    op = flat.nodes[index]
    if not isinstance(op, FlatOp) or op.parts or not op.inputs:
        return None
    types = tuple(flat.nodes[i].type for i in op.inputs)
    if any(t.kind != "dense" or not isinstance(t.channels, int) for t in (*types, op.type)):
        return None
    found = _class_of(op, types, options)
    return found if found is not None and found.kind in options.kinds else None


def _class_of(op: FlatOp, types: tuple[TensorType, ...], options: Options) -> Class | None:
    common = (op.spec, op.frozen, types[0].space, op.type.space)
    match op.spec.name:
        case "conv":
            return _class_of_conv(op, types[0], options)
        case "linear":
            return Class("pointwise", (*common, bool(op.attrs["bias"])), pairwise=True)
        case "bn":
            return Class("norm", (*common, tuple(op.attrs.items())))
        case name if name in POOLS:
            return Class("pool", (*common, tuple(op.attrs.items())))
        case name if name in BLOCKWISE and all(t.channels == op.type.channels for t in types):
            return Class("activation", (*common, tuple(op.attrs.items()), tuple(t.space for t in types)))
    return None


def _class_of_conv(op: FlatOp, x: TensorType, options: Options) -> Class | None:
    kernel, dilation, groups = (op.attrs[name] for name in ("kernel", "dilation", "groups"))
    if not (isinstance(kernel, int) and isinstance(dilation, int) and isinstance(groups, int)):
        return None
    stride, pad, bias = op.attrs["stride"], op.attrs["pad"], bool(op.attrs["bias"])
    steps = stride if isinstance(stride, tuple) else (stride,) * x.rank
    window: Hashable = (kernel, dilation, pad)
    depthwise = groups == x.channels == op.type.channels and groups > 1
    kind = "depthwise" if depthwise else "pointwise" if kernel == 1 else "dense"
    if pad == "same" and span(kernel, dilation) <= options.embed:
        window = "embedded"
        kind = "dense" if kind == "pointwise" and {"dense", "pointwise"} <= options.kinds else kind
    what = (op.spec, depthwise, op.frozen, x.space, op.type.space, steps, window, bias)
    return Class(kind, what, pairwise=not depthwise)


def span(kernel: int, dilation: int) -> int:
    """Places from the first that a kernel reads to the last, both counted."""
    return dilation * (kernel - 1) + 1


def shape_of(flat: FlatGraph, op: FlatOp) -> tuple[Hashable, ...]:
    """What parts with different inputs must have in common."""
    return flat.nodes[op.inputs[0]].type.channels, op.type.channels, op.attrs.get("groups", 1)


def joined_op(ops: Sequence[FlatOp], inputs: tuple[int, ...], groups: int) -> FlatOp:
    """The op whose parts are ``ops``, on what they read; ``groups`` is how many groups its channels fall into."""
    first = ops[0]
    channels = sum(_integer(op.type.channels) for op in ops)
    attrs = {**first.attrs, **_attrs(ops, channels, groups)}
    parts = tuple(op.key for op in ops) if first.spec.state else ()
    type_ = TensorType(channels, first.type.space, first.type.kind)
    return replace(first, attrs=attrs, inputs=inputs, type=type_, key="", parts=parts, guard=ALWAYS)


def _attrs(ops: Sequence[FlatOp], channels: int, groups: int) -> Mapping[str, AttrValue]:
    if ops[0].spec.name == "linear":
        return {"out": channels, "init": "default"}
    if ops[0].spec.name != "conv":
        return {}
    windows = {(_integer(op.attrs["kernel"]), _integer(op.attrs["dilation"])) for op in ops}
    found: dict[str, AttrValue] = {"out": channels, "groups": groups, "init": "default"}
    if len(windows) > 1:
        spacings = {d for k, d in windows if k > 1}
        dilation = spacings.pop() if len(spacings) == 1 else 1
        largest = max(span(k, d) for k, d in windows)
        found |= {"kernel": (largest - 1) // dilation + 1, "dilation": dilation}
    return found


def _integer(value: object) -> int:
    assert isinstance(value, int), "only ops of known sizes have a class"
    return value
