"""Predicted against measured latency: ops measured one by one and added up, beside whole networks.

    python benchmarks/latency.py [DEVICE [BATCH]]

For each space, every op of a few architectures is measured alone, as `spacec profile` does; their sum is the
prediction of `latency("table.csv")`. Then the network itself is timed on the same device. The ratio says what
adding up leaves out (overlap, caches, what Python takes between ops). The last lines say
how many architectures of a batch are costed in a second.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import spacec
from spacec.ir.flatten import flatten
from spacec.lower.profile import Timing, device_name, milliseconds
from spacec.space.latency import distinct_applications
from spacec.testing.inputs import example_inputs

GRAMMARS = Path(__file__).parents[1] / "grammars"
SPACES = ("nas_bench_201", "darts", "nas_bench_macro", "nds_resnet")
ARCHITECTURES = 4


def network_ms(space: spacec.Space, arch: spacec.Architecture, timing: Timing) -> float:
    """Milliseconds of a forward pass, the median of several; on a CPU of its own time, as a machine may be shared."""
    clock = time.process_time if timing.device.type == "cpu" else time.perf_counter
    network = space.network(arch, seed=0).to(timing.device).eval()
    inputs = {name: x.to(timing.device) for name, x in example_inputs(space, timing.batch).items()}
    times = []
    with torch.no_grad():
        for k in range(timing.warmup + timing.repeats):
            _wait(timing.device)
            start = clock()
            network(**inputs)
            _wait(timing.device)
            times += [clock() - start] if k >= timing.warmup else []
    return statistics.median(times) * 1e3


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compare(name: str, timing: Timing) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space")
    flat = flatten(space.graph, full=True)
    with TemporaryDirectory() as folder:
        for k, arch in enumerate(space.sample(ARCHITECTURES, seed=0)):
            table = Path(folder) / f"{k}.csv"
            needed = distinct_applications(flat, space.table, {}, arch)[0]
            rows = [(a.op, a.input, a.attributes, milliseconds(flat, a.node, a.values, timing)) for a in needed]
            lines = ["op,input,attributes,ms", *(",".join(map(str, row)) for row in rows), "*,*,,0"]
            table.write_text("\n".join(lines))
            cost = f'latency("{table}")'
            predicted = space.where(f"{cost} >= 0").cost(arch, cost)
            real = network_ms(space, arch, timing)
            print(f"{name:16} predicted {predicted:8.3f} ms  measured {real:8.3f} ms  ratio {predicted / real:5.2f}")


def rate(work: Callable[[], object], count: int) -> str:
    work()
    start = time.process_time()
    work()
    return f"{count / (time.process_time() - start):,.0f}/s"


def main() -> None:
    torch.set_num_threads(1)
    device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")
    timing = Timing(device, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    print(f"{device_name(device)}, torch {torch.__version__}, batch {timing.batch}")
    for name in SPACES:
        compare(name, timing)
    darts = spacec.load(GRAMMARS / "darts.space")
    batch = darts.batch(darts.sample(20_000, seed=0))
    for cost in ("params", "macs", "activations", "nodes"):
        print(f"darts {cost:12} of a batch {rate(lambda cost=cost: darts.costs(batch, cost), len(batch))}")


if __name__ == "__main__":
    main()
