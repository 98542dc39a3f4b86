"""SSA: which candidates its scope holds, that the others rest, and that they come back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from spacec_eoinas.ssa import SSA
from spacec_proxylessnas.strategy import ProxylessNAS
from torch import Tensor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.hooks import StrategyDescriptor
from spacec.search.config import strategy_config
from spacec.search.context import MAIN, SearchContext
from spacec.search.record import NullRecorder
from spacec.search.report.write import write_report
from spacec.search.runner import search
from spacec.search.trainer import TrainConfig
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

POINTS = """
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(classes)
"""
SPACE = spacec.loads(POINTS)
LIMITED = spacec.loads(POINTS + "where params >= 50\n")
A, B = (slot.id for slot in SPACE.slots)
FIRST = 39
"""The last epoch without architecture steps."""


def started(space: spacec.Space = SPACE, options: Mapping[str, object] | None = None) -> SSA:
    strategy = SSA(options)
    task = Synthetic().adapt(space.inputs, space.outputs)
    config = strategy_config(SSA.config)
    ctx = SearchContext(space, task, config, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN)
    strategy.setup(ctx)
    return strategy


def believe(strategy: SSA, **probabilities: list[float]) -> None:
    """Set the logits of the slots ``a`` and ``b``."""
    for slot, p in zip((A, B), probabilities.values(), strict=True):
        strategy.logits[slot].data = torch.tensor(p).log()


def test_candidates_near_the_leader_are_active_and_some_at_least() -> None:
    strategy = started()
    believe(strategy, a=[0.90, 0.091, 0.009], b=[0.97, 0.02, 0.01])
    strategy.on_epoch_end(FIRST, {})
    assert strategy.scope[A] == (0, 1, 2)
    strategy.on_epoch_end(FIRST + 1, {})
    assert strategy.scope[A] == (0, 1)
    assert strategy.scope[B] == (0, 1)
    torch.testing.assert_close(strategy.weights()[B].detach(), torch.tensor([0.97, 0.02, 0.0]) / 0.99)
    alone = started(options={"scope_least": 1, "scope_every": 2})
    believe(alone, a=[0.90, 0.091, 0.009], b=[0.97, 0.02, 0.01])
    alone.on_epoch_end(FIRST + 1, {})
    assert alone.scope[B] == (0, 1, 2)
    alone.on_epoch_end(FIRST + 2, {})
    assert (alone.scope[A], alone.scope[B]) == ((0, 1), (0,))


def test_a_candidate_comes_back_when_the_leader_falls() -> None:
    strategy = started()
    believe(strategy, a=[0.95, 0.04, 0.01], b=[0.4, 0.3, 0.3])
    strategy.on_epoch_end(FIRST + 1, {})
    assert (strategy.scope[A], strategy.scope[B]) == ((0, 1), (0, 1, 2))
    believe(strategy, a=[0.04, 0.06, 0.01], b=[0.4, 0.3, 0.3])
    strategy.on_epoch_end(FIRST + 2, {})
    assert strategy.scope[A] == (0, 1, 2)


@pytest.mark.parametrize("mode", ["two", "full", "reinforce"])
def test_what_is_not_active_does_not_run_and_rests(mode: str) -> None:
    strategy = started(options={"mode": mode, "arch_betas": (0.9, 0.999), "arch_weight_decay": 0.1, "samples": 2})
    train, val = (strategy.ctx.stream(name, name).batch(0, 0) for name in ("weights", "arch"))
    believe(strategy, a=[0.5, 0.3, 0.2], b=[0.5, 0.3, 0.2])
    strategy.arch_step(train, val)
    strategy.scope.keep(A, [1])
    strategy.scope.keep(B, [0, 2])
    before = {slot: t.clone() for slot, t in strategy.logits.state_dict().items()}
    for step in range(6):
        (path,) = strategy.masks(step)
        assert path.mask is not None
        assert path.mask[A] == 1
        assert path.mask[B] in (0, 2)
        strategy.arch_step(train, val)
    after = strategy.logits.state_dict()
    assert torch.equal(after[A][[0, 2]], before[A][[0, 2]])
    assert torch.equal(after[B][1], before[B][1])
    assert not torch.equal(after[B][[0, 2]], before[B][[0, 2]])


def test_with_all_candidates_active_it_is_proxylessnas() -> None:
    config = strategy_config(SSA.config, {"epochs": 2, "steps": 4, "arch_from": 0, "arch_every": 1})
    states: list[dict[str, Tensor]] = []
    for strategy in (SSA({"scope_keep": 0}), ProxylessNAS()):
        search(SPACE, strategy, Synthetic(), config)
        states.append(strategy.logits.state_dict())
    assert all(torch.equal(states[0][slot], states[1][slot]) for slot in (A, B))


def test_a_constraint_keeps_what_it_needs() -> None:
    strategy = started(LIMITED, {"scope_least": 1})
    believe(strategy, a=[0.98, 0.01, 0.01], b=[0.98, 0.01, 0.01])
    strategy.on_epoch_end(FIRST + 1, {})
    assert (strategy.scope[A], strategy.scope[B]) == ((0,), (0, 1, 2))
    assert not LIMITED.violated(strategy.derive())


def test_the_report_draws_the_trajectories(tmp_path: Path) -> None:
    config = strategy_config(SSA.config, {"epochs": 3, "steps": 2, "arch_from": 0, "arch_every": 1})
    search(SPACE, SSA({"scope_keep": 1.0, "scope_least": 1}), Synthetic(), config, tmp_path / "run")
    drawn = write_report(tmp_path / "run").read_text()
    assert "Architecture probabilities by epoch" in drawn


@pytest.mark.parametrize("name", ["enas_macro", "tabular"])
def test_it_conforms(name: str) -> None:
    grammar = Path(__file__).resolve().parents[3] / "grammars" / f"{name}.space"
    conformance.require(spacec.load(grammar, preset="tiny"), SSA)


def test_its_numbers_are_options_and_the_rest_is_proxylessnas() -> None:
    options: Any = SSA().options
    assert (options.scope_every, options.scope_keep, options.scope_least) == (1, 0.1, 2)
    assert SSA.config == ProxylessNAS.config
    with pytest.raises(SpacecError) as caught:
        SSA({"scope_keep": "2", "scope_least": "0"})
    assert [d.code for d in caught.value.diagnostics] == ["E0703", "E0703"]


def test_the_descriptor_names_the_class() -> None:
    import spacec_eoinas

    found = {d.name: d for d in spacec_eoinas.spacec_strategies()}
    assert isinstance(found["ssa"], StrategyDescriptor)
    assert found["ssa"].load() is SSA
