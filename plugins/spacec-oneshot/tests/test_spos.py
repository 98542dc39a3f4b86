"""SPOS: what a step draws, alone and by bins of cost; limits of the search; norms; a thousand paths."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from spacec_oneshot.base import OneShot
from spacec_oneshot.fairnas import FairNas
from spacec_oneshot.spos import Spos
from torch._dynamo.utils import counters

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.loader import ordered
from spacec.search.runner import search
from spacec.search.strategy import Path
from spacec.search.task import Output
from spacec.space.architecture import Architecture
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space free(c = 4, classes = 3)
input  x: [c, H, W]
output logits: [classes]
def layer = a: conv(3) >> bn >> relu | b: conv(1) >> bn >> tanh | e: sep_conv(3) >> bn
net = layer * 4 >> global_pool >> linear(classes)
""")
TASK = Synthetic({"size": 5})
FEW = {"search_options": "population=2,generations=1", "batches": 1}
ONE = SearchConfig(epochs=1, steps=1, batch_size=4, eval_every=0)


def context(options: Mapping[str, object], space: Any = SPACE) -> tuple[Spos, SearchContext]:
    strategy = Spos({**FEW, **options})
    return strategy, search(space, strategy, TASK, ONE).context


def drawn(strategy: Spos, count: int) -> list[Architecture]:
    """The architectures of so many steps, by their masks."""
    by_mask = {tuple(strategy.ctx.mask_of(a).items()): a for a in SPACE.enumerate()}
    return [by_mask[tuple(path.mask.items())] for _ in range(count) for path in strategy.masks(0) if path.mask]


def test_paths_are_uniform() -> None:
    strategy, _ = context({})
    counts = Counter(drawn(strategy, 81 * 30))
    assert len(counts) == SPACE.count() == 81
    assert sum((n - 30) ** 2 / 30 for n in counts.values()) < 125.0, "chi-squared of 80 degrees, one in a thousand"


def test_a_bin_is_drawn_and_then_a_path_uniformly_in_it() -> None:
    costs = {arch: SPACE.cost(arch, "macs", H=5, W=5) for arch in SPACE.enumerate()}
    edges = [min(costs.values()), 5000, 8000, max(costs.values())]
    strategy, ctx = context({"bins": ",".join(map(str, edges))})
    assert ctx.sizes == {"H": 5, "W": 5}, "costs are those at the size of the data"
    members = [
        [a for a, c in costs.items() if low <= c < high] for low, high in zip(edges, [*edges[1:-1], 1e9], strict=False)
    ]
    assert sum(map(len, members)) == 81
    assert len({len(m) for m in members}) > 1, "the bins are not alike"
    counts = Counter(drawn(strategy, 3000))
    expected = {a: 1000 / len(m) for m in members for a in m}
    assert sum((counts[a] - e) ** 2 / e for a, e in expected.items()) < 125.0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"bins": "5"}, "E0703"),
        ({"bins": "5,5"}, "E0703"),
        ({"bins": "1,2"}, "E0511"),
        ({"bins": "1,9e9", "cost": "flops"}, "E0512"),
        ({"search_options": "limits=params<=1"}, "E0511"),
        ({"search_options": "limits=score>=0.5"}, "E0860"),
        ({"search_options": "limits=params"}, "E0860"),
    ],
)
def test_what_cannot_be_kept_is_said_before_anything_runs(options: dict[str, object], code: str) -> None:
    with pytest.raises(SpacecError) as error:
        context(options)
    assert error.value.diagnostics[0].code == code


def test_the_search_keeps_its_limits() -> None:
    limits = "limits=params<=430,macs>=4e3"
    strategy, ctx = context({"search_options": f"population=8,generations=3,top=3,mutations=4,crossovers=2,{limits}"})
    known = [SPACE.architecture(text) for text in strategy.searcher.state_dict()["known"]]
    assert len(known) == 24
    assert all(ctx.cost(a) <= 430 and ctx.cost(a, "macs") >= 4000 for a in known)


def test_bins_too_many_to_count_are_drawn_by_trial_without_a_warning() -> None:
    """Under pytest a warning is an error."""
    cream = spacec.load("grammars/cream.space", preset="tiny")
    costs = sorted(cream.macs(a) for a in cream.sample(60))
    strategy, ctx = context({"bins": f"{costs[10]},{costs[30]},{costs[50]}"}, cream)
    assert len([strategy.masks(0) for _ in range(6)]) == 6
    assert ctx.space is cream


class One(Spos):
    """Trains one architecture only."""

    arch: Architecture

    def masks(self, step: int) -> Sequence[Path]:
        self.arch = SPACE.architecture(next(iter(SPACE.enumerate())).text())
        return [self.path(self.arch)]


def test_statistics_are_those_of_the_network_trained_alone() -> None:
    """One path of a supernet, trained and then re-estimated, against a network trained on the same batches by hand."""
    config = SearchConfig(
        epochs=2, steps=3, batch_size=8, eval_every=0, momentum=0.9, weight_decay=1e-3, clip=0, schedule="constant"
    )
    strategy = One(FEW)
    start: dict[str, torch.Tensor] = {}

    class Kept(One):
        def on_epoch(self, epoch: int) -> None:
            if not start:
                start.update({n: t.detach().clone() for n, t in self.ctx.supernet.state_dict().items()})

    strategy = Kept(FEW)
    ctx = search(SPACE, strategy, TASK, config).context
    alone = SPACE.network(strategy.arch)
    alone.load_state_dict({n: start[n] for n in alone.state_dict()})
    optimizer = torch.optim.SGD(alone.parameters(), config.lr, momentum=0.9, weight_decay=1e-3)
    for epoch in range(config.epochs):
        for batch in ctx.stream("weights", "weights").epoch(epoch):
            out = alone(*ctx.wiring.batch_arguments(batch))
            optimizer.zero_grad()
            torch.autograd.backward(ctx.task.loss(Output(out, {"logits": out}), batch))
            optimizer.step()
    trained = ctx.supernet.state_dict()
    assert all(torch.equal(t, trained[n]) for n, t in alone.state_dict().items())

    seen: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    for name, module in alone.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            seen[name] = []
            module.register_forward_pre_hook(
                lambda _, args, to=seen[name]: to.append((args[0].mean((0, 2, 3)), args[0].var((0, 2, 3))))
            )
    with torch.no_grad():
        for batch in ctx.stream("weights", "calibration", steps=4).epoch(0):
            alone(*ctx.wiring.batch_arguments(batch))
    assert len(seen) == 4
    before = {n: b.clone() for n, b in ctx.supernet.named_buffers()}
    with ctx.calibrated(ctx.mask_of(strategy.arch), 4):
        found = {n: b.clone() for n, b in ctx.supernet.named_buffers()}
    for name, moments in seen.items():
        mean, variance = (torch.stack(part).mean(0) for part in zip(*moments, strict=True))
        torch.testing.assert_close(found[f"{name}.running_mean"], mean, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(found[f"{name}.running_var"], variance, rtol=1e-6, atol=1e-6)
    assert all(torch.equal(b, before[n]) for n, b in ctx.supernet.named_buffers()), "put back after the rating"
    alone.load_state_dict({n: found.get(n, t) for n, t in alone.state_dict().items()})
    metrics, score = ctx.evaluate(strategy.arch, recalibrate=4), 0.0
    alone.eval()
    for batch in ordered(ctx.splits["arch"], 8):
        logits = alone(*ctx.wiring.batch_arguments(batch))
        score += float((logits.argmax(1) == batch.target).sum())
    assert metrics["score"] == pytest.approx(score / len(ctx.splits["arch"]))
    assert metrics != ctx.evaluate(strategy.arch, recalibrate=0)


LONG = spacec.loads("""
space long(c = 4, classes = 3)
input  x: [c]
output logits: [classes]
def layer = a: linear >> bn >> relu | b: linear >> bn >> tanh | e: linear >> sigmoid
net = layer * 7 >> linear(classes)
""")


@pytest.mark.parametrize(("kind", "steps"), [(Spos, 200), (FairNas, 67)])
def test_a_thousand_paths_compile_nothing_and_keep_nothing(kind: type[OneShot], steps: int) -> None:
    """Of 2,187 architectures: what is alive after 400 paths and after 1,000 is as many objects, of the same size.

    Tuples are left out: the collector of garbage takes those of numbers and texts off its list when it happens to look.
    """
    alive: list[tuple[int, int]] = []

    class Counted(kind):  # type: ignore[valid-type, misc]  # a class that is a parameter
        def on_epoch_end(self, epoch: int, found: Mapping[str, float]) -> None:
            gc.collect()
            objects = [o for o in gc.get_objects() if type(o) is not tuple]
            alive.append((len(objects), sum(map(sys.getsizeof, objects))))

    counters.clear()
    few = "population=2,samples=2" if kind is FairNas else FEW["search_options"]
    search(
        LONG, Counted({"search_options": few}), TASK, SearchConfig(epochs=5, steps=steps, batch_size=2, eval_every=0)
    )
    assert not counters["frames"], "torch compiled something"
    assert not counters["stats"]
    (objects, size), (objects_after, size_after) = alive[1], alive[4]
    assert abs(objects_after - objects) < 60
    assert abs(size_after - size) < 20_000
