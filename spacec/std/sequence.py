"""Primitive ops of tokens and sequences: embedding, positions, attention, halting's arithmetic, auxiliary losses.

Multiplies count linear maps as everywhere, and the two products of attention (scores, and the weighted sum of
values). Nothing here imports torch.
"""

from __future__ import annotations

from spacec.ir.dims import Dim
from spacec.ir.ops import OpLaws, OpParam, OpResult, OpSpec, RuleError
from spacec.ir.quotients import exact_div
from spacec.ir.sizes import same
from spacec.ir.types import TensorType
from spacec.std.checks import (
    Attrs,
    Types,
    dense,
    features,
    initial,
    integer,
    one_of,
    product,
    sequence,
    shown,
    size,
    split,
)
from spacec.std.laws import BY_CHANNEL, RESAMPLES

MASKS = ("full", "causal")


def embed(attrs: Attrs, types: Types) -> OpResult:
    x = types[0]
    if x.kind != "tokens":
        note = "an input of tokens is declared `tokens(V)[T]`; `linear` maps numbers"
        raise RuleError(f"embed needs tokens, found {x}", note=note)
    initial(attrs)
    out = size(attrs, "out")
    return OpResult(TensorType(out, x.space), x.channels * out)


def positions(attrs: Attrs, types: Types) -> OpResult:
    x = sequence(types, "positions")
    initial(attrs)
    length = integer(attrs, "length")
    if isinstance(x.space[0], int) and x.space[0] > length:
        raise RuleError(f"{length} positions are fewer than the {x.space[0]} of {x}", code="E0306")
    return OpResult(x, x.channels * length)


def sinusoids(attrs: Attrs, types: Types) -> OpResult:
    x = sequence(types, "sinusoids")
    split(x.channels, 2, "halves")
    return OpResult(x)


def attend(attrs: Attrs, types: Types) -> OpResult:
    query, key, value = types
    for t in types:
        sequence((t,), "attention")
    if same(query.channels, key.channels) is not True:
        raise RuleError(f"queries {query} and keys {key} differ in channels", code="E0301")
    if same(key.space[0], value.space[0]) is not True:
        raise RuleError(f"keys {key} and values {value} differ in length", code="E0301")
    mask = one_of(attrs, "mask", MASKS) if "mask" in attrs else "full"
    if mask == "causal" and same(query.space[0], key.space[0]) is not True:
        raise RuleError(f"causal attention is of a sequence to itself, found {query} and {key}", code="E0301")
    for channels in {query.channels, value.channels}:
        split(channels, size(attrs, "heads"), "heads")
    products = query.space[0] * key.space[0] * (query.channels + value.channels)
    return OpResult(TensorType(value.channels, query.space), 0, products)


def attend_grid(attrs: Attrs, types: Types) -> OpResult:
    """Scores and sums with relative positions multiply each pair twice more (keys' table, values' table)."""
    result = attend(attrs, types)
    query, key, value = types
    side, extra, distance = integer(attrs, "side"), integer(attrs, "extra", 0), integer(attrs, "distance")
    for t in (query, key):
        if t.space[0] != side * side + extra:
            raise RuleError(f"{t} is no grid of {side} by {side} after {extra} tokens", code="E0301")
    widths: Dim = 0
    for channels in (query.channels, value.channels):
        width = exact_div(channels, size(attrs, "heads"))
        if width is None or not isinstance(width[0], int):
            raise RuleError(f"{channels} channels over {attrs['heads']} heads have no fixed width", code="E0305")
        widths = widths + width[0]
    return OpResult(result.type, widths * (2 * distance + 2) * 2, 2 * result.macs)


def flatten(attrs: Attrs, types: Types) -> OpResult:
    x = dense(types, "flatten")
    if not x.space:
        raise RuleError(f"flatten makes a sequence of space, and {x} has no spatial axis")
    return OpResult(TensorType(x.channels, (product(x.space),)))


def class_token(attrs: Attrs, types: Types) -> OpResult:
    x = sequence(types, "class_token")
    initial(attrs)
    return OpResult(TensorType(x.channels, (x.space[0] + 1,)), x.channels)


def token(attrs: Attrs, types: Types) -> OpResult:
    x, at = sequence(types, "token"), attrs["index"]
    if isinstance(at, bool) or not isinstance(at, int):
        raise RuleError(f"`index` must be a number, not {shown(at)}", code="E0306")
    if isinstance(x.space[0], int) and not -x.space[0] <= at < x.space[0]:
        raise RuleError(f"{x} has no token {at}", code="E0306")
    return OpResult(TensorType(x.channels))


def rest(attrs: Attrs, types: Types) -> OpResult:
    x, skipped = sequence(types, "rest"), integer(attrs, "skipped")
    if isinstance(x.space[0], int) and x.space[0] <= skipped:
        raise RuleError(f"nothing is left of {x} without its first {skipped}", code="E0306")
    return OpResult(TensorType(x.channels, (x.space[0] - skipped,)))


def glu(attrs: Attrs, types: Types) -> OpResult:
    x = features(types, "glu")
    split(x.channels, 2, "halves")
    half = exact_div(x.channels, 2)
    if half is None:
        raise AssertionError("an even number has a half")
    return OpResult(TensorType(half[0], x.space, x.kind))


def bias(attrs: Attrs, types: Types) -> OpResult:
    x = features(types, "bias")
    return OpResult(x, x.channels)


def times(attrs: Attrs, types: Types) -> OpResult:
    return OpResult(features(types, "times"))


def above(attrs: Attrs, types: Types) -> OpResult:
    return OpResult(features(types, "above"))


def penalty(attrs: Attrs, types: Types) -> OpResult:
    features(types[1:], "a penalty")
    name = attrs["name"]
    if not isinstance(name, str) or not name.isidentifier():
        raise RuleError(f"the name of a penalty is an identifier, not {name!r}", code="E0306")
    return OpResult(types[0])


def vq(attrs: Attrs, types: Types) -> OpResult:
    x = dense(types, "vq")
    return OpResult(x, x.channels * integer(attrs, "codes"))


def _lowering(name: str) -> str:
    return f"spacec.lower.ops_sequence:{name}"


_SMALL = OpParam("init", ("normal", 0.02), "any", 'weights at the start: "default" (standard normal) or normal(std)')

_HEADS = OpParam("heads", 1, "size", "groups of channels that attend on their own")

SEQUENCE_OPS: tuple[OpSpec, ...] = (
    OpSpec(
        "embed",
        embed,
        _lowering("embed"),
        (
            OpParam("out", kind="size", help="channels of a token's vector", counts="channels"),
            OpParam("init", "default", "any", 'weights at the start: "default" (standard normal) or normal(std)'),
        ),
        state=True,
        elastic=True,
        help="a learned vector for each token: tokens(V)[T] to [out, T]",
        laws=OpLaws(channels="mixing", repeatable=True),
    ),
    OpSpec(
        "positions",
        positions,
        _lowering("positions"),
        (OpParam("length", 512, help="positions that have a vector; a longer input is refused"), _SMALL),
        state=True,
        elastic=True,
        help="adds a learned vector for each position",
        laws=BY_CHANNEL,
    ),
    OpSpec("sinusoids", sinusoids, _lowering("sinusoids"), help="adds sines and cosines of the position"),
    OpSpec(
        "attend",
        attend,
        _lowering("attend"),
        (_HEADS, OpParam("mask", "full", "text", '"full", or "causal": no position sees a later one')),
        inputs=3,
        elastic=True,
        help="scaled dot-product attention of (queries, keys, values)",
        laws=OpLaws(keeps_zero="all"),
    ),
    OpSpec(
        "attend_grid",
        attend_grid,
        _lowering("attend_grid"),
        (
            _HEADS,
            OpParam("side", help="the sequence is a grid of side by side positions, row by row"),
            OpParam("distance", 14, help="row and column distances beyond this one share its vectors"),
            OpParam("extra", 0, help="tokens before the grid, such as a class token; they have vectors of their own"),
            _SMALL,
        ),
        state=True,
        inputs=3,
        elastic=True,
        help="attention over a grid, with learned vectors of relative position for keys and for values",
        laws=OpLaws(repeatable=True),
    ),
    OpSpec(
        "flatten",
        flatten,
        _lowering("flatten"),
        help="space to sequence: [C, H, W] to [C, H*W]",
        laws=OpLaws("same type", keeps_zero="all", channels="channelwise", linear=True),
    ),
    OpSpec(
        "class_token",
        class_token,
        _lowering("class_token"),
        (_SMALL,),
        state=True,
        elastic=True,
        help="a learned token put before the sequence",
        laws=BY_CHANNEL,
    ),
    OpSpec(
        "token",
        token,
        _lowering("token"),
        (OpParam("index", 0, help="the position, from 0"),),
        help="one position of a sequence: [C, T] to [C]",
        laws=RESAMPLES,
    ),
    OpSpec(
        "rest",
        rest,
        _lowering("rest"),
        (OpParam("skipped", 1, help="how many positions are left out"),),
        help="a sequence without its first positions",
        laws=RESAMPLES,
    ),
    OpSpec(
        "glu",
        glu,
        _lowering("glu"),
        help="the first half of the channels, gated by the sigmoid of the second",
        laws=OpLaws(keeps_zero="all"),
    ),
    OpSpec(
        "bias",
        bias,
        _lowering("bias"),
        (OpParam("start", 0.0, "float", "its value at the start"),),
        state=True,
        elastic=True,
        help="a learned number for each channel, added",
        laws=BY_CHANNEL,
    ),
    OpSpec(
        "times",
        times,
        _lowering("times"),
        (OpParam("by", kind="float", help="the factor"), OpParam("plus", 0.0, "float", "added after it")),
        help="a constant multiple, and a constant added",
        laws=OpLaws(keeps_zero="all", unless=("plus",), channels="channelwise", linear=True),
    ),
    OpSpec(
        "above",
        above,
        _lowering("above"),
        (OpParam("threshold", 0.0, "float", "the input must be greater"),),
        help="1 where the input is greater than the threshold, else 0; without gradient",
        laws=BY_CHANNEL,
    ),
    OpSpec(
        "penalty",
        penalty,
        _lowering("penalty"),
        (
            OpParam("name", kind="text", help="of the auxiliary loss"),
            OpParam("weight", 1.0, "float", "of the loss in the sum"),
        ),
        state=True,
        inputs=2,
        help="passes its first input on; the mean of the second is an auxiliary loss of that name",
    ),
    OpSpec(
        "vq",
        vq,
        _lowering("vq"),
        (
            OpParam("codes", help="how many codes there are"),
            OpParam("commitment", 0.25, "float", "weight of the commitment loss"),
        ),
        state=True,
        help="the nearest of learned codes at every position, with the losses of the codes and of commitment",
    ),
)
