"""Names that other libraries give to what this language has under another name.

Keys are folded: lower case, without underscores and without the number of axes at the end (``Conv2d`` and
``MaxPooling2D`` fold to ``conv`` and ``maxpooling``), since ops here take their axes from the input.
"""

from __future__ import annotations

import re
from collections.abc import Container

NAMES = {
    # norms
    "batchnorm": "bn", "batchnormalization": "bn", "syncbatchnorm": "bn", "norm": "bn",
    "instancenorm": "instance_norm", "instancenormalization": "instance_norm",
    "layernorm": "layer_norm", "layernormalization": "layer_norm", "ln": "layer_norm",
    # convolutions and linear maps
    "convolution": "conv", "depthwiseconv": "depthwise", "dwconv": "depthwise",
    "separableconv": "sep_conv", "sepconv": "sep_conv", "dilconv": "dil_conv", "dilatedconv": "dil_conv",
    "dense": "linear", "fc": "linear", "fullyconnected": "linear", "lazylinear": "linear", "lazyconv": "conv",
    "convbnrelu": "conv_bn_relu", "reluconvbn": "relu_conv_bn", "invertedresidual": "mbconv", "mb": "mbconv",
    "factorizedreduce": "factorized_reduce", "basicblock": "basic_block", "downsample": "factorized_reduce",
    # pools
    "maxpool": "max_pool", "maxpooling": "max_pool", "maxp": "max_pool",
    "avgpool": "avg_pool", "averagepool": "avg_pool", "averagepooling": "avg_pool", "avgp": "avg_pool",
    "globalaveragepooling": "global_pool", "globalavgpool": "global_pool", "gap": "global_pool",
    "adaptiveavgpool": "global_pool",
    # activations
    "silu": "swish", "hardswish": "hardswish", "hswish": "hardswish", "hsigmoid": "hardsigmoid", "hsig": "hardsigmoid",
    "leakyrelu": "leaky_relu", "logistic": "sigmoid",
    # wiring
    "cat": "concat", "concatenate": "concat", "add": "sum", "multiply": "mul", "scale": "mul",
    "skipconnect": "skip", "skipconnection": "skip", "none": "zero", "noop": "identity", "id": "identity",
    "zeroize": "zero", "identityop": "identity", "interpolate": "upsample", "upsampling": "upsample",
    "upsamplingnearest": "upsample", "droppath": "drop_path", "stochasticdepth": "drop_path", "dropoutlayer": "dropout",
    "layerchoice": "|", "inputchoice": "pick", "valuechoice": "{…}", "sequential": ">>", "repeat": "*",
    "embedding": "embed", "multiheadattention": "attention", "selfattention": "attention",
    "positionalencoding": "positions",
}  # fmt: skip
"""Folded foreign name to the name, sign or form here."""

_FORMS = frozenset({"|", "pick", "{…}", ">>", "*"})
_AXES = re.compile(r"_?[123]d$")


def meant(name: str, known: Container[str]) -> str | None:
    """What this language writes for a name of another library, ``None`` where nothing known has that meaning."""
    folded = _AXES.sub("", name.casefold()).replace("_", "")
    found = NAMES.get(folded, folded if folded != name else None)
    return found if found is not None and (found in _FORMS or found in known) else None
