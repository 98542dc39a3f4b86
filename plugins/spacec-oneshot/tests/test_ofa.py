"""Progressive shrinking: what each phase lets differ, its rate, its teacher and its networks."""

from __future__ import annotations

from itertools import pairwise
from math import cos, pi
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spacec_oneshot.ofa import Ofa, starts
from spacec_oneshot.shrinking import FREED, NAMES, Phase, phases

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search.config import SearchConfig
from spacec.search.dimensions import dimensions
from spacec.search.record import RunStore
from spacec.search.runner import search
from spacec.search.strategy import StepReport
from spacec.testing.synthetic import Synthetic

GRAMMARS = Path(__file__).parents[3] / "grammars"
SPACE = spacec.loads("""
space shrinking
input  image: [2, 6, 6]
output logits: [3]
let w = elastic {2, 3, 4, 6}
def block = conv(elastic {1, 3, 5}) >> bn >> relu
net = conv(3, w) >> bn >> relu >> block * elastic {1..3} -> [w, 6, 6] >> global_pool >> linear(3)
""")
FEW: dict[str, object] = {"search_options": "population=2,generations=1,mutations=0,crossovers=0", "batches": 1}
SPACES = ("ofa", "autoformer", "tabular", "transformer_eca", "mnasnet", "nds_resnext_a", "amber")


def parts(space: spacec.Space) -> tuple[Phase, ...]:
    largest = space.extreme("params", "max")
    return phases(space, largest, (1.0,) * 6, (1.0,) * 6, (1, 1, 2, 2, 4, 4))


def test_phases_of_an_elastic_space() -> None:
    found = parts(SPACE)
    assert [(p.name, p.paths) for p in found] == list(zip(NAMES, (1, 1, 2, 2, 4, 4), strict=True))
    seen = []
    for phase in found[1:]:
        assert phase.chances is not None
        drawn = phase.chances.sample(300, 0)
        ids = ("net.block[0].conv[0].kernel[0]", "net.depth[0]", "w")
        seen.append(tuple({int(str(a[i])) for a in drawn} for i in ids))
    kernels, depths, widths = {0, 1, 2}, {0, 1, 2}, {0, 1, 2, 3}
    assert seen == [
        (kernels, {2}, {3}), (kernels, {1, 2}, {3}), (kernels, depths, {3}), (kernels, depths, {1, 2, 3}),
        (kernels, depths, widths),
    ]  # fmt: skip


def test_a_phase_without_length_frees_what_it_would_from_the_next_one_on() -> None:
    largest = SPACE.extreme("params", "max")
    found = phases(SPACE, largest, (1.0, 0.0, 0.0, 2.0, 0.0, 3.0), (1.0,) * 6, (1, 1, 2, 2, 4, 4))
    assert [p.name for p in found] == ["largest", "depth 2", "width 2"]
    assert found[1].chances is not None
    drawn = found[1].chances.sample(200, 0)
    assert {a["net.block[0].conv[0].kernel[0]"] for a in drawn} == {0, 1, 2}
    assert {a["w"] for a in drawn} == {3}
    with pytest.raises(SpacecError) as error:
        Ofa({"lengths": "0,1,1,1,1,1"})
    assert error.value.diagnostics[0].code == "E0703"


@pytest.mark.parametrize("name", SPACES)
def test_a_phase_changes_nothing_but_what_it_frees(name: str) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    largest = space.extreme("params", "max")
    kinds, free = dimensions(space.flat, space.decisions), set[str]()
    found = parts(space)
    for phase in found[1:]:
        free |= set(FREED[phase.name])
        assert phase.chances is not None
        for arch in phase.chances.sample(40, seed=3):
            space.validate(arch)
            for decision, value in arch.choices:
                if kinds[decision] not in free and decision in largest:
                    assert value == largest[decision], (phase.name, decision)
    for arch in space.sample(20, seed=5):
        assert found[-1].chances is not None
        assert found[-1].chances.log_probability(arch) > -1e9, "the last phase reaches every architecture"


@given(lengths=st.lists(st.floats(0.5, 200), min_size=1, max_size=6), steps=st.integers(1, 5000))
def test_phases_share_the_steps(lengths: list[float], steps: int) -> None:
    found = starts(lengths, steps)
    assert found[0] == 0
    assert all(a < b for a, b in pairwise(found))
    if steps >= 10 * len(lengths) * sum(lengths) / min(lengths):
        taken = [b - a for a, b in pairwise((*found, steps))]
        assert all(abs(t / steps - n / sum(lengths)) <= 1 / steps for t, n in zip(taken, lengths, strict=True))


class Watched(Ofa):
    """Keeps the rate, the phase and whether there was momentum before every step."""

    def setup(self, ctx: Any) -> None:
        super().setup(ctx)
        self.rates: list[tuple[str, float, bool]] = []
        self.reports: list[StepReport] = []

    def after_backward(self, report: StepReport) -> None:
        state = self.ctx.optimizer.state
        rate = self.ctx.optimizer.param_groups[0]["lr"]
        self.rates.append((self.phases[self.phase].name, rate, bool(state)))
        self.reports.append(report)


def run(folder: Path | None = None, **settings: Any) -> Watched:
    base = {"epochs": 6, "steps": 10, "batch_size": 4, "eval_every": 0, "lr": 0.4, "lr_min": 0.0, "clip": 1.0}
    strategy = Watched({**FEW, "lengths": "10,10,10,10,10,10", "rates": "1,0.5,0.25,0.25,0.25,0.5", "warm": 5})
    search(SPACE, strategy, Synthetic(), SearchConfig(**{**base, **settings}), folder)
    return strategy


def test_every_phase_rises_and_falls_from_a_rate_of_its_own(tmp_path: Path) -> None:
    strategy = run(tmp_path / "run")
    shares = dict(zip(NAMES, (1, 0.5, 0.25, 0.25, 0.25, 0.5), strict=True))
    for name in NAMES:
        rates = [r for phase, r, _ in strategy.rates if phase == name]
        momenta = [m for phase, _, m in strategy.rates if phase == name]
        assert len(rates) == 10
        assert rates[:5] == pytest.approx([0.4 * shares[name] * (k + 0.5) / 5 for k in range(5)])
        assert rates[5:] == pytest.approx([0.2 * shares[name] * (1 + cos(pi * (k + 0.5) / 5)) for k in range(5)])
        assert momenta == [False, *[True] * 9], "a phase starts without momentum"
    with RunStore(tmp_path / "run" / "run.sqlite") as store:
        told = [(e["message"], e["data"]["step"]) for e in store.events(1) if e["kind"] == "phase"]
    assert told == [(name, 10 * k) for k, name in enumerate(NAMES)]


def test_the_teacher_is_the_largest_network_as_its_phase_left_it() -> None:
    """Losses of a late step, by a network that is built alone."""
    strategy = run(epochs=1, steps=24, lr=0.05, momentum=0.0, weight_decay=0.0, clip=0.0)
    assert strategy.teacher is not None
    taught = [r for r in strategy.reports if r.paths[0].teacher is not None]
    assert len(taught) == 20
    assert all(path.teacher_weights is strategy.teacher for r in taught for path in r.paths)
    assert {len(r.paths) for r in taught} == {1, 2, 4}
    trained: Any = SPACE.supernet(seed=0)
    trained.load_state_dict(strategy.teacher)
    teacher: Any = SPACE.network(strategy.largest, weights=trained).eval()
    report = taught[-1]
    with torch.no_grad():
        said = teacher(report.batch.inputs["image"])
    for path, out, loss in zip(report.paths, report.outs, report.losses, strict=True):
        assert path.weight == 1.0
        labels = torch.nn.functional.cross_entropy(out.prediction, report.batch.target)
        taught_loss = -(said.softmax(1) * out.prediction.log_softmax(1)).sum(1).mean()
        assert loss == pytest.approx(float(labels + taught_loss), rel=1e-5)


def test_the_largest_network_alone_trains_first() -> None:
    strategy = run(epochs=1, steps=24)
    first = [r for r in strategy.reports if r.paths[0].teacher is None]
    assert [len(r.paths) for r in first] == [1] * 4
    assert all(r.paths[0].mask == SPACE.mask(strategy.largest) for r in first)
