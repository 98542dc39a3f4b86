"""Sizes of published transformers, computed by the compiler from their form (facts, section B)."""

from __future__ import annotations

import pytest

import spacec
from tests.grammars.record import GRAMMARS

BERT = """
space bert(layers = 4)
input  symbols: tokens(5)[T]
output logits:  [5, T]
def mlp   = linear(3072) >> gelu >> linear(512)
def block = residual(attention(8)) >> layer_norm >> residual(mlp) >> layer_norm
net = embed(512) >> positions(512) >> layer_norm >> block * layers >> linear(512) >> gelu >> layer_norm >> linear(5)
"""

NEOX = """
space neox
input  symbols: tokens(128)[T]
output logits:  [128, T]
def mlp   = linear(512) >> gelu >> linear(128)
def block = dag(x) { return x + (x >> layer_norm >> attention(4, mask = "causal")) + (x >> layer_norm >> mlp) }
net = embed(128) >> block * 4 >> layer_norm >> linear(128, bias = 0)
"""


@pytest.mark.parametrize(("layers", "millions"), [(4, 17.3), (10, 42.6)])
def test_bert_of_the_cellular_automata_paper(layers: int, millions: float) -> None:
    """Burtsev 2024, d = 512, feed-forward 3072. BERT ties its decoder to the embedding and has two segment vectors."""
    space = spacec.loads(BERT, layers=layers)
    block = 4 * (512 * 512 + 512) + 2 * 512 * 3072 + 3072 + 512 + 4 * 512
    ours = 5 * 512 + 512 * 512 + 1024 + layers * block + 512 * 512 + 512 + 1024 + 512 * 5 + 5
    assert space.supernet_params() == ours
    published = ours - 512 * 5 + 2 * 512
    assert round(published / 1e6, 1) == millions


def test_gpt_neox_of_the_follow_up() -> None:
    """Rodkin et al. 2025: 4 layers, d = 128, feed-forward 512, vocabulary 128; rotary positions have no weights."""
    space = spacec.loads(NEOX)
    assert space.supernet_params() == 826_112
    arch = space.architecture("random:0")
    linear_maps = 4 * (4 * 128 * 128 + 2 * 128 * 512) + 128 * 128
    assert space.macs(arch, T=10) == 10 * linear_maps + 4 * 2 * 10 * 10 * 128


def test_autoformer_tiny() -> None:
    """Chen et al. 2021: 3 widths, then 4 ways for each of 12 to 14 layers; the weights of the smallest."""
    space = spacec.load(GRAMMARS / "autoformer.space")
    assert space.count() == 3 * (4**12 + 4**13 + 4**14)
    width, heads, hidden, layers = 192, 3, 672, 12
    inner = 64 * heads
    attention = 3 * (width * inner + inner) + inner * width + width + 2 * 2 * 30 * 64
    block = attention + width * hidden + hidden + hidden * width + width + 2 * 2 * width
    ends = 3 * 16 * 16 * width + width + width + 197 * width + 2 * width + width * 1000 + 1000
    smallest = space.architecture(f"{space.digest}:width=192:net=12{',3,7' * layers}")
    assert space.params(smallest) == layers * block + ends
