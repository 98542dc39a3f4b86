"""What the runner and the plugin boundary cost: a step of `spacec search --strategy darts` against one written by hand.

    python -m benchmarks.overhead

Needs the distribution spacec-darts, as `make` installs it. The hand-written loop trains the same supernet on the same
batches with plain PyTorch: first-order DARTS, SGD with momentum and clipping, Adam on the logits. The two take turns,
step by step, in one process (the loop runs inside the runner's progress call, which is left out of the runner's time),
and must end with the same weights and logits, bit for bit. The runner writes its run directory as always. Times are of
the processor, on one thread; a run is recorded in OVERHEAD.md beside this file.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from spacec_darts.strategy import DARTS
from torch import Tensor, nn

import spacec
from benchmarks.report import ROOT, arguments, machine, publish
from spacec.search.config import SearchConfig
from spacec.search.loader import Stream
from spacec.search.progress import Progress
from spacec.search.runner import search
from spacec.search.seeds import generator, stable_seed
from spacec.search.task import Splits
from spacec.testing.synthetic import Synthetic, SyntheticOptions

CASES = (("nas_bench_201", 4), ("nas_bench_201", 64), ("darts", 4))
"""Space and batch: tiny ones, beside which a constant cost shows well, and DARTS' own batch."""
WARM_UP = 3
TARGET = 0.02


@dataclass(frozen=True)
class Times:
    """Seconds of the steps after the warm-up, pair by pair."""

    runner: tuple[float, ...]
    plain: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Of a pair's two steps, the median over pairs."""
        return statistics.median(r / p for r, p in zip(self.runner, self.plain, strict=True))

    @property
    def difference(self) -> float:
        """Seconds that the runner adds to a step, the median over pairs."""
        return statistics.median(r - p for r, p in zip(self.runner, self.plain, strict=True))


class Plain:
    """First-order DARTS by hand, on a supernet of its own."""

    def __init__(self, space: spacec.Space, splits: Splits, config: SearchConfig, size: int, steps: int) -> None:
        self.net = space.supernet(seed=stable_seed(config.seed, "weights", "main")).train()
        rng = generator(config.seed, "logits")
        self.alphas = {s.id: nn.Parameter(1e-3 * torch.randn(s.size, generator=rng)) for s in space.slots}
        self._loop = self._steps(splits, config, size, steps)

    def step(self) -> None:
        """An architecture step and a weight step."""
        next(self._loop)

    def _steps(self, splits: Splits, config: SearchConfig, size: int, steps: int) -> Iterator[None]:
        net, alphas = self.net, self.alphas
        arch = list(alphas.values())
        adam = torch.optim.Adam(arch, lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
        sgd = torch.optim.SGD(net.parameters(), config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
        train = Stream(splits.weights, "weights", config.seed, size, steps)
        valid = Stream(splits.arch, "arch", config.seed, size, steps)
        for batch, held_out in zip(train.epoch(0), valid.epoch(0), strict=True):
            mask: dict[str, Tensor] = {slot: a.softmax(0) for slot, a in alphas.items()}
            loss = F.cross_entropy(net(*held_out.inputs.values(), mask=mask).prediction, held_out.target)
            for a, g in zip(arch, torch.autograd.grad(loss, arch, allow_unused=True), strict=True):
                a.grad = g
            adam.step()
            sgd.zero_grad(set_to_none=True)
            mask = {slot: a.detach().softmax(0) for slot, a in alphas.items()}
            loss = F.cross_entropy(net(*batch.inputs.values(), mask=mask).prediction, batch.target)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), config.clip)
            sgd.step()
            float(loss.detach())
            yield


def measure(name: str, batch: int, steps: int) -> Times:
    """Both loops, turn by turn. Raises :class:`AssertionError` where they do not end alike."""
    space = spacec.load(ROOT / f"grammars/{name}.space", preset="tiny")
    task = Synthetic(SyntheticOptions(samples=4 * batch)).adapt(space.inputs, space.outputs)
    config = SearchConfig(epochs=1, steps=steps, batch_size=batch, eval_every=0, device="cpu")
    plain = Plain(space, task.splits(config.seed), config, batch, steps)
    runners, plains = [], []
    last = 0.0

    def told(now: Progress) -> None:
        nonlocal last
        if now.phase != "search":
            return
        end = time.process_time()
        runners.append(end - last)
        plain.step()
        last = time.process_time()
        plains.append(last - end)

    strategy = DARTS()
    with tempfile.TemporaryDirectory() as folder:
        result = search(space, strategy, task, config, Path(folder) / "run", progress=told)
    for key, tensor in plain.net.named_parameters():
        assert torch.equal(tensor, result.context.supernet.get_parameter(key)), f"{key} differs"
    for slot, alpha in plain.alphas.items():
        assert torch.equal(alpha, strategy.logits[slot]), f"logits of {slot} differ"
    return Times(tuple(runners[WARM_UP:]), tuple(plains[WARM_UP:]))


def main() -> None:
    parser = arguments((__doc__ or "").partition("\n")[0], runs=60)
    given = parser.parse_args()
    torch.set_num_threads(1)
    facts = machine()
    rows = ["| space | batch | by hand | runner | ratio | added |", "|---|---:|---:|---:|---:|---:|"]
    for name, batch in CASES:
        times = measure(name, batch, given.runs + WARM_UP)
        hand, run = (1000 * statistics.median(t) for t in (times.plain, times.runner))
        added = 1000 * times.difference
        rows.append(f"| {name} | {batch} | {hand:.1f} ms | {run:.1f} ms | {times.ratio:.3f} | {added:.2f} ms |")
        print(rows[-1], flush=True)
    publish("OVERHEAD", "What the runner costs", facts, told(given.runs, given.note), rows)


def told(runs: int, note: str) -> list[str]:
    """What was measured, for the page."""
    return [
        "A step of first-order DARTS (architecture step and weight step) on the `tiny` preset, by the runner with its",
        f"record and by a hand-written loop that ends with the same bits: medians of {runs} pairs of steps that take",
        "turns, in milliseconds of processor time on one thread. Ratio and difference are medians over the pairs.",
        f"The target is a ratio of at most {1 + TARGET:.2f} at a batch of 64. (`python -m benchmarks.overhead`)",
        note,
    ]


if __name__ == "__main__":
    main()
