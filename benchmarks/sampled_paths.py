"""Sampled paths: a training step of a supernet under a new architecture against that one network alone.

    python -m benchmarks.sampled_paths

For every architecture drawn, the supernet (its plan of it forgotten) and the network that `space.network` builds, with
the supernet's weights, take turns: forward and backward in train mode, the gradients dropped outside the clock. Times
are of the processor, on one thread; of each architecture the smallest of the turns counts, and the ratio is the median
over architectures. The recompilation test is in tests/lower/test_regions.py: a thousand paths, while torch counts
no new graph. A run is recorded in SAMPLED.md beside this file.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import spacec
from benchmarks.report import ROOT, arguments, machine, publish
from spacec.testing.inputs import example_inputs

TARGET = 0.05
TURNS = 4


@dataclass(frozen=True)
class Case:
    """A space, its preset (``None``: as published), the batch, and sizes of free inputs."""

    name: str
    preset: str | None
    batch: int
    sizes: tuple[tuple[str, int], ...] = ()


CASES = (
    Case("nas_bench_201", "tiny", 4),
    Case("nas_bench_201", None, 16),
    Case("nas_bench_201", None, 64),
    Case("darts", "tiny", 4),
    Case("darts", None, 16),
    Case("darts", None, 64),
    Case("cream", "tiny", 16),
    Case("ofa", "tiny", 16),
    Case("autoformer", "tiny", 16),
)


@dataclass(frozen=True)
class Found:
    """Medians over architectures: seconds of the network alone, and of the supernet over it for a path that is new to
    it and for one whose plan it has."""

    alone: float
    new: float
    known: float


def _step(model: nn.Module, inputs: Mapping[str, Any], **options: Any) -> float:
    start = time.process_time()
    out = model(**inputs, **options)
    value = out if isinstance(out, torch.Tensor) else getattr(out, "prediction", None)
    loss = next(iter(out.values())) if value is None else value
    loss.square().mean().backward()
    taken = time.process_time() - start
    for parameter in model.parameters():
        parameter.grad = None
    return taken


def measure(case: Case, architectures: int) -> Found:
    """One case; every architecture is new."""
    path = ROOT / f"grammars/{case.name}.space"
    space = spacec.load(path, preset=case.preset) if case.preset else spacec.load(path)
    net = space.supernet(seed=0).train()
    inputs = example_inputs(space, case.batch, sizes=dict(case.sizes))
    alone, new, known = [], [], []
    for architecture in space.sample(architectures, seed=1):
        network = space.network(architecture, weights=net).train()
        mask = space.mask(architecture)
        _step(network, inputs)
        _step(net, inputs, mask=mask)
        times = []
        for _ in range(TURNS):
            net.blueprint.plans.clear()
            times.append((_step(net, inputs, mask=mask), _step(network, inputs), _step(net, inputs, mask=mask)))
        first, single, again = map(min, zip(*times, strict=True))
        alone.append(single)
        new.append(first / single)
        known.append(again / single)
    return Found(statistics.median(alone), statistics.median(new), statistics.median(known))


def main() -> None:
    parser = arguments((__doc__ or "").partition("\n")[0], runs=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = ["| space | preset | batch | alone | new path | known path |", "|---|---|---:|---:|---:|---:|"]
    for case in CASES:
        found = measure(case, given.runs if case.preset else max(3, given.runs // 5))
        rows.append(
            f"| {case.name} | {case.preset or '-'} | {case.batch} | {1000 * found.alone:.1f} ms "
            f"| {found.new:.3f} | {found.known:.3f} |"
        )
        print(rows[-1], flush=True)
    publish("SAMPLED", "Sampled paths beside the network alone", machine(), told(given.runs, given.note), rows)


def told(runs: int, note: str) -> list[str]:
    """What was measured, for the page."""
    return [
        "A training step (forward and backward) of the plain supernet under the mask of one architecture, over that of",
        f"the network alone: medians over {runs} architectures ({max(3, runs // 5)} of the published sizes) of the",
        f"smallest of {TURNS} turns, processor time on one thread. *New*: the supernet has no plan of the path yet.",
        f"The target is a ratio of at most {1 + TARGET:.2f}. Steps of a few milliseconds show the constant cost;",
        "elastic spaces run slices of their largest weights, which the network alone need not cut.",
        "(`python -m benchmarks.sampled_paths`)",
        note,
    ]


if __name__ == "__main__":
    main()
