"""Laws on random spaces (architecture.md, laws 2 to 5): whatever the grammar, these hold."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import spacec
from spacec.testing.equality import check_selected
from spacec.testing.generate import random_ports, random_space
from spacec.testing.inputs import example_inputs
from tests.lower.helpers import count_parameters

SEEDS = st.integers(0, 10_000)


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_laws_on_several_inputs_and_outputs(seed: int) -> None:
    space = spacec.loads(random_ports(seed, 5))
    if space.count() <= 500:
        assert len(set(space.enumerate())) == space.count()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        supernet, inputs = space.supernet(seed=seed), example_inputs(space, batch=2, seed=seed)
        for arch in space.sample(1, seed=seed):
            check_selected(space, supernet, arch, inputs, training=bool(seed % 2))
    finally:
        torch.set_default_dtype(before)


def compiled(seed: int, size: int = 8) -> spacec.Space:
    return spacec.loads(random_space(seed, size, rank=1 + seed % 2))


def example_input(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 2, *([6] * (1 + seed % 2)), generator=generator, dtype=torch.float64)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_count_is_the_number_of_architectures(seed: int) -> None:
    space = compiled(seed, 6)
    if space.count() <= 3_000:
        everything = list(space.enumerate())
        assert len(everything) == len(set(everything)) == space.count()


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_text_and_json_round_trip(seed: int) -> None:
    space = compiled(seed)
    for arch in space.sample(3, seed=seed):
        assert space.architecture(arch.text()) == arch
        assert space.architecture(space.to_json(arch)) == arch
        assert not set(arch.text()) & set(" \t\n'\"$&|;<>()*?[]#~!`\\{}")


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_digest_does_not_depend_on_sizes(seed: int) -> None:
    text = random_space(seed)
    assert spacec.loads(text).digest == spacec.loads(text, classes=7).digest


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_table_predicts_the_weights_of_built_networks(seed: int) -> None:
    space = compiled(seed)
    for arch in space.sample(2, seed=seed):
        assert count_parameters(space.network(arch, seed=0)) == space.params(arch)


@given(SEEDS, st.booleans())
@settings(max_examples=25, deadline=None)
def test_selected_supernet_equals_network(seed: int, training: bool) -> None:
    """Law 4: outputs, gradients and running statistics, in float64 to 1e-10."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        space = compiled(seed)
        supernet = space.supernet(seed=seed)
        x = example_input(seed)
        for arch in space.sample(2, seed=seed):
            check_selected(space, supernet, arch, {"x": x}, training=training)
    finally:
        torch.set_default_dtype(before)


@given(SEEDS, st.booleans())
@settings(max_examples=25, deadline=None)
def test_soft_masks_at_the_corners_are_the_indices(seed: int, training: bool) -> None:
    """A one-hot that is soft is the index; a slot whose outcome decides sizes takes its index."""
    assume("noise" not in random_space(seed, 8, rank=1 + seed % 2))  # drawn once for each candidate that runs
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        space = compiled(seed)
        supernet = space.supernet(seed=seed)
        x = example_input(seed)
        sizes = {s.id: s.size for s in space.slots}
        sized = {s.id for s in space.slots if s.sized}
        for arch in space.sample(2, seed=seed):
            index = {s: 0 if k is None and s not in sized else k for s, k in space.mask(arch).items()}
            soft = {s: k if k is None or s in sized else torch.eye(sizes[s])[k] for s, k in index.items()}
            outputs = []
            for mask in (index, soft):
                copy = supernet.clone().train(training)
                torch.manual_seed(seed)
                outputs.append(copy(x, mask).prediction)
            torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-10)
    finally:
        torch.set_default_dtype(before)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_expected_cost_of_an_index_is_the_cost(seed: int) -> None:
    space = compiled(seed)
    for arch in space.sample(2, seed=seed):
        assert space.expected_cost(space.mask(arch), "params") == pytest.approx(space.params(arch))


def test_uniform_sampling_passes_chi_squared() -> None:
    """Law 2: one space with conditions, picks and depth; the 0.1 % quantile leaves one false alarm in a thousand."""
    text = (
        "space s\ninput x: [4, 6]\noutput y: [4, 6]\n"
        "def f = a: conv(1) | b: (conv(3) | conv(5)) | c: identity * {1..2}\n"
        "net = dag(x) { return sum(pick 1..2 from [x, x >> f, x >> f]: conv(1) | bn) }\n"
    )
    space = spacec.loads(text)
    size = space.count()
    drawn = Counter(space.sample(40 * size, seed=11))
    assert len(drawn) <= size
    statistic = sum((n - 40) ** 2 / 40 for n in drawn.values()) + 40 * (size - len(drawn))
    degrees = size - 1
    limit = degrees * (1 - 2 / (9 * degrees) + 3.09 * (2 / (9 * degrees)) ** 0.5) ** 3  # Wilson-Hilferty
    assert statistic < limit


SCRIPT = """
import spacec
from spacec.testing.generate import random_ports, random_space
from spacec.testing.inputs import example_inputs
for seed in range(12):
    space = spacec.loads(random_space(seed))
    print(space.digest, space.count(), *(a.text() for a in space.sample(4, seed=seed)))
"""


@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_nothing_depends_on_the_hash_seed(hash_seed: str) -> None:
    def run(value: str) -> str:
        found = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={"PYTHONHASHSEED": value, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        )
        return found.stdout

    assert run(hash_seed) == run("0")
