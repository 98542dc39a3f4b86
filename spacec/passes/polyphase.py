"""A convolution whose stride and dilation share a factor reads a part of its input only, and is run on that part.

With f dividing stride s, dilation d and padding p, for a kernel w of k places::

    y[o] = Σ_i w[i] x[s o + d i - p] = Σ_i w[i] x'[(s/f) o + (d/f) i - p/f]      x'[m] = x[f m]

so y is the convolution of the subsampled x' by the same weights with all three divided, dense, grouped or depthwise.
Libraries run dilated and strided convolutions far slower than plain ones, and the candidates of a choice that read one
tensor (dilated 3x3 and 5x5) share x', which is a node of its own.

Sizes agree: of n positions ceil(n / f) are left, and floor((n + 2p - d (k - 1) - 1) / s) is the same number after n, p,
d and s were replaced by theirs. Kernels of one place are left alone, as are sizes that decisions settle and weights of
which some use does not fit. Assumes a flat graph; guarantees keys, conditions and types as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd
from typing import ClassVar

from spacec.ir.dims import symbols
from spacec.ir.flat import FlatGraph, FlatInput, FlatOp, with_sources
from spacec.ir.ops import AttrValue, OpParam, OpResult, OpSpec
from spacec.ir.quotients import ceil_div
from spacec.ir.types import TensorType
from spacec.passes.base import Builder
from spacec.std.checks import Attrs, Types
from spacec.std.laws import RESAMPLES
from spacec.std.rules import strides


def _subsample_rule(attrs: Attrs, types: Types) -> OpResult:
    """Positions 0, f, 2f, ... of each axis."""
    x = types[0]
    factors = strides(attrs, x.rank, "factor")
    return OpResult(
        TensorType(x.channels, tuple(ceil_div(n, f) for n, f in zip(x.space, factors, strict=True)), x.kind)
    )


SUBSAMPLE = OpSpec(
    "subsample",
    _subsample_rule,
    "spacec.lower.ops:subsample",
    (OpParam("factor", kind="any", help="distance of the positions that are kept, along each axis"),),
    help="every position at a multiple of a factor",
    laws=RESAMPLES,
)


@dataclass(frozen=True)
class Polyphase:
    """Run convolutions whose stride and dilation have a common factor on subsampled inputs."""

    name: ClassVar[str] = "polyphase"

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph with such convolutions divided; their values are as they were."""
        found = dict(_divided(flat))
        unfit = {n.key for i, n in enumerate(flat.nodes) if isinstance(n, FlatOp) and n.key and i not in found}
        builder, samples = Builder(), dict[tuple[int, tuple[int, ...]], int]()
        for index, node in enumerate(flat.nodes):
            if index in found and isinstance(node, FlatOp) and node.key not in unfit:
                factors, divided = found[index]
                read = (node.inputs[0], factors)
                if read not in samples:
                    samples[read] = builder.add(_sample(flat, builder, *read))
                builder.place[index] = builder.add(replace(divided, inputs=(samples[read],)))
            else:
                builder.place[index] = builder.add(with_sources(node, builder.place.__getitem__))
        return builder.graph(flat) if samples else flat


def _sample(flat: FlatGraph, builder: Builder, source: int, factors: tuple[int, ...]) -> FlatOp:
    """The subsampled source, which is there wherever the source is."""
    node = flat.nodes[source]
    attrs: dict[str, AttrValue] = {"factor": factors}
    rule = SUBSAMPLE.rule(attrs, (node.type,))
    whole = FlatOp(SUBSAMPLE, attrs, (builder.place[source],), rule.type)
    return whole if isinstance(node, FlatInput) else replace(whole, guard=node.guard, span=node.span)


def _divided(flat: FlatGraph) -> Iterator[tuple[int, tuple[tuple[int, ...], FlatOp]]]:
    """By node, the factors of a convolution that has some, and itself with stride, dilation and padding divided."""
    for index, node in enumerate(flat.nodes):
        if not isinstance(node, FlatOp) or node.spec.name != "conv":
            continue
        x = flat.nodes[node.inputs[0]].type
        kernel, dilation, pad = (node.attrs[name] for name in ("kernel", "dilation", "pad"))
        if not isinstance(kernel, int) or not isinstance(dilation, int) or kernel == 1 or _decided(x, node.type):
            continue
        span = dilation * (kernel - 1)
        padding = span // 2 if pad == "same" else pad
        steps = strides(node.attrs, x.rank)
        factor = gcd(dilation, *steps)
        if factor > 1 and isinstance(padding, int) and padding % factor == 0 and (pad != "same" or span % 2 == 0):
            attrs = dict(node.attrs)
            one = isinstance(attrs["stride"], int)
            attrs["stride"] = steps[0] // factor if one else tuple(s // factor for s in steps)
            attrs["dilation"] = dilation // factor
            attrs["pad"] = pad if pad == "same" else padding // factor
            yield index, ((factor,) * x.rank, replace(node, attrs=attrs))


def _decided(*types: TensorType) -> bool:
    """Whether decisions settle a size of these types."""
    return any(s.domain is not None or s.part is not None for t in types for n in t.dims for s in symbols(n))
