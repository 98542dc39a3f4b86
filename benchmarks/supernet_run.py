"""The rows of SUPERNET.md, measured here: one row in one process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from spacec_darts.strategy import DARTS, DARTSOptions

import spacec
from benchmarks import darts_by_hand
from benchmarks.report import ROOT, commit
from benchmarks.supernet_rows import BY_HAND, COMPILED, Row, growth_points, growth_text
from spacec.lower.bench import forms as bench
from spacec.lower.bench.machine import measure_rates, seconds
from spacec.lower.bench.memory import QUIET
from spacec.lower.bench.record import about, alone, measured
from spacec.lower.bench.roofline import work
from spacec.lower.bench.timing import measure_times
from spacec.lower.schedule import Schedule
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.runner import search
from spacec.search.task import Batch
from spacec.testing.synthetic import Synthetic, SyntheticOptions

CPU = torch.device("cpu")

Records = Mapping[str, Mapping[str, Any]]
CACHE = "TORCHINDUCTOR_CACHE_DIR"
"""Names the folder of generated code, to torch."""


def run(row: Row, records: Records) -> dict[str, Any]:
    """The record of a row; ``records`` has the schedule that it runs by, if it has been chosen."""
    torch.set_num_threads(1)
    kinds = {"tune": tune, "times": times, "memory": memory, "second": second, "growth": growth, "paths": paths}
    made = kinds[row.kind](row, setting_of(row, records))
    return {"settings": json.loads(json.dumps(row.settings())), "commit": commit(), **made}


def load(row: Row) -> spacec.Space:
    return spacec.load(ROOT / f"grammars/{row.space}.space", **row.parameters)


def setting_of(row: Row, records: Records) -> bench.Setting:
    known = records.get(row.tuned, {}).get("schedules", {})
    schedules = {goal: Schedule.from_json(value) for goal, value in known.items()}
    return bench.Setting(CPU, row.batch, row.sizes, schedules=schedules)


def asked(space: spacec.Space, row: Row) -> list[bench.Form]:
    return [form for form in bench.forms_for(space) if form.name in row.forms]


def told(name: str, done: int, total: int) -> None:
    print(f"{done}/{total} {name}", file=sys.stderr, flush=True)


def tune(row: Row, setting: bench.Setting) -> dict[str, Any]:
    """The schedule of the optimised form."""
    space = load(row)
    found = bench.tuned(space, setting, row.rounds, lambda text: print(text, file=sys.stderr, flush=True), fresh=True)
    return about(replace(setting, schedules={"fast": found}))


def code_of(row: Row) -> Path:
    """Where generated code of a row's case is kept."""
    return Path(tempfile.gettempdir()) / "spacec-bench" / row.key.rpartition(".")[0]


def times(row: Row, setting: bench.Setting) -> dict[str, Any]:
    """Generated code is made anew, so that the first pass tells what it takes."""
    space = load(row)
    if COMPILED[-1] in row.forms:
        shutil.rmtree(code_of(row), ignore_errors=True)
        os.environ[CACHE] = str(code_of(row))
    peers = [by_hand(space, setting, last) for last in (False, True)] if row.peer else []
    found = measured(space, asked(space, row), setting, row.rounds, told, peers)
    return {"space": {"name": space.name, "digest": space.digest}, **found}


def by_hand(space: spacec.Space, setting: bench.Setting, last: bool) -> bench.Subject:
    """The hand-written DARTS with the weights of the compiled one, on the same inputs and masks."""
    header = space.header
    net = darts_by_hand.Supernet(header["C"], header["layers"], header["classes"]).train()
    darts_by_hand.copy_weights(space.supernet(setting.seed), net)
    inputs = bench.example_inputs(space, setting)
    if last:
        net = net.to(memory_format=torch.channels_last)
        inputs = {name: x.to(memory_format=torch.channels_last) for name, x in inputs.items()}
    form = bench.Form(f"{BY_HAND}{'-last' * last}", f"written by hand{', channels last' * last}", last)

    def outputs(x: Mapping[str, Any], mask: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        weights = (darts_by_hand.weights_of(mask, kind) for kind in ("normal", "reduce"))
        return {"logits": net(x["image"], *weights)}

    return bench.module_subject(form, net, inputs, bench.soft_masks(space, setting.device), outputs)


def memory(row: Row, setting: bench.Setting) -> dict[str, Any]:
    """Each form in a process of its own."""
    found = {}
    names = [form.name for form in asked(load(row), row)] + [BY_HAND, f"{BY_HAND}-last"] * row.peer
    for name in names:
        environment = {**os.environ, **QUIET, "OMP_NUM_THREADS": "1", CACHE: str(code_of(row))}
        command = [sys.executable, "-m", "benchmarks.supernet", "--row", row.key, "--alone", name]
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if ended.returncode:
            raise SystemExit(f"{row.key}, {name}: {ended.stderr[-600:]}")
        found[name] = json.loads(ended.stdout)
        print(name, found[name], file=sys.stderr, flush=True)
    return {**about(setting), "forms": found}


def memory_of(row: Row, name: str, records: Records) -> dict[str, Any]:
    """Memory of one form, in this process."""
    torch.set_num_threads(1)
    space, setting = load(row), setting_of(row, records)
    if name.startswith(BY_HAND):
        return alone(lambda: by_hand(space, setting, name.endswith("-last")), CPU)
    (form,) = (form for form in asked(space, row) if form.name == name)
    return alone(lambda: bench.subject_of(space, form, setting), CPU)


class Watched(DARTS):
    """DARTS, whose architecture steps are timed, each beside one first-order pass on the same batch."""

    schedule: Any = None

    def __init__(self, options: DARTSOptions | Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.pairs: list[tuple[float, float]] = []

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        if self.schedule is not None:
            ctx.supernet.use(self.schedule)

    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Any:
        once = seconds(lambda: self.one_pass(train_batch), CPU)
        values: list[Any] = []
        step = seconds(lambda: values.append(super(Watched, self).arch_step(train_batch, val_batch)), CPU)
        self.pairs.append((step, once))
        return values[0]

    def one_pass(self, batch: Batch) -> None:
        """Forward and backward to weights and logits."""
        with self.ctx.statistics_kept():
            loss = self._train_loss(batch, None, self.weights())
            leaves = [*self.ctx.supernet.parameters(), *self.arch_parameters()]
            torch.autograd.grad(loss, leaves, allow_unused=True)


def second(row: Row, setting: bench.Setting) -> dict[str, Any]:
    """The second-order architecture step, and a first-order pass, in turns."""
    space = load(row)
    task = Synthetic(SyntheticOptions(samples=row.batch * (row.rounds + 1))).adapt(space.inputs, space.outputs)
    config = SearchConfig(epochs=1, steps=row.rounds + 1, batch_size=row.batch, eval_every=0, device="cpu")
    found = {}
    for form in asked(space, row):
        strategy = Watched({"order": 2})
        strategy.schedule = setting.schedule(form)
        with tempfile.TemporaryDirectory() as folder:
            search(space, strategy, task, config, Path(folder) / "run")
        found[form.name] = {"title": form.title, "pairs": strategy.pairs[1:]}
        print(form.name, found[form.name], file=sys.stderr, flush=True)
    return {**about(setting), "forms": found}


def growth(row: Row, setting: bench.Setting) -> dict[str, Any]:
    """Times over the number of cells, or of candidates."""
    points: list[dict[str, Any]] = []
    rates = measure_rates(CPU)
    for cells, candidates in growth_points(row.key):
        space = spacec.loads(growth_text(candidates), cells=cells)
        subjects = [bench.subject_of(space, form, setting) for form in asked(space, row)]
        passes = measure_times(subjects, CPU, row.rounds, told)
        floor = work(space.flat, space.table, {}, row.batch).seconds(rates)
        seconds_of = {s.name: {"title": s.title, "seconds": list(passes[s.name].rounds)} for s in subjects}
        points.append({"cells": cells, "candidates": candidates, "floor": floor, "forms": seconds_of})
        print(points[-1], file=sys.stderr, flush=True)
    return {**about(setting), "points": points}


def paths(row: Row, setting: bench.Setting) -> dict[str, Any]:
    """A pass of a supernet under one sampled path, and one of that network alone, in turns; a new path each time."""
    space = load(row)
    archs = space.sample(row.rounds + 1, seed=1)
    found = {}
    for form in asked(space, row):
        net = bench.supernet_of(space, form, setting)
        pairs = [path_and_network(space, net, form, setting, arch) for arch in archs]
        found[form.name] = {"title": form.title, "pairs": pairs[1:]}
        print(form.name, found[form.name], file=sys.stderr, flush=True)
    return {**about(setting), "forms": found}


def path_and_network(
    space: spacec.Space, net: Any, form: bench.Form, setting: bench.Setting, arch: spacec.Architecture
) -> tuple[float, float]:
    """Seconds of both, the faster of two passes each."""
    mask, inputs = space.mask(arch), bench.inputs_of(space, form, setting)
    alone = space.network(arch, weights=net).train()
    if setting.is_last(form):
        alone = alone.to(memory_format=torch.channels_last)
    sampled = bench.module_subject(form, net, inputs, {}, lambda x, _: net(x, mask=mask).outputs)
    single = bench.module_subject(form, alone, inputs, {}, lambda x, _: {"logits": alone(**x)})
    single.step()
    times = [(seconds(sampled.step, CPU), seconds(single.step, CPU)) for _ in range(2)]
    return min(a for a, _ in times), min(b for _, b in times)
