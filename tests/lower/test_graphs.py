"""Graph ops against formulas over dense adjacency matrices, with nodes alone, several edges and several graphs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.lower.modules_graph import Graph
from spacec.space.derive import slots_of
from spacec.testing.equality import check_selected
from spacec.testing.inputs import example_inputs
from tests.lower.helpers import CLOSE, disturb

pytestmark = pytest.mark.usefixtures("double")

Weights = dict[str, Tensor]


def batch() -> Graph:
    """Two graphs, of five and three nodes; a directed, a double and a self edge, and one node without any."""
    edges = torch.tensor([[0, 1, 2, 2, 3, 3, 5, 6, 7], [1, 0, 1, 1, 3, 2, 6, 7, 5]])
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    return Graph(x, edges, torch.tensor([0, 0, 0, 0, 0, 1, 1, 1]))


def adjacency(graph: Graph, loops: bool = False) -> Tensor:
    """``A[i, j]``: number of edges from j to i."""
    n = graph.x.shape[0]
    a = torch.zeros(n, n)
    for source, target in graph.edges.T.tolist():
        a[target, source] += 1
    return a + torch.eye(n) if loops else a


def symmetric(a: Tensor) -> Tensor:
    degrees = a.sum(1)
    root = torch.diag(torch.where(degrees > 0, degrees.clamp_min(1).rsqrt(), 0.0))
    return root @ a @ root


def mean(a: Tensor) -> Tensor:
    return a / a.sum(1, keepdim=True).clamp_min(1)


def space_of(net: str) -> spacec.Space:
    return spacec.loads(f"space s\ninput g: graph(4)\noutput y: graph(3)\nnet = {net} -> graph(3)\n")


def linear(x: Tensor, weights: Weights, n: int) -> Tensor:
    """The n-th linear map of the definition, with its bias where it has one."""
    names = [name.removesuffix(".weight") for name in weights if name.endswith(".weight")]
    y = x @ weights[f"{names[n]}.weight"].T
    return y + weights[f"{names[n]}.bias"] if f"{names[n]}.bias" in weights else y


def cheb(g: Graph, w: Weights) -> Tensor:
    laplacian = -symmetric(adjacency(g))
    t = [g.x, laplacian @ g.x]
    t.append(2 * laplacian @ t[1] - t[0])
    return sum(linear(s, w, k) for k, s in enumerate(t))


def tag(g: Graph, w: Weights) -> Tensor:
    a = symmetric(adjacency(g))
    return sum(linear(torch.linalg.matrix_power(a, k) @ g.x, w, k) for k in range(4))


def gat(g: Graph, w: Weights) -> Tensor:
    (prefix,) = {name.rpartition(".")[0] for name in w}
    y = g.x @ w[f"{prefix}.weight"].T
    sent, received = (y * w[f"{prefix}.source"]).sum(1), (y * w[f"{prefix}.target"]).sum(1)
    a = adjacency(g, loops=True)
    scores = F.leaky_relu(sent[None, :] + received[:, None], 0.2).exp() * a
    return scores / scores.sum(1, keepdim=True) @ y + w[f"{prefix}.bias"]


FORMULAS: dict[str, Callable[[Graph, Weights], Tensor]] = {
    "gcn": lambda g, w: (
        symmetric(adjacency(g, loops=True)) @ linear(g.x, {k: v for k, v in w.items() if "bias" not in k}, 0)
        + next(v for k, v in w.items() if "bias" in k)
    ),
    "sage": lambda g, w: linear(mean(adjacency(g)) @ g.x, w, 0) + linear(g.x, w, 1),
    "gin": lambda g, w: linear(linear(g.x + adjacency(g) @ g.x, w, 0).relu(), w, 1),
    "graph_conv": lambda g, w: linear(adjacency(g) @ g.x, w, 0) + linear(g.x, w, 1),
    "sg": lambda g, w: linear(torch.linalg.matrix_power(symmetric(adjacency(g, loops=True)), 2) @ g.x, w, 0),
    "arma": lambda g, w: (linear(symmetric(adjacency(g)) @ g.x, w, 0) + linear(g.x, w, 1)).relu(),
    "cheb": cheb,
    "tag": tag,
    "gat": gat,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_convolution_is_its_formula(name: str) -> None:
    space, graph = space_of(name), batch()
    network = space.network("random:0", seed=0)
    disturb(network, 0)
    weights = dict(network.named_parameters())
    torch.testing.assert_close(network(graph), FORMULAS[name](graph, weights), **CLOSE)
    supernet = space.supernet(seed=1)
    disturb(supernet, 1)
    check_selected(space, supernet, space.sample()[0], {"g": graph}, training=True)


@pytest.mark.parametrize("heads", [1, 2])
def test_attention_heads_are_apart(heads: int) -> None:
    space = spacec.loads(f"space s\ninput g: graph(4)\noutput y: graph(4)\nnet = gat(heads = {heads})\n")
    network, graph = space.network("random:0", seed=0), batch()
    y = network(graph)
    layer = network.get_submodule("gat_0")
    with torch.no_grad():
        layer.source[0] += 1.0
    changed = (network(graph) != y).any(0)
    assert changed.tolist() == [k < 4 // heads for k in range(4)]
    assert space.params(space.sample()[0]) == 4 * 4 + 3 * 4


def test_norms_and_pooling_keep_graphs_apart() -> None:
    graph = batch()
    parts = [graph.x[:5], graph.x[5:]]
    spaces = {
        net: spacec.loads(f"space s\ninput g: graph(4)\noutput y: graph(4)\nnet = {net}\n")
        for net in ("pair_norm", "graph_norm")
    }
    paired = spaces["pair_norm"].network("random:0")(graph)
    for x, y in zip(parts, (paired[:5], paired[5:]), strict=True):
        centred = x - x.mean(0)
        expected = centred / (centred.square().sum(1).mean() + 1e-5).sqrt()
        torch.testing.assert_close(y, expected, **CLOSE)
    network = spaces["graph_norm"].network("random:0", seed=0)
    disturb(network, 0)
    layer = network.get_submodule("graph_norm_0")
    normed = network(graph)
    for x, y in zip(parts, (normed[:5], normed[5:]), strict=True):
        centred = x - layer.share * x.mean(0)
        expected = layer.weight * centred / (centred.square().mean(0) + 1e-5).sqrt() + layer.bias
        torch.testing.assert_close(y, expected, **CLOSE)
    pooled = spacec.loads("space s\ninput g: graph(4)\noutput y: [4]\nnet = global_pool\n").network("random:0")
    torch.testing.assert_close(pooled(graph), torch.stack([p.mean(0) for p in parts]), **CLOSE)
    torch.testing.assert_close(pooled((graph.x, graph.edges)), graph.x.mean(0, keepdim=True), **CLOSE)


def test_graphs_are_checked_at_the_entry() -> None:
    space, graph = space_of("gcn"), batch()
    for model in (space.network("random:0"), space.supernet()):
        with pytest.raises(ValueError, match=r"input 'g' must be \(features"):
            model(graph.x)
        with pytest.raises(ValueError, match=r"features \[N, 4\], found \[8, 3\]"):
            model((graph.x[:, :3], graph.edges))
        with pytest.raises(ValueError, match="edges between nodes 0 to 7, but its nodes are 0 to 6"):
            model((graph.x[:7], graph.edges))
        with pytest.raises(ValueError, match=r"edges \[2, E\] of whole numbers"):
            model((graph.x, graph.edges.double()))
        with pytest.raises(ValueError, match=r"a batch \[8\], found \[3\]"):
            model((graph.x, graph.edges, torch.zeros(3)))


def test_elastic_graph_networks() -> None:
    text = (
        "space s\ninput g: graph(4)\noutput y: [3]\nlet w = elastic {2, 4, 5}\n"
        "def layer = (gcn | sage | cheb) -> graph(w)\n"
        "net = layer >> pair_norm >> graph_norm >> relu >> layer >> global_pool >> linear(3)\n"
    )
    space, supernet = spacec.loads(text), spacec.loads(text).supernet(seed=1)
    disturb(supernet, 1)
    sizes = {s.id: s.size for s in space.slots}
    for k, arch in enumerate(space.enumerate()):
        check_selected(space, supernet, arch, {"g": batch()}, training=k % 2 == 0)
        index = {s: i for s, i in slots_of(space.table, arch).items() if i is not None}
        soft = {s: torch.eye(sizes[s])[i] for s, i in index.items()}
        torch.testing.assert_close(supernet(batch(), soft).prediction, supernet(batch(), index).prediction, **CLOSE)


def test_gat_of_elastic_width_is_refused() -> None:
    text = "space s\ninput g: graph(4)\noutput y: graph(3)\nnet = gat(elastic {2, 4}) >> linear(3)\n"
    with pytest.raises(SpacecError, match="`gat` cannot run slices"):
        spacec.loads(text).supernet()


def test_example_graphs_are_rings() -> None:
    graph = example_inputs(space_of("gcn"), batch=2)["g"]
    assert adjacency(graph).sum(0).tolist() == [2.0] * 8
    assert graph.batch.tolist() == [0] * 4 + [1] * 4
