"""PC-DARTS' edge normalisation by hand and by automatic differentiation, its derivation, and its searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from spacec_pc_darts.strategy import PCDARTS
from torch import Tensor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.facade import Space
from spacec.hooks import StrategyDescriptor
from spacec.search.config import SearchConfig, strategy_config
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.progress import Progress
from spacec.search.record import NullRecorder, RunStore
from spacec.search.runner import search
from spacec.search.task import Batch
from spacec.search.trainer import TrainConfig
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

DARTS = Path(__file__).parents[3] / "grammars" / "darts.space"
TEXT = """
space edges(weigh = 0, C = 4)
input  x: [C, 4, 4]
output logits: [3]
default pick(edges = weigh)
def edge = skip: identity | conv: relu >> conv(3) >> bn | pool: max_pool(3)
let cell = dag(x) { s = [x];  s += x >> edge;  s += sum(pick 1 from s: edge);  return s[2] }
net = cell >> global_pool >> linear(3)
"""
SPACE = spacec.loads(TEXT)
EDGED = spacec.loads(TEXT, weigh=1)
TASK = Synthetic({"samples": 16}).adapt(SPACE.inputs, SPACE.outputs)
FAST = {"epochs": 3, "steps": 2, "batch_size": 4, "arch_from": 1, "eval_batches": 1}


def started(space: Space, options: dict[str, object] | None = None) -> PCDARTS:
    """A strategy in double precision with logits of its own."""
    strategy = PCDARTS(options)
    ctx = SearchContext(space, TASK, SearchConfig(batch_size=4), TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN, strategy.supernet_options()).double()
    strategy.setup(ctx)
    rng = torch.Generator().manual_seed(3)
    for parameter in strategy.arch_parameters():
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64, generator=rng)
    return strategy


def batch(strategy: PCDARTS) -> Batch:
    found = strategy.ctx.stream("arch", "v").batch(0, 0)
    return Batch({k: v.double() for k, v in found.inputs.items()}, found.targets)


def node_of(space: Space) -> list[str]:
    return [slot.id for slot in space.slots if slot.pick is not None]


def test_edges_are_weighed_by_a_softmax_of_their_own() -> None:
    strategy = started(SPACE)
    (beta,) = strategy.betas
    assert strategy.nodes == (tuple(node_of(SPACE)),)
    for e, slot in enumerate(node_of(SPACE)):
        expected = beta.softmax(0)[e] * strategy.logits[slot].softmax(0)
        torch.testing.assert_close(strategy.weights()[slot], expected)
    total = sum(float(strategy.weights()[slot].detach().sum()) for slot in node_of(SPACE))
    assert total == pytest.approx(1)


def test_own_betas_are_the_spaces_edge_weights() -> None:
    """Prediction and all gradients, with as much on the space's slot of edge weights as on logits of the plugin."""
    ours, theirs = started(SPACE), started(EDGED)
    (edges,) = (slot.id for slot in EDGED.slots if slot.edges)
    theirs.logits.load_state_dict({**ours.logits.state_dict(), edges: ours.betas[0].detach()})
    assert theirs.betas == []
    theirs.ctx.supernet.load_state_dict(ours.ctx.supernet.state_dict())
    data = batch(ours)
    a, b = (s.architecture_gradient(data, data)[0] for s in (ours, theirs))
    slots = [slot.id for slot in SPACE.slots]
    found = dict(zip([*slots, edges], a, strict=True))
    expected = dict(zip(theirs.logits, b, strict=True))
    for name, g in found.items():
        assert g is not None
        torch.testing.assert_close(g, expected[name], rtol=1e-9, atol=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    strategy = started(SPACE)
    data = batch(strategy)
    gradient = strategy.architecture_gradient(data, data)[0]
    for parameter, g in zip(strategy.arch_parameters(), gradient, strict=True):
        assert g is not None
        for k in range(len(parameter)):
            sides = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    parameter[k] += step
                    sides.append(float(strategy.architecture_loss(data, None)[0]))
                    parameter[k] -= step
            assert float(g[k]) == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4, abs=1e-9)


def test_edges_rank_by_the_product_of_both_softmaxes() -> None:
    """``parse`` of PC-DARTS' released code, on random logits of the DARTS cell."""
    space = spacec.load(DARTS, preset="tiny")
    task = Synthetic({"samples": 4}).adapt(space.inputs, space.outputs)
    strategy = PCDARTS()
    config = SearchConfig(batch_size=2)
    strategy.setup(SearchContext(space, task, config, TrainConfig(), torch.device("cpu"), NullRecorder()))
    rng = torch.Generator().manual_seed(0)
    for parameter in strategy.arch_parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng)
    arch = strategy.derive()
    assert len(strategy.nodes) == 8
    for node, beta in zip(strategy.nodes, strategy.betas, strict=True):
        edges, logits = beta.detach().softmax(0), strategy.logits.state_dict()
        weights = [edges[e] * logits[slot].softmax(0)[1:] for e, slot in enumerate(node)]
        best = sorted(range(len(node)), key=lambda e: -float(weights[e].max()))[:2]
        for e, slot in enumerate(node):
            picked = int(weights[e].argmax()) if e in best else None
            assert arch.get(slot) == picked


def test_without_edge_normalisation_it_is_darts_on_a_share() -> None:
    strategy = started(EDGED, {"edge_norm": "false"})
    weights = strategy.weights()
    for slot in EDGED.slots:
        expected = torch.ones(2).double() if slot.edges else strategy.logits[slot.id].softmax(0)
        torch.testing.assert_close(weights[slot.id], expected)
    assert strategy.betas == []


def test_logits_rest_until_their_first_epoch() -> None:
    seen: list[list[Tensor]] = []

    class Watching(PCDARTS):
        def on_epoch(self, epoch: int) -> None:
            super().on_epoch(epoch)
            seen.append([p.detach().clone() for p in self.arch_parameters()])

    search(SPACE, Watching(), TASK, strategy_config(PCDARTS.config, FAST))
    assert all(torch.equal(a, b) for a, b in zip(seen[0], seen[1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(seen[1], seen[2], strict=True))


def weights_of(strategy: PCDARTS) -> dict[str, Tensor]:
    return {**strategy.ctx.supernet.state_dict(), **{str(k): p for k, p in enumerate(strategy.arch_parameters())}}


def test_a_search_repeats_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    config = strategy_config(PCDARTS.config, FAST)

    def stop(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    whole, again, cut, resumed = (PCDARTS() for _ in range(4))
    search(SPACE, whole, TASK, config)
    search(SPACE, again, TASK, config)
    with pytest.raises(KeyboardInterrupt):
        search(SPACE, cut, TASK, config, tmp_path / "run", progress=stop)
    search(SPACE, resumed, TASK, config, tmp_path / "run", resume=True)
    for other in (again, resumed):
        assert all(torch.equal(t, weights_of(other)[name]) for name, t in weights_of(whole).items())
    assert resumed.derive() == whole.derive()


def test_it_conforms() -> None:
    conformance.require(SPACE, PCDARTS)


def test_choices_that_run_in_full_are_recorded(tmp_path: Path) -> None:
    text = TEXT.replace("net = cell", "net = cell >> (a: conv(1, 6) | b: conv(3, 6))")
    space = spacec.loads(text)
    config = strategy_config(PCDARTS.config, {**FAST, "epochs": 1})
    search(space, PCDARTS(), Synthetic({"samples": 8}).adapt(space.inputs, space.outputs), config, tmp_path / "run")
    with RunStore(next((tmp_path / "run").glob("*.sqlite*"))) as store:
        (event,) = (e for e in store.events(store.runs()[0]["id"]) if e["kind"] == "partial channels")
    assert event["message"] == "1 choice runs on all channels, not on a share"
    assert event["data"] == {"choice_0": "its candidates make 6 channels of 4"}


def test_a_space_without_shares_is_refused() -> None:
    space = spacec.loads(TEXT, C=5)
    why = PCDARTS().unsupported(space)
    assert why == (
        "none of its choices can run on a share of their channels: its 5 channels do not split into 4 or fewer"
        " (`-o partial=1` searches on all channels)"
    )
    with pytest.raises(SpacecError):
        search(space, PCDARTS(), TASK, SearchConfig(epochs=1))
    assert PCDARTS({"partial": "1"}).unsupported(space) == PCDARTS({"partial": "5"}).unsupported(space) == ""
    assert PCDARTS({"partial": "1"}).supernet_options() == {}


def test_the_papers_settings_are_the_defaults() -> None:
    config, options = strategy_config(PCDARTS.config), PCDARTS().options
    assert (config.epochs, config.batch_size, config.lr, config.lr_min, config.arch_from) == (50, 256, 0.1, 0.0, 15)
    assert (config.momentum, config.weight_decay, config.clip, config.schedule) == (0.9, 3e-4, 5.0, "cosine")
    assert (options.arch_lr, options.arch_betas, options.arch_weight_decay) == (6e-4, (0.5, 0.999), 1e-3)
    assert (options.partial, options.edge_norm, options.arch_init) == (4, True, 1e-3)


def test_the_descriptor_names_the_class() -> None:
    import spacec_pc_darts

    (descriptor,) = spacec_pc_darts.spacec_strategies()
    assert isinstance(descriptor, StrategyDescriptor)
    found: Any = descriptor.load()
    assert found is PCDARTS
    assert descriptor.name == PCDARTS.name
