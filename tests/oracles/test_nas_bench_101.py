"""NAS-Bench-101 against its published rule (Ying et al., ICML 2019, and the released model_builder.py), written apart.

The rule is worked out here on adjacency matrices; the space knows nothing of these.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import spacec
from spacec.space.architecture import architecture_of
from tests.lower.helpers import count_parameters

GRAMMAR = Path(__file__).parents[2] / "grammars" / "nas_bench_101.space"
KERNEL = {0: 3, 1: 1}
"""Of the candidates of ``op`` that convolve; the third is a pool."""

Matrix = list[list[int]]


def pruned(matrix: Sequence[Sequence[int]]) -> tuple[list[list[int]], set[int]]:
    """The matrix without vertices that lie on no path from input to output, and those that are left.

    The benchmark takes them out before it builds a cell.
    """
    last = len(matrix) - 1
    reached, leading = {0}, {last}
    for v in range(1, last + 1):
        if any(matrix[u][v] and u in reached for u in range(v)):
            reached.add(v)
    for v in range(last - 1, -1, -1):
        if any(matrix[v][t] and t in leading for t in range(v + 1, last + 1)):
            leading.add(v)
    kept = reached & leading
    every = range(last + 1)
    return [[int(matrix[u][v] and u in kept and v in kept) for v in every] for u in every], kept


def conv_bn(kernel: int, c_in: int, c_out: int) -> int:
    return kernel**2 * c_in * c_out + 2 * c_out


def widths(matrix: Matrix, c: int) -> list[int]:
    """Channels of the vertices of a pruned matrix: ``compute_vertex_channels`` of the released code."""
    ends = [v for v in range(1, 6) if matrix[v][6]]
    found = [0] * 7
    for place, v in enumerate(ends):
        found[v] = c // len(ends) + (place < c % len(ends))
    for v in range(4, 0, -1):
        if not matrix[v][6]:
            found[v] = max([found[t] for t in range(v + 1, 6) if matrix[v][t]], default=0)
    return found


def parameters(matrix: Matrix, ops: dict[int, int], c: int, n: int, classes: int) -> int:
    """Trainable parameters of the network of a cell."""
    matrix, kept = pruned(matrix)
    total, c_in = conv_bn(3, 3, c), c
    for stack, _ in itertools.product(range(3), range(n)):
        c_out = c * 2**stack
        width = widths(matrix, c_out)
        for v in sorted(kept - {0, 6}):
            total += conv_bn(1, c_in, width[v]) if matrix[0][v] else 0
            total += conv_bn(KERNEL[ops[v]], width[v], width[v]) if ops[v] in KERNEL else 0
        total += conv_bn(1, c_in, c_out) if matrix[0][6] else 0
        c_in = c_out
    return total + (c_in + 1) * classes


def matrix_of(arch: spacec.Architecture) -> Matrix:
    matrix = [[0] * 7 for _ in range(7)]
    for v in range(1, 7):
        for u in arch.values[f"cell.pick[{v - 1}]"]:  # type: ignore[union-attr]  # a subset decision
            matrix[u][v] = 1
    return matrix


def ops_of(arch: spacec.Architecture) -> dict[int, int]:
    found = {v: arch.values.get(f"cell.op[{v - 1}]") for v in range(1, 6)}
    return {v: k for v, k in found.items() if isinstance(k, int)}


def arch_of(space: spacec.Space, edges: str, ops: str) -> spacec.Architecture:
    """From edges such as ``01 13 36`` and one letter for each vertex (``3``, ``1`` or ``p``; ``-`` for none)."""
    pairs = [(int(e[0]), int(e[1])) for e in edges.split()]
    chosen: dict[str, int | tuple[int, ...]] = {
        f"cell.pick[{v - 1}]": tuple(sorted(u for u, t in pairs if t == v)) for v in range(1, 7)
    }
    chosen.update({f"cell.op[{v}]": "31p".index(op) for v, op in enumerate(ops) if op != "-"})
    return architecture_of(space.table, chosen)


@pytest.fixture(scope="module")
def space() -> spacec.Space:
    return spacec.load(GRAMMAR)


def test_raw_derivations_are_those_of_a_brute_force(space: spacec.Space) -> None:
    """Every subset of the 21 edges; an operation for every vertex that is reached; the output reached."""
    every = torch.arange(2**21)
    bits = iter(range(21))
    edge = {(u, v): (every >> next(bits)) & 1 for v in range(1, 7) for u in range(v)}
    reached = {0: torch.ones_like(every)}
    for v in range(1, 7):
        reached[v] = torch.stack([edge[u, v] & reached[u] for u in range(v)]).amax(0)
    ways = 3 ** torch.stack([reached[v] for v in range(1, 6)]).sum(0) * reached[6]
    allowed = torch.stack(list(edge.values())).sum(0) <= 9
    assert int((ways * allowed).sum()) == space.count() == 36_023_818
    assert int(ways.sum()) == space.count(where=False) == 211_271_759


def test_cells_by_hand(space: spacec.Space) -> None:
    stem, dense = conv_bn(3, 3, 128), 512 * 10 + 10
    projections = conv_bn(1, 128, 128) * 3 + conv_bn(1, 128, 256) + conv_bn(1, 256, 256) * 2
    projections += conv_bn(1, 256, 512) + conv_bn(1, 512, 512) * 2
    assert space.params(arch_of(space, "06", "-----")) == stem + projections + dense
    thirds = 0  # three ends: 43, 43 and 42 channels of 128, and so on; each is a projection and a 3x3 convolution
    for c_in, c_out, shares in ((128, 128, (43, 43, 42)), (256, 256, (86, 85, 85)), (512, 512, (171, 171, 170))):
        for share in shares:
            thirds += 3 * (conv_bn(1, c_in, share) + conv_bn(3, share, share))
            thirds -= conv_bn(1, c_in, share) - conv_bn(1, c_in // 2, share) if c_out > 128 else 0
    assert space.params(arch_of(space, "01 02 03 16 26 36", "333--")) == stem + thirds + dense


def test_parameters_follow_the_rule(space: spacec.Space) -> None:
    """On any raw cell, once what leads nowhere is taken out."""
    rng = random.Random(0)
    for arch in space.sample(300, seed=5):
        matrix, kept = pruned(matrix_of(arch))
        ops = {v: rng.randrange(3) for v in sorted(kept - {0, 6})}
        chosen: dict[str, int | tuple[int, ...]] = {
            f"cell.pick[{v - 1}]": tuple(u for u in range(v) if matrix[u][v]) for v in range(1, 7)
        }
        chosen.update({f"cell.op[{v - 1}]": k for v, k in ops.items()})
        assert space.params(architecture_of(space.table, chosen)) == parameters(matrix, ops, 128, 3, 10)


def test_a_pruned_network_has_the_published_parameters() -> None:
    """Raw cells with vertices that lead nowhere: ``prune`` builds what NAS-Bench-101 builds."""
    tiny = spacec.load(GRAMMAR, preset="tiny")
    for arch in tiny.sample(12, seed=3):
        network = tiny.network(arch, prune=True)
        assert count_parameters(network) == parameters(matrix_of(arch), ops_of(arch), 12, 1, 10)


def test_truncation_and_order_of_channels() -> None:
    """A vertex takes the first channels of a wider one; the output joins what feeds it in order of vertices."""
    tiny = spacec.load(GRAMMAR, preset="tiny")
    network = tiny.network(arch_of(tiny, "01 12 13 26 36", "11p--"), seed=0).eval()
    text = network.design.program.text()
    assert text.count("torch.narrow(x0, 1, 0, 6)") + text.count("torch.cat([") >= 3
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_no_architecture_without_output(space: spacec.Space) -> None:
    with pytest.raises(spacec.SpacecError, match="leaves the output `logits` absent"):
        space.validate(arch_of(space, "01 12", "33---"))
    assert not any(arch.values["cell.pick[5]"] == () for arch in space.sample(200, seed=1))
