"""Wiring costs against the gradient of the mask itself, and the identities of the unified cost view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from spacec_probes.running import Running
from spacec_probes.samples import GROUPS, Samples, classified
from spacec_probes.wiring import Wiring
from torch import Tensor

import spacec
from spacec.hooks import ProbeDescriptor
from spacec.ir.flat import FlatChoose
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.gradient import GradientStrategy
from spacec.search.probe import INIT, Reading
from spacec.search.record import NullRecorder, RunStore
from spacec.search.report.gather import gather
from spacec.search.report.probes import probe_charts
from spacec.search.runner import search
from spacec.search.strategy import Strategy
from spacec.search.task import Batch, Output
from spacec.search.trainer import TrainConfig
from spacec.testing.synthetic import Synthetic

CELL = """
space wired(C = 4, classes = 3, size = [4, 4])
input  x: [2, *size]
output logits: [classes]
def edge = none: zero {skip}| conv1: relu >> conv(1) >> bn(eps = 1e-12) | conv3: relu >> conv(3) >> bn(eps = 1e-12)
let cell = dag(x) {{ s = [x];  for i in 1..2 {{ s += sum(from s: edge) }};  return s[2] }}
net = conv(3, C) >> bn >> cell * 2 >> global_pool >> linear(classes, bias = 0)
"""
PLAIN, SKIPS = (spacec.loads(CELL.format(skip=text)) for text in ("", "| skip: identity "))
INTO_OUTPUT = ("cell_1.edge_1", "cell_1.edge_2")
"""The edges into the last node of the last cell."""
CONFIG = SearchConfig(epochs=2, steps=2, eval_batches=1)


class Gradient(GradientStrategy):
    name = "gradient"


@pytest.fixture
def doubles() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def probe_of(space: Any, options: Mapping[str, object] | None = None, strategy: Strategy | None = None) -> Wiring:
    """A probe on a fresh supernet, with logits that are far from uniform."""
    task = Synthetic().adapt(space.inputs, space.outputs)
    ctx = SearchContext(space, task, CONFIG, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN)
    strategy = strategy or Gradient()
    strategy.setup(ctx)
    if isinstance(strategy, Gradient):
        for k, logits in enumerate(strategy.logits.parameters()):
            logits.data = torch.randn(logits.shape, generator=torch.Generator().manual_seed(k))
    probe = Wiring(options)
    assert not probe.unsupported(space, strategy)
    probe.setup(ctx, strategy)
    return probe


def table(reading: Reading, name: str) -> Mapping[tuple[str, ...], float]:
    found = reading[name]
    assert isinstance(found, Mapping)
    return found


@pytest.mark.parametrize("space", [PLAIN, SKIPS], ids=["plain", "skips"])
def test_costs_into_the_output_add_up_to_loss_minus_entropy(doubles: None, space: Any) -> None:
    reading = probe_of(space, {"batches": 3}).on_epoch_end(INIT)
    for split in ("weights", "arch"):
        total = sum(table(reading, "cell_edge")[place, split] for place in INTO_OUTPUT)
        samples = table(reading, "samples")
        assert total == pytest.approx(samples["loss - entropy", split, "total"], abs=1e-12)
        assert total == pytest.approx(samples["loss", split, "total"] - samples["entropy", split, "total"], abs=1e-12)


def test_an_edge_that_only_norms_read_has_no_cost_without_skips(doubles: None) -> None:
    """Euler: features consumed by relu, convolution and norm alone may be scaled without any effect."""
    inner = ("cell_1.edge_0", "cell_0.edge_1")
    edges = {"plain": PLAIN, "skips": SKIPS}
    costs = {n: table(probe_of(s).on_epoch_end(INIT), "cell_edge") for n, s in edges.items()}
    scale = max(map(abs, costs["plain"].values()))
    assert abs(costs["plain"][inner[0], "weights"]) < 1e-6 * scale
    both = sum(costs["plain"][place, "weights"] for place in ("cell_0.edge_1", "cell_0.edge_2"))
    assert abs(both) < 1e-6 * scale
    assert abs(costs["skips"][inner[0], "weights"]) > 1e-3 * scale


def test_costs_are_the_mask_times_its_gradient(doubles: None) -> None:
    probe = probe_of(SKIPS, {"batches": 2})
    reading = probe.on_epoch_end(4)
    mask: dict[str, Tensor] = probe.mask()
    found: dict[str, list[Tensor]] = {slot: [] for slot in mask}
    losses = []
    for batch in probe.batches("arch", 2, 4):
        leaves = {slot: p.clone().requires_grad_() for slot, p in mask.items()}
        loss = probe.ctx.loss(probe.ctx.forward(batch, leaves), batch)
        torch.autograd.backward(loss)
        losses.append(float(loss.detach()))
        for slot, leaf in leaves.items():
            assert leaf.grad is not None
            found[slot].append(leaf.detach() * leaf.grad)
    labels = {slot.id: slot.labels for slot in SKIPS.slots}
    for slot, costs in found.items():
        mean, variance = torch.stack(costs).mean(0), torch.stack(costs).var(0)
        for k, label in enumerate(labels[slot]):
            assert table(reading, "cost")["arch", slot, label] == pytest.approx(float(mean[k]), abs=1e-12)
            assert table(reading, "cost_variance")["arch", slot, label] == pytest.approx(float(variance[k]), abs=1e-12)
            cells = [table(reading, "cell_cost")["arch", slot.replace("cell.edge[", f"cell_{c}.edge_")[:-1], label]
                     for c in range(2)]  # fmt: skip
            assert sum(cells) == pytest.approx(float(mean[k]), abs=1e-12)
        assert table(reading, "edge")[slot, "arch"] == pytest.approx(float(mean.sum()), abs=1e-12)
    assert reading["loss_arch"] == pytest.approx(sum(losses) / 2)
    assert reading["cost_arch"] == pytest.approx(sum(float(torch.stack(c).mean(0).sum()) for c in found.values()))


def test_a_sampled_candidate_alone_has_a_cost(doubles: None) -> None:
    probe = probe_of(SKIPS, {"batches": 3, "sample": True})
    reading = probe.on_epoch_end(0)
    probe.ctx.generator.manual_seed(0)
    probe.ctx.generator.set_state(probe_of(SKIPS).ctx.generator.get_state())
    draws = [probe.ctx.draw(probe.mask()) for _ in range(3)]
    labels = {slot.id: slot.labels for slot in SKIPS.slots}
    drawn = {("weights", slot, labels[slot][k]) for draw in draws for slot, k in draw.items()}
    assert {place for place in table(reading, "cost") if place[0] == "weights"} == drawn
    total = sum(table(reading, "cell_edge")[place, "weights"] for place in INTO_OUTPUT)
    assert total == pytest.approx(table(reading, "samples")["loss - entropy", "weights", "total"], abs=1e-12)


def test_an_edge_that_did_not_run_cost_nothing(doubles: None) -> None:
    """A drawn *absent* counts in the mean over the batches, as zero; so does an edge into a node that is not there."""
    text = """
space picked(C = 3, classes = 3)
input  x: [2, 4, 4]
output logits: [classes]
let w = elastic {2, 3}
def edge = a: conv(1, C) | b: conv(3, C)
let cell = dag(x) { s = [x, x >> conv(1, C)];  s += sum(pick 1..2 from j in 0..1: s[j] >> edge);  return s[2] }
net = conv(3, C) >> cell >> conv(1, w) >> conv(1, C) >> global_pool >> linear(classes, bias = 0)
"""
    space = spacec.loads(text)
    assert any(slot.absent for slot in space.slots)
    for options in ({"batches": 6, "sample": True}, {"batches": 1}):
        probe = probe_of(space, options)
        reading = probe.on_epoch_end(INIT)
        edges = {place for place, _ in table(reading, "edge")}
        assert {slot.id for slot in space.slots if slot.pick} <= edges
        assert (
            "w" in edges
        ) is not probe.options.sample  # a drawn size runs slices; there is no mixture to differentiate
        assert all(torch.isfinite(torch.tensor(v)) for v in table(reading, "cost").values())
        absent = [v for (_, slot, label), v in table(reading, "cost").items() if label == "absent"]
        assert absent
        assert set(absent) == {0.0}
    whole = sum(v for (place, split), v in table(reading, "cell_edge").items() if split == "arch" and "edge" in place)
    assert whole == pytest.approx(table(reading, "samples")["loss - entropy", "arch", "total"], abs=1e-12)


def test_what_is_absent_and_kept() -> None:
    probe = probe_of(SKIPS)
    strategy = probe.strategy
    assert isinstance(strategy, Gradient)
    for k, logits in enumerate(strategy.logits.parameters()):
        logits.data = torch.tensor([3.0 if k == 1 else -3.0, 0.0, 0.0, 0.0])
    reading = probe.on_epoch_end(0)
    assert (reading["kept"], reading["edges"]) == (2, 3)
    some = float(torch.tensor([3.0, 0.0, 0.0, 0.0]).softmax(0)[0])
    assert table(reading, "absent")[("cell.edge[1]",)] == pytest.approx(some)


def test_a_task_that_classifies_nothing_has_costs_but_no_samples() -> None:
    text = "space r\ninput x: [3]\noutput y: [1]\ndef b = skip: identity | lin: linear\nnet = b * 2 >> linear(1)\n"
    reading = probe_of(spacec.loads(text)).on_epoch_end(INIT)
    assert "samples" not in reading
    assert "absent" not in reading
    assert reading["kept"] == reading["edges"] == 2
    assert len(table(reading, "cost")) == 8


def test_sizes_that_have_no_mixture_are_refused() -> None:
    class Sized:
        slots = (replace(PLAIN.slots[0], sized=True),)

    space: Any = Sized()
    assert "slot 'cell.edge[0]' takes decides sizes" in Wiring().unsupported(space, Gradient())


def test_quantities_by_correctness(doubles: None) -> None:
    z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * 2
    y = torch.arange(50) % 4
    samples = Samples()
    samples.add(z[:20], y[:20])
    samples.add(z[20:], y[20:])
    rows = samples.rows()
    p = z.softmax(1)
    costs = (p * z).sum(1) - z[torch.arange(50), y]
    right = z.argmax(1) == y
    for group, kept in zip(GROUPS, (right, ~right, right | ~right), strict=True):
        assert rows["count", group] == int(kept.sum())
        assert rows["loss - entropy", group] == pytest.approx(float(costs[kept].mean()))
        assert rows["loss", group] - rows["entropy", group] == pytest.approx(rows["loss - entropy", group])
    assert (costs[right] <= 0).all()
    assert rows["loss", "total"] == pytest.approx(float(torch.nn.functional.cross_entropy(z, y)))
    only = Samples()
    only.add(z[right], y[right])
    assert ("loss", "wrong") not in only.rows()
    assert only.rows()["count", "wrong"] == 0


def test_what_counts_as_classified() -> None:
    def of(z: Tensor, y: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor] | None:
        return classified(Output(z, {"y": z}), Batch({}, {"y": y}, {} if mask is None else {"y": mask}))

    z = torch.randn(2, 3, 5)
    y = torch.tensor([[0, 1, 2, -100, 1], [2, 2, 2, 0, 0]])
    pair = of(z, y, torch.tensor([[1.0], [0.0]]))
    assert pair is not None
    logits, classes = pair
    assert classes.tolist() == [0, 1, 2, 1]
    assert torch.equal(logits[1], z[0, :, 1].double())
    assert of(z, y.double()) is None
    assert of(z[:, :1], y) is None
    assert of(z, y[:, :2]) is None
    assert of(torch.randn(2), torch.tensor([0, 1])) is None


def test_running_moments() -> None:
    values = torch.randn(7, 3, dtype=torch.float64)
    running = Running()
    for row in values:
        running.add(row)
    assert torch.allclose(running.mean, values.mean(0))
    assert torch.allclose(running.variance, values.var(0))
    some = Running()
    for k, row in enumerate(values):
        some.add(row, torch.tensor([True, k < 3, False]))
    assert some.count.tolist() == [7, 3, 0]
    assert some.mean.tolist() == pytest.approx([float(values[:, 0].mean()), float(values[:3, 1].mean()), 0.0])
    assert float(some.variance[1]) == pytest.approx(float(values[:3, 1].var()))


def test_a_search_records_it_and_the_report_draws_it(tmp_path: Path) -> None:
    probe = spacec.hooks.installed().find("spacec_diagnostics", "wiring")
    assert isinstance(probe, ProbeDescriptor)
    cls: type[Wiring] = probe.load()
    assert cls is Wiring
    found = search(SKIPS, Gradient(), Synthetic(), CONFIG, tmp_path, probes=[cls({"batches": 1})])
    bare = search(SKIPS, Gradient(), Synthetic(), CONFIG)
    state, plain = found.context.supernet.state_dict(), bare.context.supernet.state_dict()
    assert all(torch.equal(state[name], plain[name]) for name in plain)
    with RunStore(tmp_path / "run.sqlite") as store:
        assert not [e for e in store.events(1) if e["kind"] == "probe failed"]
        rows = store.readings(1, "wiring")
    assert {row["epoch"] for row in rows} == {INIT, 0, 1}
    titles = [chart.title for chart in probe_charts(gather(tmp_path))["wiring"]]
    assert titles == [figure.title for figure in Wiring.figures]


@pytest.mark.parametrize("grammar", ["d2gnas", "ddnas", "nats_bench_size"])
def test_shipped_spaces_of_other_kinds(grammar: str) -> None:
    """Graphs and sequences, activations of several slots that share a name, elastic widths."""
    space = spacec.load(Path(__file__).parents[3] / "grammars" / f"{grammar}.space", preset="tiny")
    for options in ({"batches": 1}, {"batches": 1, "sample": True}):
        reading = probe_of(space, options).on_epoch_end(INIT)
        chosen = {node.slot for node in space.flat.nodes if isinstance(node, FlatChoose)}
        assert reading["edges"] == len(chosen)
        if chosen:
            assert chosen <= {slot for slot, _ in table(reading, "edge")}
