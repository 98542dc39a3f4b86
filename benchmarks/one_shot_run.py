"""Rows of ONE_SHOT.md: a network trained alone, and a supernet whose weights rate the same networks.

A record is plain JSON: the settings, what ran it, and what was found. Times are CPU seconds of this process, which
computes with one thread.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

import spacec
from benchmarks.one_shot_rows import OPS
from benchmarks.strategy_run import Held, Record, load_space, make_strategy, make_task, ran, retrain
from spacec.search.options import parse_options
from spacec.search.runner import search
from spacec.search.trainer import TrainConfig


def alone(settings: Mapping[str, Any]) -> Record:
    """Train the network once for each seed, and judge each on the test images."""
    space, task = _on(settings)
    arch = architecture(space, settings["digits"])
    return {
        "settings": dict(settings),
        "ran": ran(),
        "params": space.params(arch),
        "macs": space.cost(arch, "macs"),
        "runs": [retrain(space, arch, task, _training(settings["training"], seed)) for seed in settings["seeds"]],
    }


def shared(settings: Mapping[str, Any]) -> Record:
    """Train a supernet, and rate every network with its weights: norms estimated anew, and as training left them."""
    space, task = _on(settings)
    strategy, config = make_strategy(settings)
    record: Record = {"settings": dict(settings), "ran": ran(strategy)}
    began = time.process_time()
    ctx = search(space, strategy, task, config).context
    record["seconds"] = round(time.process_time() - began, 1)
    archs = [architecture(space, digits) for digits in settings["networks"]]
    for name, batches in (("recalibrated", settings["recalibrate"]), ("plain", 0)):
        rated = [ctx.evaluate(arch, batches=settings["batches"], recalibrate=batches) for arch in archs]
        record[name] = [round(metrics["accuracy"], 5) for metrics in rated]
    return record


def architecture(space: spacec.Space, digits: str) -> spacec.Architecture:
    """The network that the published table names by these digits, layer by layer."""
    chosen = ",".join(OPS[int(digit)] for digit in digits)
    return space.architecture(f"{space.digest[:8]}:net={chosen}")


def _training(options: Mapping[str, str], seed: int) -> TrainConfig:
    return parse_options(TrainConfig, {**options, "seed": str(seed), "device": "cpu"}, "training")


def _on(settings: Mapping[str, Any]) -> tuple[spacec.Space, Held]:
    """The space, and the data, which are divided in the same way for all rows."""
    torch.set_num_threads(1)
    space = load_space(settings["space"])
    return space, Held(make_task(settings["task"]), space, settings["split_seed"])
