"""The sandwich rule: its step against the sub-networks built one by one, and who learns from what."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from spacec_oneshot.bignas import BigNas
from spacec_oneshot.ofa import Ofa
from spacec_oneshot.spos import Spos

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.distil import distillation
from spacec.search.runner import search
from spacec.space.architecture import Architecture
from spacec.testing.synthetic import Synthetic

TEXT = """
space wide(rate = 0.5)
input  image: [2, 6, 6]
output logits: [3]
let w = elastic {2, 3, 5}
def block = conv(elastic {1, 3}) >> bn >> relu
net = conv(3, w) >> bn >> relu >> block * elastic {1..3} -> [w, 6, 6] >> dropout(rate) >> global_pool >> linear(3)
"""
SPACE, STILL = spacec.loads(TEXT), spacec.loads(TEXT, rate=0)
PLAIN: dict[str, Any] = {
    "epochs": 1, "steps": 1, "batch_size": 8, "momentum": 0.0, "weight_decay": 0.0, "clip": 0.0, "lr": 0.1,
    "eval_every": 0, "seed": 1,
}  # fmt: skip
FEW = {"search_options": "population=2,generations=1,mutations=0,crossovers=0", "batches": 1}


def run(space: spacec.Space, options: dict[str, object] | None = None, **settings: Any) -> SearchContext:
    config = SearchConfig(**{**PLAIN, **settings})
    return search(space, BigNas({**FEW, **(options or {})}), Synthetic(), config).context


def start(space: spacec.Space) -> Any:
    """The supernet as a search of :data:`PLAIN` begins."""
    spos = Spos(FEW)
    return search(space, spos, Synthetic(), SearchConfig(**{**PLAIN, "lr": 0.0, "lr_min": 0.0})).context.supernet


def architecture(space: spacec.Space, mask: Any) -> Architecture:
    found = [a for a in space.enumerate() if space.mask(a) == mask]
    assert len(found) == 1
    return found[0]


def places(space: spacec.Space, arch: Architecture) -> dict[str, torch.Tensor]:
    """For each weight of the network of ``arch``, which entries of the supernet's (flat) weight it takes."""
    marked: Any = space.supernet(seed=0).double()
    with torch.no_grad():
        for p in marked.parameters():
            p.copy_(torch.arange(p.numel()).reshape(p.shape))
    return {name: p.detach().long() for name, p in space.network(arch, weights=marked).double().named_parameters()}


def test_a_step_is_that_of_the_networks_built_one_by_one() -> None:
    """Largest by its smoothed labels, the others by what it predicts; gradients summed in the supernet's weights."""
    ctx = run(STILL, label_smoothing=0.1)
    assert ctx.last is not None
    net, batch = start(STILL), ctx.last.batch
    archs = [architecture(STILL, path.mask) for path in ctx.last.paths]
    total = {name: torch.zeros(p.numel()) for name, p in net.named_parameters()}
    taught: Any = None
    for arch in archs:
        alone: Any = STILL.network(arch, weights=net).train()
        out: Any = Out(alone(batch.inputs["image"]))
        if taught is None:
            loss = torch.nn.functional.cross_entropy(out.prediction, batch.target, label_smoothing=0.1)
        else:
            loss = distillation(out, taught)
        loss.backward()
        taught = taught or out
        for name, at in places(STILL, arch).items():
            total[name].index_add_(0, at.flatten(), alone.get_parameter(name).grad.flatten())
    for name, p in net.named_parameters():
        expected = p.detach() - 0.1 * total[name].reshape(p.shape)
        torch.testing.assert_close(ctx.supernet.get_parameter(name).detach(), expected, rtol=1e-5, atol=1e-6)


class Out:
    def __init__(self, prediction: torch.Tensor) -> None:
        self.prediction = prediction


def test_the_largest_the_smallest_and_drawn_ones_run() -> None:
    ctx = run(SPACE, {"drawn": 3}, steps=4)
    assert ctx.last is not None
    first, second, *drawn = (architecture(SPACE, path.mask) for path in ctx.last.paths)
    sizes = [SPACE.params(a) for a in SPACE.enumerate()]
    assert (SPACE.params(first), SPACE.params(second)) == (max(sizes), min(sizes))
    assert len(drawn) == 3
    assert [(p.weight, p.teacher, p.noise) for p in ctx.last.paths] == [(1.0, None, True), *[(0.0, 0, False)] * 4]


def test_labels_may_teach_all() -> None:
    ctx = run(SPACE, {"labels": 0.5})
    assert ctx.last is not None
    assert [p.weight for p in ctx.last.paths] == [1.0, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(("kind", "steps"), [(BigNas, 50), (Ofa, 50)])
def test_a_thousand_elastic_paths_keep_nothing(kind: type[BigNas | Ofa], steps: int) -> None:
    """What is alive after the third of five epochs and after the last: as many objects, of the same size.

    Tuples are left out: the collector of garbage takes those of numbers and texts off its list when it happens to look.
    """
    alive: list[tuple[int, int]] = []

    class Counted(kind):  # type: ignore[valid-type, misc]  # a class that is a parameter
        def on_epoch_end(self, epoch: int, found: Mapping[str, float]) -> None:
            gc.collect()
            objects = [o for o in gc.get_objects() if type(o) is not tuple]
            alive.append((len(objects), sum(map(sys.getsizeof, objects))))

    options = {**FEW, "lengths": "1,0,0,0,0,9"} if kind is Ofa else FEW
    config = SearchConfig(**{**PLAIN, "epochs": 5, "steps": steps, "batch_size": 2, "lr": 0.01})
    search(SPACE, Counted(options), Synthetic(), config)
    assert abs(alive[4][0] - alive[2][0]) < 60
    assert abs(alive[4][1] - alive[2][1]) < 20_000


@pytest.mark.parametrize("strategy", [BigNas, Ofa])
def test_a_space_whose_ends_are_not_known_is_refused(strategy: Any) -> None:
    class Unknown:
        def __getattr__(self, name: str) -> Any:
            return getattr(spacec.loads(TEXT), name)

        def extreme(self, name: str, end: str) -> Architecture:
            return SPACE.extreme("no such cost", "min")

    why = strategy(FEW).unsupported(Unknown())
    assert why.startswith("its smallest and its largest network are not known")
    assert not strategy(FEW).unsupported(SPACE)


def test_another_searcher_has_no_options_but_those_given() -> None:
    assert Ofa({"search": "random"}).searcher.options.samples is None
    assert Ofa().searcher.options.generations == 500
    with pytest.raises(SpacecError):
        Ofa({"search": "random", "search_options": "generations=3"})
