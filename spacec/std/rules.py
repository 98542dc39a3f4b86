"""Shape and cost rules of the primitives.

A rule gets resolved attributes and input types and returns an output type, the number of weights
and the multiplies of one forward pass of one sample (convolutions and linear maps only). Nothing
here imports torch. Spatial rank comes from the input: the same rule serves sequences and images.
"""

from __future__ import annotations

from spacec.ir.dims import Dim, Poly
from spacec.ir.ops import Bound, OpResult, Precondition, RuleError
from spacec.ir.quotients import ceil_div, exact_div, floor_div
from spacec.ir.sizes import divides, same
from spacec.ir.types import TensorType
from spacec.std.checks import UNDECIDED, Attrs, Types, features, product, rounds, shown
from spacec.std.checks import dense as _dense
from spacec.std.checks import initial as _initial
from spacec.std.checks import integer as _int
from spacec.std.checks import size as _size


def strides(attrs: Attrs, rank: int, name: str = "stride") -> tuple[int, ...]:
    """The stride (or factor) of each spatial axis."""
    value = attrs[name]
    values = value if isinstance(value, tuple) else (value,) * rank
    if len(values) != rank or not all(isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in values):
        raise RuleError(
            f"`{name}` must be a positive integer (or one for each of {rank} axes), not {shown(value)}", code="E0306"
        )
    return tuple(v for v in values if isinstance(v, int))


def _window(attrs: Attrs, x: TensorType, what: str) -> tuple[tuple[Dim, ...], int | Dim]:
    """Spatial sizes after a sliding window, and the kernel."""
    if x.rank > 2:
        raise RuleError(f"{what} slides over one or two spatial axes, and {x} has {x.rank}")
    if not x.space:
        raise RuleError(
            f"{what} slides over space, and {x} has no spatial axis", note="`linear` acts on channels alone"
        )
    kernel, pad = _size(attrs, "kernel"), attrs["pad"]
    steps = strides(attrs, x.rank)
    if pad == "same":
        return tuple(ceil_div(n, s) for n, s in zip(x.space, steps, strict=True)), kernel
    if not isinstance(pad, int) or pad < 0:
        raise RuleError(f'`pad` must be "same" or a number of at least 0, not {shown(pad)}', code="E0306")
    if not isinstance(kernel, int):
        raise RuleError(f'a kernel that varies has `pad = "same"`; here it is {shown(kernel)}', code="E0306")
    dilation = _int(attrs, "dilation") if "dilation" in attrs else 1
    space = tuple(
        floor_div(n + (2 * pad - dilation * (kernel - 1) - 1), s) + 1 for n, s in zip(x.space, steps, strict=True)
    )
    for n, size in zip(x.space, space, strict=True):
        if isinstance(size, int) and size < 1:
            raise RuleError(f"a window of {kernel} does not fit into {n}")
    return space, kernel


def conv(attrs: Attrs, types: Types) -> OpResult:
    x = _dense(types, "conv")
    _initial(attrs)
    _int(attrs, "dilation")
    space, kernel = _window(attrs, x, "conv")
    out, groups = _size(attrs, "out"), _size(attrs, "groups")
    pre = []
    for name, channels in (("input", x.channels), ("output", out)):
        quotient = exact_div(channels, groups)
        if quotient is None:
            raise RuleError(f"{channels} {name} channels do not split into {groups} groups")
        exact = quotient[1] or divides(channels, groups)
        if exact is False:
            raise RuleError(f"{channels} {name} channels do not split into {groups} groups in every architecture")
        if exact is None and isinstance(groups, int):
            pre.append(Precondition(channels, groups))
    per_group = exact_div(x.channels, groups)
    weights = out * (per_group[0] if per_group else 1) * product((kernel,) * x.rank)
    bias = out if attrs["bias"] else 0
    return OpResult(TensorType(out, space), weights + bias, weights * product(space), tuple(pre))


def linear(attrs: Attrs, types: Types) -> OpResult:
    x = features(types, "linear")
    _initial(attrs)
    out = _size(attrs, "out")
    weights = x.channels * out
    bias = out if attrs["bias"] else 0
    return OpResult(TensorType(out, x.space, x.kind), weights + bias, weights * product(x.space))


def norm(attrs: Attrs, types: Types) -> OpResult:
    x = features(types, "a norm")
    return OpResult(x, 2 * x.channels if attrs["affine"] else 0)


def pointwise(attrs: Attrs, types: Types) -> OpResult:
    return OpResult(types[0])


def activation(attrs: Attrs, types: Types) -> OpResult:
    return OpResult(features(types, "an activation"))


def dropout(attrs: Attrs, types: Types) -> OpResult:
    rate = attrs["rate"]
    if not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise RuleError(f"`rate` is a share from 0 to 1, not {shown(rate)}", code="E0306")
    return OpResult(types[0])


def pool(attrs: Attrs, types: Types) -> OpResult:
    x = _dense(types, "pooling")
    space, _ = _window(attrs, x, "pooling")
    return OpResult(TensorType(x.channels, space))


def global_pool(attrs: Attrs, types: Types) -> OpResult:
    x = features(types, "global_pool")
    return OpResult(TensorType(x.channels))


def narrow(attrs: Attrs, types: Types) -> OpResult:
    x, channels = _dense(types, "narrow"), _size(attrs, "channels")
    if isinstance(channels, int) and isinstance(x.channels, int):
        if channels > x.channels:
            raise RuleError(f"the first {channels} channels of {x.channels}", code="E0310")
        return OpResult(TensorType(channels, x.space))
    return OpResult(TensorType(channels, x.space), bounds=(Bound(channels, x.channels),))


def zero(attrs: Attrs, types: Types) -> OpResult:
    x = _dense(types, "zero")
    steps = strides(attrs, x.rank)
    space = tuple(ceil_div(n, s) for n, s in zip(x.space, steps, strict=True))
    return OpResult(TensorType(_size(attrs, "out"), space))


def noise(attrs: Attrs, types: Types) -> OpResult:
    x = _dense(types, "noise")
    space = tuple(ceil_div(n, s) for n, s in zip(x.space, strides(attrs, x.rank), strict=True))
    return OpResult(TensorType(x.channels, space))


def upsample(attrs: Attrs, types: Types) -> OpResult:
    x = _dense(types, "upsample")
    factors = strides(attrs, x.rank, "factor")
    if attrs["mode"] not in ("nearest", "bilinear"):
        raise RuleError(f'`mode` is "nearest" or "bilinear", not {shown(attrs["mode"])}', code="E0306")
    if x.rank > 2:
        raise RuleError(f"upsampling works on one or two spatial axes, and {x} has {x.rank}")
    return OpResult(TensorType(x.channels, tuple(n * f for n, f in zip(x.space, factors, strict=True))))


def broadcast(attrs: Attrs, types: Types) -> OpResult:
    vector, like = types
    if vector.kind != "dense" or vector.space:
        raise RuleError(f"broadcast repeats a vector [C] over the space of another tensor, found {vector}")
    return OpResult(TensorType(vector.channels, like.space))


def total(attrs: Attrs, types: Types) -> OpResult:
    first = features(types, "a sum")
    for other in types[1:]:
        if not _agree(first, other):
            raise RuleError(f"a sum needs terms of one type, found {first} and {other}", code="E0301")
    return OpResult(first)


def _agree(a: TensorType, b: TensorType) -> bool:
    return a == b or (
        a.kind == b.kind and a.rank == b.rank and all(same(x, y) for x, y in zip(a.dims, b.dims, strict=True))
    )


def presences(attrs: Attrs, terms: int) -> tuple[Dim, ...]:
    """For each term of a concat, 1 where it is there: the elaborator's note for terms that may be absent."""
    found = attrs.get("present")
    return tuple(p for p in found if isinstance(p, int | Poly)) if isinstance(found, tuple) else (1,) * terms


def concat(attrs: Attrs, types: Types) -> OpResult:
    first = features(types, "concat")
    channels: Dim = 0
    for t, weight in zip(types, presences(attrs, len(types)), strict=True):
        alike = t.kind == first.kind and t.rank == first.rank
        agree = [same(a, b) for a, b in zip(t.space, first.space, strict=True)] if alike else [False]
        if False in agree:
            headline = f"concat joins channels, so the spatial sizes must agree, found {first} and {t}"
            raise RuleError(headline, code="E0301")
        if None in agree:
            headline = f"cannot prove that {first} and {t} have the same spatial sizes"
            raise RuleError(headline, code="E0305", note=UNDECIDED if rounds(first, t) else "")
        channels = channels + t.channels * weight
    return OpResult(TensorType(channels, first.space, first.kind))


def mul(attrs: Attrs, types: Types) -> OpResult:
    best = max(types, key=lambda t: (t.rank, t.channels != 1))
    for t in types:
        channels = t.channels == 1 or same(t.channels, best.channels) is True
        places = not t.space or (t.rank == best.rank and all(map(same, t.space, best.space)))
        if t.kind != best.kind or t.kind == "tokens" or not channels or not places:
            raise RuleError(
                f"a product needs equal types, a vector [C] or a map [1, …] beside [C, …], found {best} and {t}",
                code="E0301",
            )
    return OpResult(best)
