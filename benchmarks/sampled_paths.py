"""Sampled paths: a training step of a supernet under a new architecture against that one network alone.

    python -m benchmarks.sampled_paths

Needs the distribution spacec-random, as `make` installs it. Measured on one thread, in processor time:

*A step*: for every architecture drawn, the supernet (its plan of it forgotten), the network that `space.network` builds
with the supernet's weights, and the supernet again take turns: forward and backward in train mode, then a step of SGD
with momentum. Of each architecture the smallest of the turns counts, and the ratio is the median over architectures.

*Through the runner*: `spacec search --strategy random` with shared weights, and a loop by hand over the bare networks
of the very architectures that it draws, on the same batches; they take turns, step by step, inside the runner's
progress call.

*A thousand paths*: that many steps of the search; time of a step, memory, and graphs that torch compiled, by quarter.

The tests of what must not grow are in tests/lower/test_regions.py and test_sampled_paths.py. A run is recorded in
SAMPLED.md beside this file.
"""

from __future__ import annotations

import gc
import itertools
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from spacec_random.strategy import RandomOptions, RandomSearch
from torch import nn
from torch._dynamo.utils import counters

import spacec
from benchmarks.report import ROOT, arguments, machine, publish
from spacec.search.config import SearchConfig
from spacec.search.loader import Stream
from spacec.search.progress import Progress
from spacec.search.runner import search
from spacec.search.strategy import Path as ForwardPath
from spacec.space.architecture import Architecture
from spacec.testing.inputs import example_inputs
from spacec.testing.synthetic import Synthetic, SyntheticOptions

TARGET = 0.05
TURNS = 5
WARM_UP = 3
STEPS = 1000
QUARTERS = 4


@dataclass(frozen=True)
class Case:
    """A space, its preset (``None``: as published but for ``params``) and the batch."""

    name: str
    preset: str | None
    batch: int
    params: tuple[tuple[str, int], ...] = ()

    def load(self) -> spacec.Space:
        given = dict(self.params) if self.preset is None else {"preset": self.preset}
        return spacec.load(ROOT / f"grammars/{self.name}.space", **given)

    @property
    def text(self) -> str:
        sizes = ", ".join(f"{name} {value}" for name, value in self.params)
        return f"| {self.name} | {self.preset or sizes or '-'} | {self.batch} "


CASES = (
    Case("nas_bench_201", "tiny", 4),
    Case("nas_bench_201", None, 16),
    Case("darts", "tiny", 4),
    Case("cream", "tiny", 16),
    Case("ofa", "tiny", 16),
    Case("ofa", None, 8, (("size", 64),)),
    Case("autoformer", "tiny", 16),
    Case("autoformer", None, 2, (("size", 112),)),
)
SEARCHES = (Case("nas_bench_201", "tiny", 64), Case("ofa", "tiny", 64), Case("ofa", None, 8, (("size", 64),)))
THOUSAND = (Case("nas_bench_201", "tiny", 4), Case("ofa", "tiny", 4))


@dataclass(frozen=True)
class Found:
    """Medians over architectures: seconds of the network alone, and of the supernet over it for a path that is new to
    it and for one whose plan it has; the last also with the optimiser's step, over the network's with its own."""

    alone: float
    new: float
    known: float
    stepped: float


def _sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), 1e-4, momentum=0.9, weight_decay=3e-4)


def _step(
    model: nn.Module, sgd: torch.optim.Optimizer, inputs: Mapping[str, Any], **options: Any
) -> tuple[float, float]:
    """Seconds of forward and backward, and of all with the optimiser's step."""
    sgd.zero_grad(set_to_none=True)
    start = time.process_time()
    out = model(**inputs, **options)
    value = out if isinstance(out, torch.Tensor) else getattr(out, "prediction", None)
    loss = next(iter(out.values())) if value is None else value
    loss.square().mean().backward()
    taken = time.process_time() - start
    sgd.step()
    return taken, time.process_time() - start


def measure(case: Case, architectures: int) -> Found:
    """One case; every architecture is new."""
    space = case.load()
    net = space.supernet(seed=0).train()
    inputs = example_inputs(space, case.batch)
    sgd = _sgd(net)
    rows = []
    for architecture in space.sample(architectures, seed=1):
        network = space.network(architecture, weights=net).train()
        own, mask = _sgd(network), space.mask(architecture)
        _step(network, own, inputs)
        _step(net, sgd, inputs, mask=mask)
        turns = []
        for _ in range(TURNS):
            net.blueprint.plans.clear()
            new, _ = _step(net, sgd, inputs, mask=mask)
            alone = _step(network, own, inputs)
            turns.append((new, *alone, *_step(net, sgd, inputs, mask=mask)))
        new, single, single_stepped, known, stepped = map(min, zip(*turns, strict=True))
        rows.append((single, new / single, known / single, stepped / single_stepped))
    return Found(*map(statistics.median, zip(*rows, strict=True)))


class Watched(RandomSearch):
    """Random search with shared weights that tells which architecture its step trains."""

    drawn: Architecture

    def masks(self, step: int) -> Sequence[ForwardPath]:
        self.drawn = self.ctx.sample()
        return [ForwardPath(self.ctx.mask_of(self.drawn))]


def _watched() -> Watched:
    return Watched(RandomOptions(samples=1, finalists=1))


def searched(case: Case, steps: int) -> tuple[float, float]:
    """Medians over steps: seconds of the loop by hand, and of the runner over it."""
    space = case.load()
    task = Synthetic(SyntheticOptions(samples=4 * case.batch)).adapt(space.inputs, space.outputs)
    config = SearchConfig(epochs=1, steps=steps + WARM_UP, batch_size=case.batch, eval_every=0, device="cpu")
    stream = Stream(task.splits(config.seed).weights, "weights", config.seed, case.batch, config.steps or 0)
    strategy, weights = _watched(), space.supernet(seed=0)
    runners, hands = [], []
    last = 0.0

    def told(now: Progress) -> None:
        nonlocal last
        if now.phase != "search" or now.message:
            return
        runners.append(time.process_time() - last)
        hands.append(_by_hand(space.network(strategy.drawn, weights=weights).train(), stream, now.step, config))
        last = time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        search(space, strategy, task, config, Path(folder) / "run", progress=told)
    pairs = list(zip(runners, hands, strict=True))[WARM_UP:]
    return statistics.median(h for _, h in pairs), statistics.median(r / h for r, h in pairs)


def _by_hand(network: nn.Module, stream: Stream, step: int, config: SearchConfig) -> float:
    """Seconds of a step; of an optimiser that has begun, as the runner's has."""
    sgd = torch.optim.SGD(network.parameters(), config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    for _ in range(2):
        start = time.process_time()
        batch = stream.batch(0, step)
        sgd.zero_grad(set_to_none=True)
        loss = F.cross_entropy(network(*batch.inputs.values()), batch.target)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        sgd.step()
        float(loss.detach())
    return time.process_time() - start


def thousand(case: Case, steps: int) -> list[tuple[float, float, int]]:
    """By quarter of the steps: median seconds of one, MiB of this process and graphs compiled at its end."""
    space = case.load()
    task = Synthetic(SyntheticOptions(samples=4 * case.batch)).adapt(space.inputs, space.outputs)
    config = SearchConfig(epochs=1, steps=steps, batch_size=case.batch, eval_every=0, device="cpu", optimise="default")
    ends: list[float] = []
    found: list[tuple[float, float, int]] = []

    def told(now: Progress) -> None:
        if now.phase != "search" or now.message:
            return
        ends.append(time.process_time())
        if len(ends) == steps // QUARTERS:
            seconds = statistics.median(b - a for a, b in itertools.pairwise(ends))
            found.append((seconds, _resident(), int(counters["stats"]["unique_graphs"])))
            ends.clear()

    with tempfile.TemporaryDirectory() as folder:
        search(space, _watched(), task, config, Path(folder) / "run", progress=told)
    return found


def _resident() -> float:
    """MiB of memory that this process has now, as Linux tells."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    given = arguments((__doc__ or "").partition("\n")[0], runs=15).parse_args()
    torch.set_num_threads(1)
    facts, some = machine(), max(3, given.runs // 5)
    rows = ["### A thousand paths", "", "| space | preset | batch | quarter | a step | memory | graphs compiled |"]
    rows.append("|---|---|---:|---:|---:|---:|---:|")
    for case in THOUSAND:
        for quarter, (seconds, resident, graphs) in enumerate(thousand(case, STEPS), 1):
            rows.append(f"{case.text}| {quarter} | {1000 * seconds:.1f} ms | {resident:.0f} MiB | {graphs} |")
            print(rows[-1], flush=True)
    rows += ["", "### Through the runner", "", "| space | preset | batch | by hand, alone | runner |"]
    rows.append("|---|---|---:|---:|---:|")
    for case in SEARCHES:
        hand, ratio = searched(case, 2 * given.runs)
        rows.append(f"{case.text}| {1000 * hand:.1f} ms | {ratio:.3f} |")
        print(rows[-1], flush=True)
    rows += ["", "### A step", "", "| space | preset | batch | alone | new path | known path | with the optimiser |"]
    rows.append("|---|---|---:|---:|---:|---:|---:|")
    for case in CASES:
        found = measure(case, given.runs if case.preset else some)
        numbers = f"{found.new:.3f} | {found.known:.3f} | {found.stepped:.3f}"
        rows.append(f"{case.text}| {1000 * found.alone:.1f} ms | {numbers} |")
        print(rows[-1], flush=True)
    publish("SAMPLED", "Sampled paths beside the network alone", facts, told(given.runs, some, given.note), rows)


def told(runs: int, some: int, note: str) -> list[str]:
    """What was measured, for the page."""
    return [
        "A training step of the plain supernet under the mask of one architecture, over that of the network alone:",
        f"medians over {runs} architectures ({some} of the published sizes) of the smallest of {TURNS} turns, in",
        "processor time on one thread. *New*: the supernet has no plan of the path yet. *With the optimiser*: SGD's",
        "step is in, of all weights that have gradients, so of the largest layers. Steps of a few milliseconds show",
        "the constant cost; elastic spaces run slices of their largest weights, which the network alone need not cut.",
        f"The target is a ratio of at most {1 + TARGET:.2f}. *Through the runner*: `spacec search --strategy random`",
        f"with its record, over a loop by hand on the bare networks of the same architectures; {2 * runs} pairs of",
        f"steps. *A thousand paths*: {STEPS} steps of that search with `-o optimise=default`, by quarter.",
        "(`python -m benchmarks.sampled_paths`)",
        note,
    ]


if __name__ == "__main__":
    main()
