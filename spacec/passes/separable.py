"""``[bn,] relu, depthwise conv, pointwise conv`` becomes one op, whose values between are never tensors.

    separable(x) = conv_1x1(conv_groups=C(relu(bn(x))))

The op's parts are the layers it stands for, in their order. The ReLU may have other readers, who keep it: it is
computed again here. A batch norm goes in where nothing else reads what it gives. Where kernels do not compute the op in
one pass (:mod:`spacec.lower.kernels.native.separable`), its layers run one after another.

Assumes nothing. Leaves ops alone that are kept by name, frozen, elastic or not two-dimensional.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spacec.ir.flat import FlatGraph, FlatOp, with_sources
from spacec.ir.ops import OpParam, OpResult, OpSpec
from spacec.ir.types import TensorType
from spacec.passes.base import Builder, drop_dead, named, readers
from spacec.std.checks import Attrs, Types, integer
from spacec.std.primitives import PRIMITIVE_TABLE


def _rule(attrs: Attrs, types: Types) -> OpResult:
    """The type that the depthwise convolution gives, with ``out`` channels."""
    depthwise = {**attrs, "out": types[0].channels, "groups": types[0].channels, "bias": 0, "init": "default"}
    inner = PRIMITIVE_TABLE.ops["conv"].rule(depthwise, types).type
    return OpResult(TensorType(integer(attrs, "out"), inner.space, inner.kind))


_WINDOW = ("kernel", "stride", "dilation", "pad")
_CONV = PRIMITIVE_TABLE.ops["conv"]

SEPARABLE = OpSpec(
    "separable",
    _rule,
    "spacec.lower.ops:separable",
    (OpParam("out"), *(p for p in _CONV.params if p.name in _WINDOW)),
    help="norm, max(x, 0), depthwise and pointwise convolution",
)
_ORDER = tuple(p.name for p in SEPARABLE.params if p.name != "out")


@dataclass(frozen=True)
class Separable:
    """One op for norm, ReLU, depthwise and pointwise convolution in a row."""

    name: ClassVar[str] = "separable"

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph with one op for each such chain."""
        search = _Search(flat, keep)
        builder = Builder()
        for index, node in enumerate(flat.nodes):
            now = search.joined(node) if isinstance(node, FlatOp) else None
            builder.place[index] = builder.add(with_sources(now or node, builder.place.__getitem__))
        return drop_dead(builder.graph(flat))


class _Search:
    def __init__(self, flat: FlatGraph, keep: frozenset[str]) -> None:
        self.flat = flat
        self.kept = named(flat, keep)
        self.read = readers(flat)

    def joined(self, last: FlatOp) -> FlatOp | None:
        """The one op that ends in the pointwise convolution ``last``."""
        if not _pointwise(last) or self._kept(last):
            return None
        inner = self._op(last.inputs[0], "conv", alone=True)
        if inner is None or not _depthwise(inner, self.flat):
            return None
        relu = self._op(inner.inputs[0], "relu", alone=False)
        if relu is None:
            return None
        norm = self._op(relu.inputs[0], "bn", alone=True) if len(self.read[inner.inputs[0]]) == 1 else None
        source = relu.inputs[0] if norm is None else norm.inputs[0]
        attrs = {"out": last.attrs["out"], **{name: inner.attrs[name] for name in _ORDER}}
        parts = (*(() if norm is None else (norm.key,)), inner.key, last.key)
        return FlatOp(SEPARABLE, attrs, (source,), last.type, "", last.guard, last.span, parts=parts)

    def _op(self, index: int, name: str, alone: bool) -> FlatOp | None:
        node = self.flat.nodes[index]
        if not isinstance(node, FlatOp) or not _is(node, name) or node.frozen or node.parts:
            return None
        return None if alone and (index in self.kept or len(self.read[index]) != 1) else node

    def _kept(self, op: FlatOp) -> bool:
        return any(self.flat.nodes[index] is op for index in self.kept)


def _is(op: FlatOp, name: str) -> bool:
    """Whether it is the primitive of this name, lowered as it comes."""
    return op.spec.name == name and op.spec.lowering == PRIMITIVE_TABLE.ops[name].lowering


def _pointwise(op: FlatOp) -> bool:
    plain = {"kernel": 1, "dilation": 1, "groups": 1, "bias": 0}
    return (
        _is(op, "conv")
        and not op.frozen
        and not op.parts
        and all(op.attrs[name] == value for name, value in plain.items())
        and op.attrs["stride"] in (1, (1, 1))
        and op.attrs["pad"] in (0, "same")
        and isinstance(op.attrs["out"], int)
    )


def _depthwise(op: FlatOp, flat: FlatGraph) -> bool:
    x = flat.nodes[op.inputs[0]].type
    fixed = all(isinstance(op.attrs[name], int | str | tuple) for name in _WINDOW)
    channels = x.channels == op.attrs["groups"] == op.attrs["out"]
    return channels and isinstance(x.channels, int) and fixed and len(x.space) == 2 and not op.attrs["bias"]
