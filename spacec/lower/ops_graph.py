"""Lowerings of the ops on graphs (:mod:`spacec.std.graphs`)."""

from __future__ import annotations

from spacec.lower import modules_graph as modules
from spacec.lower.layers import Axis, Call, Layer, Site, initial

Axes = tuple[tuple[str, tuple[Axis, ...]], ...]


def propagate(site: Site) -> Call:
    """Sums over neighbours."""
    return Call(modules.propagate, (site.attrs["norm"], bool(site.attrs["loops"])), graph=True)


def gat(site: Site) -> Layer:
    """Graph attention."""
    sizes = site.inputs[0].channels, site.output.channels, site.integer("heads")
    return Layer(modules.GraphAttention, sizes, init=initial(site), graph=True)


def graph_norm(site: Site) -> Layer:
    """Normalisation over each graph's nodes."""
    axes: Axes = tuple((name, ("in",)) for name in ("weight", "bias", "share"))
    return Layer(modules.GraphNorm, (site.inputs[0].channels, site.number("eps")), axes=axes, graph=True)


def pair_norm(site: Site) -> Call:
    """Nodes of a common length."""
    return Call(modules.pair_norm, (site.number("eps"),), by_case=True, graph=True)
