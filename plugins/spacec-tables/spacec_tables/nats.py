"""The files of NAS-Bench-201 and NATS-Bench as their authors give them, read without their packages.

- ``NATS-tss-v1_0-3ffb9.pickle.pbz2`` and ``NATS-sss-v1_0-50262.pickle.pbz2``: one packed pickle;
- ``NATS-tss-v1_0-3ffb9-simple`` and ``NATS-sss-v1_0-50262-simple``: the folder that their ``.tar`` unpacks to, with
  ``meta.pickle.pbz2`` and one file for each architecture, which is read when it is asked for;
- ``NAS-Bench-201-v1_1-096897.pth``: one file of PyTorch (torch is imported to read it).

All hold, per architecture and length of training, the results of each data set and seed, with the accuracy after every
epoch. Nothing in a file can run code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from spacec.search.files import check_unpacked
from spacec.space.benchmark import Measure, Measured, unreadable
from spacec_tables.sources import unpickled

PACKED = ".pickle.pbz2"
SEEDS = ("mean", "777", "888", "999")
DATASETS = {"cifar10": "cifar10-valid", "cifar100": "cifar100", "imagenet16-120": "ImageNet16-120"}
"""As they are asked for, and as the files call them: CIFAR-10 trained without its validation half."""
MEASURES = (
    Measure("val_acc", "max", "%", "validation accuracy after the last epoch"),
    Measure("test_acc", "max", "%", "test accuracy after the last epoch, where the file has it"),
    Measure("latency", "min", "s", "of a batch"),
    Measure("model_size", "min", "M", "weights"),
    Measure("flops", "min", "M", "multiplies"),
)

_LENGTHS = {"less": "12", "full": "200"}
"""Lengths of training as the old format calls them."""


class Results:
    """An opened file or folder. Raises :class:`SpacecError` (E0734) for anything else."""

    def __init__(self, benchmark: str, path: Path) -> None:
        self.benchmark = benchmark
        self.path = path
        found = self._packed(path / f"meta{PACKED}") if path.is_dir() else self._whole()
        if not isinstance(found, dict) or "meta_archs" not in found:
            raise unreadable(benchmark, path, "it has no list of architectures")
        self.index = {arch: k for k, arch in enumerate(found["meta_archs"])}
        self._read: dict[int, Mapping[str, Any]] = dict(found.get("arch2infos", {}))

    def measured(self, arch: str, which: Mapping[str, str]) -> Measured | None:
        """The results of an architecture by its own string; ``None`` where the file lacks it, or what is asked."""
        index = self.index.get(arch)
        lengths = None if index is None else self._lengths(index)
        if lengths is None or which["epochs"] not in lengths:
            return None
        state = lengths[which["epochs"]]
        results = {seed: r for (name, seed), r in state["all_results"].items() if name == DATASETS[which["dataset"]]}
        if which["seed"] != SEEDS[0]:
            results = {seed: r for seed, r in results.items() if str(seed) == which["seed"]}
        return _mean(results) if results else None

    def _lengths(self, index: int) -> Mapping[str, Any] | None:
        """By length of training, what is known of an architecture."""
        own = self.path / f"{index:06d}{PACKED}"
        if index not in self._read and own.is_file():
            self._read[index] = self._packed(own)
        found = self._read.get(index)
        return None if found is None else {_LENGTHS.get(name, name): state for name, state in found.items()}

    def _whole(self) -> Any:
        return self._torch() if self.path.suffix == ".pth" else self._packed(self.path)

    def _packed(self, path: Path) -> Any:
        return unpickled(self.benchmark, path)

    def _torch(self) -> Any:
        import torch  # only this format needs it

        try:
            if zipfile.is_zipfile(self.path):  # an older file of torch is no archive
                with self.path.open("rb") as file:
                    check_unpacked(file)
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # strange bytes may fail anywhere in torch's reader
            raise unreadable(self.benchmark, self.path, "it is no file of plain data that torch reads") from error


def _mean(results: Mapping[int, Mapping[str, Any]]) -> Measured:
    """Means over the seeds."""
    rows = list(results.values())
    found: dict[str, list[float | None]] = {
        "val_acc": [_accuracy(r, "x-valid") for r in rows],
        "test_acc": [_accuracy(r, "x-test", "ori-test") for r in rows],
        "latency": [fmean(r["latency"]) if r.get("latency") else None for r in rows],
        "model_size": [float(r["params"]) for r in _consistent(results, "params")],
        "flops": [float(r["flop"]) for r in _consistent(results, "flop")],
    }
    known = {name: [v for v in values if v is not None] for name, values in found.items()}
    metrics = {name: fmean(values) for name, values in known.items() if values}
    costs = [c for r in rows if (c := _seconds(r)) is not None]
    return Measured(metrics, fmean(costs) if costs else None)


def _consistent(results: Mapping[int, Mapping[str, Any]], name: str) -> Sequence[Mapping[str, Any]]:
    """The results to believe about a cost: where the seeds differ, that of 888 (the authors' package does the same)."""
    differ = len({f"{r[name]:.5f}" for r in results.values()}) > 1
    return [results[888]] if differ and 888 in results else list(results.values())


def _accuracy(result: Mapping[str, Any], *sets: str) -> float | None:
    """Accuracy after the last epoch on the first of these sets that was measured."""
    last = int(result["epochs"]) - 1
    found = (result["eval_acc1es"].get(f"{name}@{last}") for name in sets)
    return next((float(v) for v in found if v is not None), None)


def _seconds(result: Mapping[str, Any]) -> float | None:
    """Training to the end and one validation after it."""
    times = result.get("train_times")
    if not times:
        return None
    valid = (result.get("eval_times") or {}).get(f"x-valid@{int(result['epochs']) - 1}") or 0.0
    return float(sum(times.values())) + float(valid)
