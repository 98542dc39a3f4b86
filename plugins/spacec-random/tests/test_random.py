"""Random search: what is drawn, in what order it is rated, and what is kept."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from spacec_random.strategy import RandomSearch

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.progress import Progress
from spacec.search.record import RunStore
from spacec.search.runner import SearchResult, search
from spacec.search.task import Metric
from spacec.search.trainer import TrainConfig
from spacec.space.architecture import Architecture
from spacec.testing.exchange import Exchange, made_up
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(classes)
""")
TASK = Synthetic()

CONFIG = SearchConfig(epochs=2, steps=6, eval_every=0)


def run(options: dict[str, object], config: SearchConfig = CONFIG, out: Path | None = None) -> SearchResult:
    return search(SPACE, RandomSearch(options), TASK, config, out, train_config=TrainConfig(epochs=3))


def trials(out: Path) -> list[dict[str, Any]]:
    with RunStore(out / files.STORE) as store:
        return store.trials(1)


def test_each_weight_step_trains_one_path() -> None:
    strategy = RandomSearch({"samples": 1})
    context = search(SPACE, strategy, TASK, CONFIG).context
    drawn = [path.mask for _ in range(30) for path in strategy.masks(0)]
    assert all(mask is not None and all(isinstance(v, int) for v in mask.values()) for mask in drawn)
    assert len({tuple(sorted(mask.items())) for mask in drawn if mask is not None}) > 4
    assert context.last is not None
    assert len(context.last.paths) == 1


def test_shared_ratings_in_two_rounds(tmp_path: Path) -> None:
    result = run({"samples": 12, "finalists": 3}, out=tmp_path / "run")
    found = trials(tmp_path / "run")
    first, final = found[:12], found[12:]
    assert result.trials == 15
    by_text = {t["architecture"]: t["metrics"]["score"] for t in first}
    expected = sorted(by_text, key=lambda text: -by_text[text])[:3]
    assert [t["architecture"] for t in final] == expected
    best = max(final, key=lambda t: t["metrics"]["score"])
    assert result.architecture.text() == best["architecture"]
    assert result.metrics == best["metrics"]


def test_independent_trials_keep_the_best(tmp_path: Path) -> None:
    result = run({"mode": "trials", "samples": 5, "trial_epochs": 2}, out=tmp_path / "run")
    found = trials(tmp_path / "run")
    assert [(t["weights"], t["budget"]) for t in found] == [("standalone", 2)] * 5
    assert result.context.supernets == {}
    assert result.metrics["score"] == max(t["metrics"]["score"] for t in found)
    assert not (tmp_path / "run" / files.CHECKPOINT).exists()


@pytest.mark.parametrize("options", [{"samples": 7, "finalists": 3}, {"mode": "trials", "samples": 4}])
def test_trials_at_once_are_the_same_trials(tmp_path: Path, options: dict[str, object]) -> None:
    one = run(options, out=tmp_path / "one")
    three = run(options, SearchConfig(epochs=2, steps=6, eval_every=0, parallel=3), tmp_path / "three")
    texts = [[t["architecture"] for t in trials(tmp_path / name)] for name in ("one", "three")]
    assert texts[0] == texts[1]
    assert one.architecture == three.architecture


@pytest.mark.parametrize("stop", [2, 6, 8])
def test_resume_among_the_trials(tmp_path: Path, stop: int) -> None:
    def progress(now: Progress) -> None:
        if (now.phase, now.step) == ("trials", stop):
            signal.raise_signal(signal.SIGINT)

    whole = run({"samples": 7, "finalists": 3}, out=tmp_path / "whole")
    options, cut = {"samples": 7, "finalists": 3}, tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        search(
            SPACE,
            RandomSearch(options),
            TASK,
            CONFIG,
            cut,
            train_config=TrainConfig(epochs=3),
            progress=progress,
        )
    resumed = search(SPACE, RandomSearch(options), TASK, CONFIG, cut, train_config=TrainConfig(epochs=3), resume=True)
    assert resumed.architecture == whole.architecture
    keys = ("architecture", "metrics", "number")
    assert [[t[k] for k in keys] for t in trials(cut)] == [[t[k] for k in keys] for t in trials(tmp_path / "whole")]


def test_finalists_wait_for_the_last_of_the_first_ratings() -> None:
    strategy = RandomSearch({"samples": 1, "finalists": 1})
    context = search(SPACE, strategy, TASK, CONFIG).context
    strategy = RandomSearch({"samples": 9, "finalists": 3})
    strategy.setup(context)
    exchange = Exchange(strategy, made_up(context, lambda number: number == 4), workers=4)
    exchange.run()
    rounds = [t.tag["round"] for t in exchange.asked]
    assert rounds == ["first"] * 9 + ["final"] * 3
    assert exchange.known[9] == 9
    assert [r.number for r in exchange.told] != list(range(12)), "they came in another order"
    assert (len(strategy.first), strategy.failed, len(strategy.final)) == (8, 1, 3)
    best = dict(strategy.first)
    assert {text for text, _ in strategy.final} == set(sorted(best, key=lambda text: -best[text])[:3])


def test_without_a_success_there_is_no_answer() -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            return getattr(SPACE, name)

        def network(self, arch: Architecture, seed: int | None = None) -> torch.nn.Module:
            raise RuntimeError("no memory")

    with pytest.raises(SpacecError, match="none of the 3 trials succeeded") as error:
        search(Broken(), RandomSearch({"mode": "trials", "samples": 3}), TASK, CONFIG)
    assert error.value.diagnostics[0].code == "E0821"


def test_a_metric_to_minimise_is_minimised() -> None:
    strategy = RandomSearch({"samples": 3})
    search(SPACE, strategy, TASK, CONFIG)
    rated = [("a", 2.0), ("b", 1.0), ("c", float("nan")), ("b", 1.0)]
    assert [text for text, _ in strategy._ranked(rated)] == ["a", "b"]
    strategy.ctx.task = type("Min", (Synthetic,), {"metrics": (Metric("loss", "min"),)})()
    assert [text for text, _ in strategy._ranked(rated)] == ["b", "a"]


def test_defaults_are_those_of_the_literature() -> None:
    assert RandomSearch().samples == 1000
    assert RandomSearch({"mode": "trials"}).samples == 10
    assert RandomSearch().options.finalists == 10


def test_the_descriptor_names_the_class() -> None:
    import spacec_random

    (descriptor,) = spacec_random.spacec_strategies()
    assert descriptor.load() is RandomSearch
