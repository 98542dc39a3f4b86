"""The primitive ops of the language, as data: signature, rule, lowering.

The table is what the compiler knows before any plugin is asked; the host registers it through the
same ``spacec_ops`` hook that plugins use.
"""

from __future__ import annotations

from spacec.ir.ops import OPEN, OpLaws, OpParam, OpSpec, OpTable
from spacec.std import rules
from spacec.std.graphs import GRAPH_OPS
from spacec.std.laws import BY_CHANNEL, KEEPS_ZERO, LINEAR, RESAMPLES
from spacec.std.sequence import SEQUENCE_OPS

_OUT = OpParam("out", OPEN, "size", "output channels", "channels")
_STRIDE = OpParam("stride", OPEN, "any", "step along each spatial axis; the output has ceil(n / stride)")
_KERNEL = OpParam("kernel", kind="size", help="window along each spatial axis")
_PAD = OpParam("pad", "same", "any", '"same": output ceil(n / stride); a number: zeros added on each side')
_INIT = OpParam("init", "default", "any", 'weights at the start: "default" (PyTorch\'s) or normal(std)')
_AFFINE = OpParam("affine", 1, "flag", "learn a scale and a shift per channel")
_EPS = OpParam("eps", 1e-5, "float", "added to the variance")


def _lowering(name: str) -> str:
    return f"spacec.lower.ops:{name}"


def _activation(name: str, help: str, laws: OpLaws = KEEPS_ZERO) -> OpSpec:
    return OpSpec(name, rules.activation, _lowering(name), help=help, laws=laws)


PRIMITIVES: tuple[OpSpec, ...] = (
    OpSpec(
        "conv",
        rules.conv,
        _lowering("conv"),
        (
            _KERNEL,
            _OUT,
            _STRIDE,
            OpParam("dilation", 1, help="distance between the places that a kernel reads"),
            OpParam("groups", 1, "size", "groups of channels that see only each other", "groups"),
            _PAD,
            OpParam("bias", 0, "flag", "add a learnt number to each channel"),
            _INIT,
        ),
        state=True,
        elastic=True,
        help="convolution over the input's spatial axes",
        laws=OpLaws(keeps_zero="all", unless=("bias",), channels="grouped", linear=True, repeatable=True),
    ),
    OpSpec(
        "linear",
        rules.linear,
        _lowering("linear"),
        (_OUT, OpParam("bias", 1, "flag", "add a learnt number to each channel"), _INIT),
        state=True,
        elastic=True,
        help="linear map of the channels at every position",
        laws=LINEAR,
    ),
    OpSpec(
        "bn",
        rules.norm,
        _lowering("bn"),
        (_AFFINE, _EPS, OpParam("momentum", 0.1, "float", "weight of a new batch in the running statistics")),
        state=True,
        elastic=True,
        help="batch normalisation",
        laws=BY_CHANNEL,
    ),
    OpSpec(
        "instance_norm",
        rules.norm,
        _lowering("instance_norm"),
        (_AFFINE, _EPS),
        state=True,
        elastic=True,
        help="instance normalisation",
        laws=OpLaws(keeps_zero="all", unless=("affine",), channels="channelwise", repeatable=True),
    ),
    OpSpec(
        "layer_norm",
        rules.norm,
        _lowering("layer_norm"),
        (_AFFINE, _EPS),
        state=True,
        elastic=True,
        help="normalisation over channels at every position",
        laws=OpLaws(keeps_zero="all", unless=("affine",), channels="channelwise", repeatable=True),
    ),
    _activation("relu", "max(x, 0)"),
    _activation("relu6", "min(max(x, 0), 6)"),
    _activation("leaky_relu", "x where positive, else 0.01 x"),
    _activation("elu", "x where positive, else exp(x) - 1"),
    _activation("gelu", "x times the normal distribution function of x"),
    _activation("swish", "x times sigmoid(x)"),
    _activation("hardswish", "piecewise linear swish"),
    _activation("mish", "x times tanh(softplus(x))"),
    _activation("sigmoid", "logistic function", BY_CHANNEL),
    _activation("hardsigmoid", "piecewise linear sigmoid", BY_CHANNEL),
    _activation("tanh", "hyperbolic tangent"),
    _activation("softplus", "log(1 + exp(x))", BY_CHANNEL),
    OpSpec(
        "max_pool",
        rules.pool,
        _lowering("max_pool"),
        (_KERNEL, _STRIDE, _PAD),
        help="maximum over a window",
        laws=KEEPS_ZERO,
    ),
    OpSpec(
        "avg_pool",
        rules.pool,
        _lowering("avg_pool"),
        (_KERNEL, _STRIDE, _PAD),
        help="mean over a window, padding left out",
        laws=RESAMPLES,
    ),
    OpSpec(
        "global_pool",
        rules.global_pool,
        _lowering("global_pool"),
        help="mean over space: [C, …] to [C]",
        laws=OpLaws("same type", keeps_zero="all", channels="channelwise", linear=True),
    ),
    OpSpec(
        "identity",
        rules.pointwise,
        _lowering("identity"),
        help="the input",
        laws=OpLaws("always", keeps_zero="all", channels="channelwise", linear=True),
    ),
    OpSpec(
        "zero",
        rules.zero,
        _lowering("zero"),
        (_OUT, _STRIDE),
        help="a present tensor of zeros",
        laws=OpLaws(zero=True, channels="mixing", linear=True),
    ),
    OpSpec(
        "noise",
        rules.noise,
        _lowering("noise"),
        (_STRIDE,),
        state=True,
        help="standard normal numbers in place of the input, drawn anew at every call, in evaluation too",
    ),
    OpSpec(
        "upsample",
        rules.upsample,
        _lowering("upsample"),
        (
            OpParam("factor", OPEN, "any", "output size over input size along each spatial axis"),
            OpParam("mode", "nearest", "text", '"nearest", or "bilinear" (linear along each axis)'),
        ),
        help="upsampling by a whole factor, which a stated type may give",
        laws=OpLaws("same type", keeps_zero="all", channels="channelwise", linear=True),
    ),
    OpSpec(
        "broadcast",
        rules.broadcast,
        _lowering("broadcast"),
        inputs=2,
        help="a vector [C] at every position of a second tensor",
        laws=OpLaws(keeps_zero="all"),
    ),
    OpSpec(
        "narrow",
        rules.narrow,
        _lowering("narrow"),
        (OpParam("channels", kind="size", help="how many are kept", counts="channels"),),
        elastic=True,
        help="the first channels of its input",
        laws=OpLaws("same type", keeps_zero="all", linear=True),
    ),
    OpSpec(
        "shift",
        rules.pointwise,
        _lowering("shift"),
        help="moves the map by one position along each spatial axis",
        laws=RESAMPLES,
    ),
    OpSpec(
        "sum",
        rules.total,
        _lowering("sum"),
        inputs=None,
        help="sum of tensors of one type; absent terms are dropped",
        laws=OpLaws(keeps_zero="all", adds=True, commutes=True, alone=True, channels="channelwise"),
    ),
    OpSpec(
        "concat",
        rules.concat,
        _lowering("concat"),
        inputs=None,
        help="channels side by side; absent terms are dropped",
        laws=OpLaws(keeps_zero="all", joins=True, alone=True),
    ),
    OpSpec(
        "mul",
        rules.mul,
        _lowering("mul"),
        inputs=None,
        help="product; a vector [C] scales the channels of [C, …], a map [1, …] all of them",
        laws=OpLaws(keeps_zero="any", commutes=True, alone=True),
    ),
    OpSpec(
        "dropout",
        rules.dropout,
        _lowering("dropout"),
        (OpParam("rate", 0.5, "float", "share of the values that are dropped"),),
        state=True,
        help="drops values in training",
        laws=KEEPS_ZERO,
    ),
    OpSpec(
        "drop_path",
        rules.pointwise,
        _lowering("drop_path"),
        state=True,
        help="drops whole samples of a path in training; the trainer schedules its rate",
        laws=KEEPS_ZERO,
    ),
    *SEQUENCE_OPS,
    *GRAPH_OPS,
)

PRIMITIVE_TABLE = OpTable({spec.name: spec for spec in PRIMITIVES})
