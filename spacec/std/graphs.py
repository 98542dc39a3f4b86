"""Primitive ops on graphs: sums over neighbours, attention over neighbours, and norms of a graph's nodes.

A space has at most one input of type ``graph(C)``; all of its graph-typed tensors are features of that graph's nodes.
What an op costs in multiplies by edge is not known before the graph is, so only linear maps count, by node.
Nothing here imports torch.
"""

from __future__ import annotations

from spacec.ir.ops import OPEN, OpLaws, OpParam, OpResult, OpSpec, RuleError
from spacec.ir.types import TensorType
from spacec.std.checks import Attrs, Types, initial, integer, one_of, size, split
from spacec.std.laws import BY_CHANNEL, KEEPS_ZERO, RESAMPLES

SUMS = ("sum", "mean", "sym")


def graph(types: Types, what: str) -> TensorType:
    """The first input, nodes of a graph."""
    if types[0].kind != "graph":
        raise RuleError(f"{what} needs a graph, found {types[0]}")
    return types[0]


def propagate(attrs: Attrs, types: Types) -> OpResult:
    one_of(attrs, "norm", SUMS)
    integer(attrs, "loops", 0)
    return OpResult(graph(types, "propagate"))


def gat(attrs: Attrs, types: Types) -> OpResult:
    x = graph(types, "gat")
    initial(attrs)
    out = size(attrs, "out")
    split(out, integer(attrs, "heads"), "heads")
    return OpResult(TensorType(out, (), "graph"), x.channels * out + 3 * out, x.channels * out)


def graph_norm(attrs: Attrs, types: Types) -> OpResult:
    x = graph(types, "graph_norm")
    return OpResult(x, 3 * x.channels)


def pair_norm(attrs: Attrs, types: Types) -> OpResult:
    return OpResult(graph(types, "pair_norm"))


def _lowering(name: str) -> str:
    return f"spacec.lower.ops_graph:{name}"


GRAPH_OPS: tuple[OpSpec, ...] = (
    OpSpec(
        "propagate",
        propagate,
        _lowering("propagate"),
        (
            OpParam("norm", "sum", "text", '"sum", "mean" (by incoming edges), or "sym" (by both ends\' square roots)'),
            OpParam("loops", 0, "flag", "every node is a neighbour of itself too"),
        ),
        elastic=True,
        help="each node's sum over its neighbours, along the direction of the edges",
        laws=RESAMPLES,
    ),
    OpSpec(
        "gat",
        gat,
        _lowering("gat"),
        (
            OpParam("out", OPEN, "size", "output channels, all heads together", "channels"),
            OpParam("heads", 1, help="attentions side by side, each on its share of the channels"),
            OpParam("init", "default", "any", 'weights at the start: "default" (as linear) or normal(std)'),
        ),
        state=True,
        help="graph attention: a weighed mean over neighbours and the node itself (Velickovic et al., ICLR 2018)",
        laws=OpLaws(repeatable=True),
    ),
    OpSpec(
        "graph_norm",
        graph_norm,
        _lowering("graph_norm"),
        (OpParam("eps", 1e-5, "float", "added to the variance"),),
        state=True,
        elastic=True,
        help="normalisation over each graph's nodes with a learned share of the mean (Cai et al., ICML 2021)",
        laws=BY_CHANNEL,
    ),
    OpSpec(
        "pair_norm",
        pair_norm,
        _lowering("pair_norm"),
        (OpParam("eps", 1e-5, "float", "added to the variance"),),
        elastic=True,
        help="centred nodes of each graph, scaled to a mean square length of one (Zhao and Akoglu, ICLR 2020)",
        laws=KEEPS_ZERO,
    ),
)
