"""Probes: what they give is recorded, what they move is put back bit for bit, and what they break is theirs alone."""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.context import MAIN, SearchContext
from spacec.search.gradient import GradientStrategy
from spacec.search.probe import INIT, Figure, Probe, ProbeOptions, Reading
from spacec.search.progress import Progress
from spacec.search.record import NullRecorder, RunInfo, RunStore
from spacec.search.runner import SearchResult, search
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Strategy
from spacec.search.trainer import TrainConfig
from spacec.search.untouched import untouched
from tests.search.toy import EVERY, SPACE, TASK, A, B

CONFIG = SearchConfig(epochs=3, steps=2, eval_batches=1, arch_batch_size=4)


class Gradient(GradientStrategy):
    name = "gradient"


class Still(Probe):
    name = "still"
    help = "means of the mask"
    figures = (Figure("Means", "mean", ("first",)),)

    def on_epoch_end(self, epoch: int) -> Reading:
        mask = self.mask()
        rows = {(slot, str(k)): p for slot, w in mask.items() for k, p in enumerate(w.tolist())}
        sizes = {(split,): sum(b.size for b in self.batches(split, 2, epoch)) for split in ("weights", "arch")}
        return {"first": mask[A][0], "rows": rows, "sizes": sizes, "draw": torch.rand(())}


class Rude(Still):
    """Moves everything it can reach."""

    name = "rude"

    def setup(self, ctx: SearchContext, strategy: Strategy) -> None:
        super().setup(ctx, strategy)
        self._rummage()

    def on_epoch_end(self, epoch: int) -> Reading:
        found = super().on_epoch_end(epoch)
        self._rummage()
        return found

    def _rummage(self) -> None:
        ctx, strategy = self.ctx, self.strategy
        assert isinstance(strategy, Gradient)
        for batch in self.batches("arch", 1, INIT):
            strategy.arch_step(batch, batch)
            loss = ctx.loss(ctx.forward(batch, strategy.weights()), batch)
            torch.autograd.backward(loss)
        ctx.optimizer.step()
        ctx.optimizer.param_groups[0]["lr"] = 7.0
        ctx.supernet.eval()
        with torch.no_grad():
            for tensor in (*ctx.supernet.parameters(), *ctx.supernet.buffers(), *strategy.logits.parameters()):
                tensor.zero_()
        ctx.supernet.freeze("weight")
        ctx.rng.random()
        random.random()
        torch.rand(3)
        torch.rand(3, generator=ctx.generator)


class Sometimes(Probe):
    name = "sometimes"

    def on_epoch_end(self, epoch: int) -> Reading:
        if epoch == 1:
            raise ValueError("no such luck")
        return {"epoch": epoch}


def run(probes: list[Probe], out: Path | None = None, **more: Any) -> SearchResult:
    return search(SPACE, Gradient(), TASK, CONFIG, out, probes=probes, **more)


def weights_of(result: SearchResult) -> dict[str, Any]:
    ctx = result.context
    return {
        **ctx.supernet.state_dict(),
        **{f"momentum {n}": h.buffer for n, h in ctx.weight_hypers().items()},
        "generator": ctx.generator.get_state(),
        "rng": torch.tensor(ctx.rng.getstate()[1]),
    }


def stored(path: Path) -> dict[str, Any]:
    with RunStore(path / files.STORE) as store:
        (found,) = store.export()["runs"]
    return found


def test_a_search_with_probes_ends_in_the_same_bits(tmp_path: Path) -> None:
    random.seed(3)
    plain = run([], tmp_path / "plain")
    after_plain = random.random()
    random.seed(3)
    watched = run([Rude(), Still(), Sometimes()], tmp_path / "watched")
    assert random.random() == after_plain
    a, b = weights_of(plain), weights_of(watched)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert plain.architecture == watched.architecture
    assert plain.metrics == watched.metrics
    one, two = stored(tmp_path / "plain"), stored(tmp_path / "watched")
    assert [e["data"]["probe"] for e in two["events"] if e["kind"] == "probe failed"] == ["sometimes"]
    for part in ("probabilities", "architectures", "results"):
        assert one[part] == two[part]
    assert one["metrics"] == [m for m in two["metrics"] if "." not in m["name"]]


def _cut_off(ctx: SearchContext, strategy: Strategy, probe: Rude) -> None:
    with untouched(ctx, strategy):
        probe._rummage()
        raise RuntimeError("cut off")


def test_everything_is_put_back_also_when_the_body_raises() -> None:
    ctx = SearchContext(SPACE, TASK, CONFIG, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN)
    strategy = Gradient()
    strategy.setup(ctx)
    probe = Rude()
    probe.ctx, probe.strategy = ctx, strategy
    first, *others = ctx.supernet.parameters()
    first.grad = torch.full_like(first, -0.0)
    first.data[0] = float("nan")
    next(iter(ctx.supernet.buffers())).zero_()
    kept = first.grad
    modes = [m.training for m in ctx.supernet.modules()]
    bits = [p.detach().clone().view(torch.int32) for p in (first, *others)]
    with pytest.raises(RuntimeError, match="cut off"):
        _cut_off(ctx, strategy, probe)
    assert first.grad is kept
    assert torch.signbit(kept).all()
    assert all(p.grad is None for p in others)
    assert all(p.grad is None for p in strategy.logits.parameters())
    assert not strategy.arch_optimizer.state_dict()["state"]
    assert not ctx.optimizer.state_dict()["state"]
    assert [m.training for m in ctx.supernet.modules()] == modes
    assert all(p.requires_grad for p in ctx.supernet.parameters())
    assert all(
        torch.equal(a, p.detach().view(torch.int32)) for a, p in zip(bits, ctx.supernet.parameters(), strict=True)
    )


def test_rows_are_under_the_probes_name_and_the_epoch(tmp_path: Path) -> None:
    run([Still({"every": "2"}), Sometimes({"at_init": "false"})], tmp_path)
    found = stored(tmp_path)
    numbers = {(m["name"], m["epoch"]): m["value"] for m in found["metrics"] if "." in m["name"]}
    assert set(numbers) == {(f"still.{n}", e) for n in ("first", "draw") for e in (INIT, 1)} | {
        ("sometimes.epoch", 0),
        ("sometimes.epoch", 2),
    }
    rows = {(r["name"], r["epoch"], r["place"]): r["value"] for r in found["readings"]}
    assert rows["rows", INIT, (A, "0")] == numbers["still.first", INIT]
    assert rows["sizes", 1, ("weights",)] == 16
    assert rows["sizes", 1, ("arch",)] == 8
    last = next(p for p in found["probabilities"] if p["epoch"] == 1 and p["slot"] == B)["values"]
    assert [rows["rows", 1, (B, str(k))] for k in range(3)] == pytest.approx(last)
    (told,) = [e for e in found["events"] if e["kind"] == "probe" and e["message"] == "still"]
    assert told["data"]["options"] == {"every": 2, "at_init": True}
    assert Figure.read(told["data"]["figures"][0]) == Still.figures[0]


def test_a_probe_that_raises_costs_only_itself(tmp_path: Path) -> None:
    class Unready(Still):
        name = "unready"

        def setup(self, ctx: SearchContext, strategy: Strategy) -> None:
            raise RuntimeError("no map")

    class Odd(Probe):
        name = "odd"

        def on_epoch_end(self, epoch: int) -> Reading:
            return {"table": {("a",): 1.0, ("a", "b"): 2.0}}

    run([Unready(), Sometimes(), Odd({"every": 3, "at_init": False})], tmp_path)
    found = stored(tmp_path)
    assert found["status"] == "done"
    told = [e for e in found["events"] if e["kind"] == "probe failed"]
    assert [e["message"] for e in told] == [
        "unready: RuntimeError: no map",
        "sometimes: ValueError: no such luck",
        "odd: TypeError: the keys of table 'table' have several lengths",
    ]
    assert told[1]["data"]["epoch"] == 1
    assert "no such luck" in told[1]["data"]["traceback"]
    assert not found["readings"]


@pytest.mark.parametrize("moment", [(0, 1), (1, 0), (2, 1)])
def test_a_resumed_search_has_the_rows_of_an_uninterrupted_one(tmp_path: Path, moment: tuple[int, int]) -> None:
    def stop(now: Progress) -> None:
        if (now.phase, now.epoch, now.step) == ("search", *moment):
            signal.raise_signal(signal.SIGINT)

    run([Still(), Rude()], tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run([Still(), Rude()], tmp_path / "cut", progress=stop)
    run([Still(), Rude()], tmp_path / "cut", resume=True)
    whole, cut = stored(tmp_path / "whole"), stored(tmp_path / "cut")
    for part in ("metrics", "readings"):
        assert whole[part] == cut[part]
    run([], tmp_path / "cut", resume=True)  # probes are no setting of the search


def test_a_strategy_without_probabilities_is_measured_under_a_uniform_mask(tmp_path: Path) -> None:
    class Plain(Strategy):
        name = "plain"

        def derive(self) -> Any:
            return EVERY[0]

    search(SPACE, Plain(), TASK, SearchConfig(epochs=1, steps=1), tmp_path, probes=[Still()])
    rows = [r["value"] for r in stored(tmp_path)["readings"] if r["name"] == "rows"]
    assert rows == pytest.approx([1 / 3] * 12)


def test_a_pair_that_cannot_be_says_what_it_lacks(tmp_path: Path) -> None:
    class Picky(Still):
        name = "picky"

        def unsupported(self, space: SpaceLike, strategy: Strategy) -> str:
            return "it has no conv"

    class Trials(Strategy):
        name = "trials"
        uses_supernet = False

    with pytest.raises(SpacecError) as caught:
        run([Picky(), Still(), Still()], tmp_path)
    assert [(d.code, d.headline) for d in caught.value.diagnostics] == [
        ("E0705", "probe 'still' is given twice"),
        ("E0709", "probe 'picky' cannot measure the search of 'points' by 'gradient': it has no conv"),
    ]
    assert not list(tmp_path.iterdir())
    with pytest.raises(SpacecError, match="trains no supernet"):
        search(SPACE, Trials(), TASK, CONFIG, probes=[Still()])


def test_options_of_a_probe_are_checked() -> None:
    with pytest.raises(SpacecError, match=r"E0701.*probe 'still' has no option 'evry'"):
        Still({"evry": "2"})
    with pytest.raises(SpacecError, match="E0703"):
        Still({"every": "0"})
    assert Still(ProbeOptions(every=5)).options.every == 5


def test_readings_are_recorded_and_replaced(tmp_path: Path) -> None:
    with RunStore(tmp_path / files.STORE) as store:
        recorder = store.start(RunInfo("search", 0, "s", "00", "", "00"))
        table: Mapping[tuple[str, ...], float] = {("a", "b"): 1.5, ("a", "c"): float("nan")}
        for _ in range(2):
            recorder.reading("p", "t", 0, table)
        recorder.close("done")
        rows = store.readings(1, "p")
        assert store.readings(1, "q") == []
    assert [(r["place"], r["value"]) for r in rows] == [(("a", "b"), 1.5), (("a", "c"), None)]


class Meddler(Probe):
    """Calls what is the strategy's to call."""

    name = "meddler"

    def on_epoch_end(self, epoch: int) -> Reading:
        self.ctx.stop("enough")
        self.ctx.epoch, self.ctx.step = 57, 99
        self.ctx.supernets.clear()
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        return {}


def test_a_probe_cannot_end_or_move_the_search(tmp_path: Path) -> None:
    alone, meddled = weights_of(run([], tmp_path / "alone")), weights_of(run([Meddler()], tmp_path / "meddled"))
    assert torch.is_grad_enabled()
    assert all(torch.equal(alone[name], meddled[name]) for name in alone)
    ends = [files.read_tensors(tmp_path / d / files.CHECKPOINT) for d in ("alone", "meddled")]
    assert len({(end["epoch"], end["step"], end["stopped"]) for end in ends}) == 1


def test_a_probe_that_cannot_be_asked_or_described(tmp_path: Path) -> None:
    class Mute(Still):
        name = "mute"

        def describe(self) -> dict[str, Any]:
            raise RuntimeError("no words")

    class Closed(Still):
        name = "closed"

        def unsupported(self, space: SpaceLike, strategy: Strategy) -> str:
            raise RuntimeError("no answer")

    run([Mute()], tmp_path / "mute")
    found = stored(tmp_path / "mute")
    assert [e["message"] for e in found["events"] if e["kind"] == "probe failed"] == ["mute: RuntimeError: no words"]
    with pytest.raises(SpacecError, match=r"E0709.*no answer"):
        run([Closed()], tmp_path / "closed")
