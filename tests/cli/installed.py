"""Plugins that tests of commands use, made here: a strategy, a task and a benchmark, found as installed ones are."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path

import pytest

from spacec.hooks import BenchmarkDescriptor, StrategyDescriptor, TaskDescriptor, hookimpl, load_plugins
from spacec.hooks.manager import Candidate
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured
from spacec.space.decisions import DecisionTable

PLACES = ("spacec.facade.benchmarks", "spacec.cli.search", "spacec.cli.tasks", "spacec.job.parts")


def letters(table: DecisionTable, path: Path | None) -> Benchmark:
    """The length of an architecture's text, and an hour."""

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured:
        return Measured({"letters": len(arch.text())}, 3600.0)

    return Benchmark("letters", table, (Measure("letters"),), lookup, {}, "this test")


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the plugins found wherever commands look."""
    module = types.SimpleNamespace(
        spacec_benchmarks=hookimpl(lambda: [BenchmarkDescriptor("letters", "counts", f"{__name__}:letters")]),
        spacec_tasks=hookimpl(lambda: [TaskDescriptor("synthetic", "made up", "spacec.testing.synthetic:Synthetic")]),
        spacec_strategies=hookimpl(
            lambda: [
                StrategyDescriptor("random", "random search", "spacec_random.strategy:RandomSearch"),
                StrategyDescriptor("darts", "DARTS", "spacec_darts.strategy:DARTS"),
            ]
        ),
    )
    found = load_plugins([Candidate("toy", "spacec-toy", "1.0", lambda: module)])
    for place in PLACES:
        monkeypatch.setattr(f"{place}.installed", lambda: found)
