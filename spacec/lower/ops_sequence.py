"""Lowerings of the ops of tokens and sequences (:mod:`spacec.std.sequence`)."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from spacec.lower import modules_sequence as modules
from spacec.lower.layers import Call, Layer, Site, initial
from spacec.lower.modules import ChannelBias


def embed(site: Site) -> Layer:
    """A learned vector for each token."""
    sizes = site.inputs[0].channels, site.output.channels
    return Layer(modules.TokenEmbedding, sizes, init=initial(site), axes=(("weight", (None, "out")),))


def positions(site: Site) -> Layer:
    """A learned vector for each position."""
    sizes = site.inputs[0].channels, site.integer("length")
    return Layer(modules.Positions, sizes, init=initial(site), axes=(("weight", ("in", None)),))


def sinusoids(site: Site) -> Call:
    """Sines and cosines of the position; their rates depend on the number of channels."""
    return Call(modules.sinusoids, by_case=True)


def attend(site: Site) -> Call:
    """Scaled dot-product attention."""
    return Call(modules.attend, (site.integer("heads"), site.attrs["mask"] == "causal"), by_case=True)


def attend_grid(site: Site) -> Layer:
    """Attention over a grid; a head's width is fixed, so that its tables serve any number of heads."""
    heads = site.integer("heads")
    widths = site.inputs[0].channels // heads, site.output.channels // heads
    places = site.integer("side"), site.integer("distance"), site.integer("extra")
    axes = ("weight", (None,) * 3), ("values", (None,) * 3)
    return Layer(modules.GridAttention, (heads, *places, *widths), init=initial(site), axes=axes, by_case=True)


def flatten(site: Site) -> Call:
    """Space to sequence."""
    return Call(torch.flatten, (2,))


def class_token(site: Site) -> Layer:
    """A learned token before the sequence."""
    return Layer(modules.ClassToken, (site.inputs[0].channels,), init=initial(site), axes=(("weight", ("in",)),))


def token(site: Site) -> Call:
    """One position of a sequence."""
    return Call(torch.select, (2, site.integer("index")))


def rest(site: Site) -> Call:
    """A sequence without its first positions."""
    return Call(modules.rest, (site.integer("skipped"),))


def glu(site: Site) -> Call:
    """The first half gated by the second."""
    return Call(F.glu, (1,), by_case=True)


def bias(site: Site) -> Layer:
    """A learned number for each channel."""
    sizes = site.inputs[0].channels, site.number("start")
    return Layer(ChannelBias, sizes, axes=(("bias", ("in",)),))


def times(site: Site) -> Call:
    """A constant multiple and a constant added."""
    return Call(modules.times, (site.number("by"), site.number("plus")))


def above(site: Site) -> Call:
    """1 above a threshold, else 0."""
    return Call(modules.above, (site.number("threshold"),))


def penalty(site: Site) -> Layer:
    """The mean of the second input as an auxiliary loss."""
    return Layer(modules.Penalty, (site.attrs["name"], site.number("weight")), axes=(), emits=True)


def vq(site: Site) -> Layer:
    """Vector quantisation, with its loss."""
    sizes = site.integer("codes"), site.inputs[0].channels, site.number("commitment")
    return Layer(modules.VectorQuantiser, sizes, emits=True)
