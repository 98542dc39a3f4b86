"""One row of STRATEGIES.md: a search, the retraining of its pick, and what is measured of both, as a record.

A record is plain JSON: the settings, what ran it, and what was found. Times are CPU seconds of this process, which
computes with one thread.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from math import ceil
from pathlib import Path
from typing import Any

import torch
from spacec_probes.derivation import skips_by_owner
from spacec_probes.hessian import Hessian

import spacec
from benchmarks.report import ROOT, commit, processor
from spacec.hooks import installed
from spacec.search.config import SearchConfig, parse_search_options
from spacec.search.context import SearchContext
from spacec.search.environment import versions
from spacec.search.options import parse_options
from spacec.search.record import RunStore
from spacec.search.runner import search
from spacec.search.seeds import stable_seed
from spacec.search.strategy import Strategy
from spacec.search.task import Batch, OutLike, Port, Splits, Task
from spacec.search.trainer import TrainConfig
from spacec.search.training import train
from spacec.search.wiring import input_types, output_types

Record = dict[str, Any]

HESSIAN = {"tolerance": "0.01", "products": "16"}


def run(settings: Mapping[str, Any]) -> Record:
    """The record of a row with these settings; an unsupported pair gives one that says what it lacks."""
    torch.set_num_threads(1)
    space = load_space(settings["space"])
    task = Held(make_task(settings["task"]), space, settings["seed"])
    training = parse_options(TrainConfig, {**settings["training"], **_run_of(settings)}, "training")
    record: Record = {"settings": dict(settings), "digest": space.digest}
    if settings["strategy"]["name"] is None:
        arch = space.sample(1, seed=stable_seed(settings["seed"], "uniform"))[0]
        record |= {"ran": ran(), "search": None}
    else:
        strategy, config = make_strategy(settings)
        record["ran"] = ran(strategy)
        if why := strategy.unsupported(space):
            return {**record, "unsupported": why}
        arch, found = searched(space, strategy, task, config, training)
        record |= found
    record["pick"] = pick(space, arch)
    record["retraining"] = retrain(space, arch, task, training)
    if "random" in settings:
        others = of_equal_size(space, arch, settings["random"], settings["seed"])
        record["random"] = [
            {"pick": pick(space, other), "retraining": retrain(space, other, task, training)} for other in others
        ]
    return record


def searched(
    space: spacec.Space, strategy: Strategy, task: Task, config: SearchConfig, training: TrainConfig
) -> tuple[spacec.Architecture, Record]:
    """What a search finds, and its time, memory, course and curvature."""
    with RunStore(None) as store, peak() as memory:
        began = time.process_time()
        found = search(space, strategy, task, config, train_config=training, store=store)
        record = {"seconds": round(time.process_time() - began, 2), "memory": memory(), **_course(space, store)}
    curvature = {"hessian": hessian(found.context, strategy)} if strategy.uses_supernet else {}
    return found.architecture, {"search": record, **curvature}


def of_equal_size(
    space: spacec.Space, arch: spacec.Architecture, wanted: Mapping[str, Any], seed: int
) -> list[spacec.Architecture]:
    """Distinct architectures other than ``arch``, drawn uniformly among those with about as many weights.

    ``wanted``: how many (``count``), and by what share their number of weights may differ (``tolerance``).
    """
    params = space.params(arch)
    least, most = ceil(params * (1 - wanted["tolerance"])), int(params * (1 + wanted["tolerance"]))
    near = space.where(f"params >= {least} and params <= {most}")
    drawn = near.sample(20 * wanted["count"], seed=stable_seed(seed, "equal size"))
    distinct = dict.fromkeys(other.text() for other in drawn if other.text() != arch.text())
    return [space.architecture(text) for text in list(distinct)[: wanted["count"]]]


class Held(Task):
    """A task in the form that fits ``space``, its data read once, before anything is measured."""

    def __init__(self, task: Task, space: spacec.Space, seed: int) -> None:
        self.task = task.adapt(input_types(space.flat), output_types(space.flat))
        super().__init__(self.task.options)
        self.name, self.metrics = self.task.name, self.task.metrics
        self.held = self.task.splits(seed)

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self.task.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        return self.task.outputs

    def splits(self, seed: int) -> Splits:
        return self.held

    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, torch.Tensor]:
        return self.task.loss_terms(out, batch, smoothing)

    def measure(self, out: OutLike, batch: Batch) -> dict[str, torch.Tensor]:
        return self.task.measure(out, batch)


def load_space(settings: Mapping[str, Any]) -> spacec.Space:
    return spacec.load(ROOT / settings["file"], **settings["parameters"])


def make_task(settings: Mapping[str, Any]) -> Task:
    task: Task = installed().find("spacec_tasks", settings["name"]).load()(settings["options"])
    return task


def make_strategy(settings: Mapping[str, Any]) -> tuple[Strategy, SearchConfig]:
    """The strategy, and the settings of its search."""
    own = settings["strategy"]
    cls: Any = installed().find("spacec_strategies", own["name"]).load()
    texts = {**own["options"], **_run_of(settings)}
    options, config = parse_search_options(cls.Options, cls.config, texts, f"strategy '{own['name']}'")
    return cls(options), config


def _run_of(settings: Mapping[str, Any]) -> dict[str, str]:
    return {"seed": str(settings["seed"]), "device": "cpu"}


def ran(*objects: object) -> Record:
    """Versions and machine."""
    machine = {"processor": processor(), "kind": kind(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    return {"versions": versions(*objects), "machine": machine, "commit": commit()}


def kind() -> str:
    """Machines of one kind compute bit for bit the same: what the processor can do, in short."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    able = blake2b(flags.encode(), digest_size=4).hexdigest()
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} {able}"


def pick(space: spacec.Space, arch: spacec.Architecture) -> Record:
    return {"text": arch.text(), "params": space.params(arch), "skips": skips(space, arch)}


def skips(space: spacec.Space, arch: spacec.Architecture) -> int:
    """How many slots of an architecture give their input, as the probe ``derivation`` counts them."""
    return sum(skips_by_owner(space, arch).values())


def retrain(space: spacec.Space, arch: spacec.Architecture, task: Task, config: TrainConfig) -> Record:
    """Train from scratch, judge on the test split; the course by epoch in short."""
    with RunStore(None) as store:
        began = time.process_time()
        found = train(space, arch, task, config, store=store)
        seconds = time.process_time() - began
        (ran,) = store.runs()
        metric = task.metrics[0].name
        course = {name: curve(store, ran["id"], "valid", name) for name in ("train_loss", metric)}
    return {"seconds": round(seconds, 2), "epoch": found.epoch, "test": dict(found.test), "epochs": course}


def hessian(ctx: SearchContext, strategy: Strategy) -> Record:
    """The probe ``hessian`` once, on the supernet and the mask with which the search ended."""
    probe = Hessian(HESSIAN)
    with ctx.mode(training=True):
        probe.setup(ctx, strategy)
        return dict(probe.on_epoch_end(ctx.epochs))


def curve(store: RunStore, number: int, phase: str, name: str) -> list[float]:
    """A value by epoch."""
    return [float(f"{row['value']:.5g}") for row in store.metrics(number, phase, name) if row["step"] == -1]


def _course(space: spacec.Space, store: RunStore) -> Record:
    """The search by epoch: training loss, and skips and weights of what would have been derived."""
    (ran,) = store.runs()
    derived = [a for a in store.architectures(ran["id"]) if a["role"] == "derived"]
    return {
        "trials": len(store.trials(ran["id"])),
        "epochs": {
            "train_loss": curve(store, ran["id"], "search", "train_loss"),
            "skips": [skips(space, space.architecture(a["text"])) for a in derived],
            "params": [a["costs"]["params"] for a in derived],
        },
    }


@contextmanager
def peak() -> Iterator[Any]:
    """A function for the MiB that this process has taken at most since the ``with`` began, beyond what it held then.

    Linux only; elsewhere the function gives ``None``.
    """
    status = Path("/proc/self/status")

    def held(name: str) -> float:
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith(name))
        return int(line.split()[1]) / 1024

    if not status.exists():
        yield lambda: None
        return
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest mark starts anew
    before = held("VmRSS:")
    yield lambda: round(held("VmHWM:") - before, 1)
