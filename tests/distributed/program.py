"""What two processes do together in the tests, against what each of them does alone: started by ``torchrun``.

``python -m torch.distributed.run … -m tests.distributed.program FOLDER`` writes what process R found to
``FOLDER/found-R.json``; then the second process is killed. A search in several processes is compared with the same
search in one: every weight, optimiser state, running statistic, architecture parameter, source of randomness, metric
and row of the record.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.facade import Space
from spacec.hooks import installed
from spacec.search.config import strategy_config
from spacec.search.ranks import ONE, Ranks, joined
from spacec.search.record import RunStore
from spacec.search.runner import SearchResult, search
from spacec.search.shares import Part
from spacec.search.strategy import Path as Forward
from spacec.search.strategy import Strategy, Trial
from spacec.search.trainer import TrainConfig
from spacec.search.training import train
from spacec.search.within import Within
from spacec.space.architecture import Architecture
from spacec.testing.synthetic import Synthetic

MIXED = """
space mixed(C = 4, classes = 3)
input  image: [2, 6, 6]
output logits: [classes]
def block = skip: identity | conv: conv(3, C) >> bn >> relu | drop: conv(1, C) >> dropout(0.3) | noise
          | max_pool(3) >> bn | path: sep_conv(3) >> drop_path
net = conv(3, C) >> bn >> block * 3 >> global_pool >> linear(classes)
"""
"""Norms, and all that draws: dropout, drop-path, noise."""
TASK = Synthetic({"samples": 20})
CONFIG: Mapping[str, object] = {
    "epochs": 1, "steps": 2, "batch_size": 7, "eval_batch_size": 3, "eval_batches": 2, "arch_from": 0, "arch_every": 1,
    "drop_path": 0.3, "trials": 3, "recalibrate": 1, "device": "cpu",
}  # fmt: skip
"""Batches that do not divide, and in evaluation a last one of two samples."""
TRIALS = TrainConfig(epochs=2, steps=2, batch_size=5, drop_path=0.2)
PROBES = ("hessian", "rayleigh", "wiring")
FAMILIES: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("random", {}),
    ("darts", {"order": "2", "hvp": "finite"}),
    ("darts", {"order": "2", "hvp": "exact"}),
    ("gdas", {}),
    ("snas", {"per_cell": "true"}),
    ("proxylessnas", {"mode": "two"}),
    ("proxylessnas", {"mode": "full"}),
    ("proxylessnas", {"mode": "reinforce"}),
    ("zarts", {}),
    ("clearer", {}),
    ("drnas", {}),
    ("eoinas", {}),
    ("cream", {"matching_every": "1"}),
    ("fairnas", {"batches": "2"}),
    ("tunas", {}),
    ("enas", {"arch_steps": "2", "batch": "2", "hidden": "8", "finalists": "2"}),
)
"""First and second order by both products, sampled and weighed paths, one and several in a step, masks of instances,
gates, no gradient at all."""
SPACES: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("darts", "darts", {"size": [8, 8]}),
    ("ofa", "random", {}),
    ("ddnas", "darts", {}),
)
"""Shipped spaces with picked edges, with elastic sizes, and with layers that have losses of their own."""


def made(name: str, options: Mapping[str, str]) -> Strategy:
    cls: Any = installed().find("spacec_strategies", name).load()
    strategy: Strategy = cls({**cls.tiny, **options})
    return strategy


def run(
    space: Space, strategy: Strategy, ranks: Ranks, config: Mapping[str, object], out: Path | None = None, **how: Any
) -> SearchResult:
    settings = strategy_config(strategy.config, {**CONFIG, **config})
    return search(space, strategy, TASK, settings, out, ranks=ranks, train_config=TRIALS, **how)


# ------------------------------------------------------------------ comparing


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping | list | tuple):
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in parts:
            yield from leaves(part, f"{name}.{key}")
    else:
        yield name, value


def apart(one: Any, other: Any) -> tuple[float, str]:
    """The largest difference of two states, and where it is: infinite for what must be equal and is not."""
    a, b = dict(leaves(one)), dict(leaves(other))
    if a.keys() != b.keys():
        return float("inf"), str(a.keys() ^ b.keys())
    found = (0.0, "")
    for name, x in a.items():
        y = b[name]
        if isinstance(x, Tensor) and x.is_floating_point():
            difference = float((x - y).abs().max()) if x.numel() else 0.0
        elif isinstance(x, Tensor):
            difference = 0.0 if torch.equal(x, y) else float("inf")
        elif isinstance(x, float):
            difference = abs(x - y) if x == x else float("inf") * (y == y)
        else:
            difference = 0.0 if x == y else float("inf")
        found = max(found, (difference, name))
    return found


def state(result: SearchResult, strategy: Strategy) -> dict[str, Any]:
    found = {**result.context.state(), "strategy": strategy.state_dict(), "found": result.architecture.text()}
    return {**found, "metrics": dict(result.metrics), "trials": result.trials, "noise": torch.get_rng_state()}


def rows(out: Path) -> list[Any]:
    """What the record says of a run, but for times and who rated what."""
    with RunStore(out / "run.sqlite") as store:
        (found,) = [run["id"] for run in store.runs()]
        trials = [
            {k: v for k, v in row.items() if k not in ("asked", "finished", "seconds", "worker")}
            for row in store.trials(found)
        ]
        return [store.metrics(found), store.probabilities(found), store.readings(found), store.results(found), trials]


def against_one(ranks: Ranks, space: Space, name: str, options: Mapping[str, str], config: Mapping[str, object]) -> Any:
    together, alone = made(name, options), made(name, options)
    b = state(run(space, together, ranks, config), together)
    if not ranks.leads:
        return None
    a = state(run(space, alone, ONE, config), alone)
    return apart(a, b)


# ------------------------------------------------------------------ what is done


def families(ranks: Ranks) -> dict[str, Any]:
    """Every family on one space, in double precision; one of them in single."""
    space, found = spacec.loads(MIXED), {}
    for name, options in FAMILIES:
        torch.set_default_dtype(torch.float64)
        found[" ".join((name, *options.values()))] = against_one(ranks, space, name, options, {})
    for grammar, name, header in SPACES:
        shipped = spacec.load(f"grammars/{grammar}.space", preset="tiny", **header)
        found[f"{grammar} {name}"] = against_one(ranks, shipped, name, {}, {"steps": 1, "trials": 1})
    torch.set_default_dtype(torch.float32)
    found["float32"] = against_one(ranks, space, "darts", {"order": "2"}, {})
    return found


def survival(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Records, probes, trials, checkpoints and resumption by another number of processes; draws; failures."""
    torch.set_default_dtype(torch.float64)
    space = spacec.loads(MIXED)
    return {
        "record": record(ranks, folder, space),
        "resumed by one": resumed(ranks, ONE, folder / "a", space),
        "resumed by two": resumed(ONE, ranks, folder / "b", space),
        "training": training(ranks, folder, space),
        "trials": [trials(ranks, folder / f"t{asynchronous}", space, asynchronous) for asynchronous in (False, True)],
        "failing alike": failing_alike(ranks, space),
        "one sample": one_sample(ranks, space),
        "draws": draws(ranks),
        "refused": refused(ranks),
        "out of step": out_of_step(ranks, space),
    }


def record(ranks: Ranks, folder: Path, space: Space) -> Any:
    """Rows of a search with probes."""
    outs = []
    for place, name in ((ONE, "one"), (ranks, "both")):
        out = folder / name if place.size > 1 or ranks.leads else None
        probes = [installed().find("spacec_diagnostics", name).load()({}) for name in PROBES]
        run(space, made("darts", {}), place, {"trials": 2}, out, probes=probes)
        outs.append(out)
    if not ranks.leads:
        return None
    return apart(*(rows(out) for out in outs if out is not None))


class Stopped(Exception):
    pass


def resumed(first: Ranks, then: Ranks, out: Path, space: Space) -> Any:
    """A search that ends after its first epoch and goes on in another number of processes, against one that did not."""
    two = first if first.size > 1 else then
    strategy = made("gdas", {})
    own = out if first.size > 1 or two.leads else None
    original = strategy.on_epoch

    def on_epoch(epoch: int) -> None:
        if epoch == 1:
            raise Stopped
        original(epoch)

    strategy.on_epoch = on_epoch  # type: ignore[method-assign]  # this one is stopped
    try:
        run(space, strategy, first, {"epochs": 2}, own)
    except Stopped:
        two.everyone(None)
    again, whole = made("gdas", {}), made("gdas", {})
    if then.size == 1 and not two.leads:
        found = None
    else:
        found = state(run(space, again, then, {"epochs": 2}, out, resume=True), again)
    expected = state(run(space, whole, ONE, {"epochs": 2}), whole) if two.leads else None
    two.everyone(None)
    return apart(expected, found) if two.leads else None


def training(ranks: Ranks, folder: Path, space: Space) -> Any:
    """``spacec train`` of the same architecture."""
    arch = space.sample(1, seed=5)[0]
    config = TrainConfig(epochs=2, steps=3, batch_size=7, drop_path=0.4, ema=0.9, cutout=2, clip=1.0)
    a = train(space, arch, TASK, config)
    b = train(space, arch, TASK, config, folder / "trained", ranks=ranks)
    return apart(*({**r.model.state_dict(), "valid": r.valid, "test": r.test} for r in (a, b)))


def trials(ranks: Ranks, out: Path, space: Space, asynchronous: bool) -> Any:
    """Standalone trials: those of one process to the bit, whoever rated them."""
    options = {"asynchronous": asynchronous, "parallel": 3, "trials": 7}
    found = []
    for place in (ONE, ranks):
        strategy = made("evolution", {})
        own = out / str(place.size) if place.size > 1 or ranks.leads else None
        found.append((state(run(space, strategy, place, options, own), strategy), own))
    (one, _), (both, _) = found
    if not ranks.leads:
        return None
    recorded = apart(*(rows(own) for _, own in found if own is not None))
    return [apart(one, both), recorded]


def failing_alike(ranks: Ranks, space: Space) -> Any:
    """Trials that raise on all processes fail, and the search goes on."""

    class Failing(type(made("random", {}))):  # type: ignore[misc]  # found by its name
        def propose(self, n: int) -> list[Trial]:
            return [replace(trial, split="nowhere") for trial in super().propose(n)]

    strategy = Failing(made("random", {}).options)
    try:
        run(space, strategy, ranks, {"epochs": 1})
    except SpacecError as error:
        return error.diagnostics[0].code
    return ""


def one_sample(ranks: Ranks, space: Space) -> Any:
    """A batch of one sample: the second process runs it for nobody."""
    return against_one(ranks, space, "darts", {"order": "2", "hvp": "exact"}, {"batch_size": 1, "epochs": 1})


class Drawing(nn.Module):
    """All the ways to draw, on activations ``[N, C, H, W]``."""

    def forward(self, x: Tensor) -> Tensor:
        found = [
            nn.functional.dropout(x, 0.4),
            nn.functional.dropout2d(x, 0.4),
            nn.functional.dropout(x.transpose(1, 3), 0.4).transpose(1, 3),
            nn.functional.dropout(x.flatten(0, 1), 0.4).view_as(x),
            x * torch.rand_like(x) + torch.randn_like(x),
            x * torch.rand(x.shape[0], 1, 1, 1) + torch.randn(x.shape),
            x + x.new_empty(x.shape).normal_(1.0, 2.0) + x.new_empty(x.shape[0], 1, 1, 1).uniform_(),
            torch.bernoulli(x.sigmoid()),
            x * torch.rand(x.shape[1], 1, 1),
        ]
        return torch.stack(found, 1)


def draws(ranks: Ranks) -> Any:
    x = torch.randn(5, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    expected, after = Drawing()(x), torch.get_rng_state()
    torch.manual_seed(1)
    part = Part.of(ranks, len(x))
    with Within(part):
        own = Drawing()(part.rows(x))
    return apart([expected[part.start : part.start + part.count], after], [own[: part.count], torch.get_rng_state()])


def refused(ranks: Ranks) -> list[str]:
    """What cannot be shared."""
    x = torch.randn(5, 6, 4, 4)
    part = Part.of(ranks, len(x))
    works: list[Callable[[Tensor], Any]] = [
        lambda t: torch.randperm(len(t)),
        lambda t: nn.functional.alpha_dropout(t, 0.5, training=True),
        lambda t: nn.InstanceNorm2d(6, track_running_stats=True)(t),
        lambda t: nn.functional.scaled_dot_product_attention(t, t, t, dropout_p=0.5),
        lambda t: torch.batch_norm(t, None, None, None, None, True, 0.1, 1e-5, False),
    ]
    codes = []
    for work in works:
        try:
            with Within(part):
                work(part.rows(x))
            codes.append("")
        except SpacecError as error:
            codes.append(error.diagnostics[0].code)
    with Within(part):  # what does not draw is let through
        nn.functional.alpha_dropout(x, 0.5, training=False)
        nn.functional.scaled_dot_product_attention(x, x, x)
    return codes


def out_of_step(ranks: Ranks, space: Space) -> Any:
    """A strategy whose draws differ by process."""

    class Wild(type(made("random", {}))):  # type: ignore[misc]  # found by its name
        def masks(self, step: int) -> list[Forward]:
            drawn: Architecture = space.sample(1, seed=ranks.rank + 10 * step)[0]
            return [Forward(self.ctx.mask_of(drawn))]

    try:
        run(space, Wild(made("random", {}).options), ranks, {})
    except SpacecError as error:
        first = error.diagnostics[0]
        return [first.code, *first.notes]
    return []


def lost(ranks: Ranks, folder: Path) -> None:
    """The second process is killed in the middle of a step."""
    steps = count()

    class Dying(type(made("darts", {}))):  # type: ignore[misc]  # found by its name
        def masks(self, step: int) -> Any:
            if next(steps) == 1 and not ranks.leads:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().masks(step)

    run(spacec.loads(MIXED), Dying(made("darts", {}).options), ranks, {}, folder / "lost")


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with joined() as ranks:
        found = {"families": families(ranks), "survival": survival(ranks, folder)}
        (folder / f"found-{ranks.rank}.json").write_text(json.dumps(found))
        ranks.everyone(None)
        lost(ranks, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
