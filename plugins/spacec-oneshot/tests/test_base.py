"""One-shot search: who may search a trained supernet, how its ratings are made, and that a run goes on where it was."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pytest
import spacec_oneshot
from spacec_oneshot.searcher import parsed
from spacec_oneshot.spos import Spos

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.progress import Progress
from spacec.search.record import RunStore
from spacec.search.runner import SearchResult, search
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space points(width = 6, classes = 3)
input  x: [width]
output logits: [classes]
def block = a: linear >> bn >> tanh | b: linear >> bn >> relu | c: linear >> bn | d: identity
net = block * 4 >> linear(classes)
""")
TASK = Synthetic()
CONFIG = SearchConfig(epochs=2, steps=6, batch_size=8, eval_every=0, recalibrate=2)
FEW = "population=5,generations=2,top=2,mutations=2,crossovers=2"


def run(options: dict[str, object], out: Path | None = None, **how: Any) -> SearchResult:
    return search(SPACE, Spos(options), TASK, CONFIG, out, **how)


def trials(out: Path) -> list[dict[str, Any]]:
    with RunStore(out / files.STORE) as store:
        return store.trials(1)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("spos-evolution", FEW, 10),
        ("random", "samples=4", 4),
        ("nsga2", "population=2,samples=4,objectives=score,params:min", 4),
        ("reinforce", "samples=4", 4),
        ("bananas", "samples=4,initial=2,members=1", 4),
    ],
)
def test_whoever_rates_one_by_one_searches_the_supernet(name: str, options: str, count: int, tmp_path: Path) -> None:
    found = run({"search": name, "search_options": options, "batches": 2}, tmp_path / "run")
    rows = trials(tmp_path / "run")
    assert len(rows) == found.trials == count
    assert {(t["weights"], t["budget"], t["batches"], t["status"]) for t in rows} == {("shared", None, 2, "done")}
    shared = found.context.evaluate(SPACE.architecture(rows[-1]["architecture"]), batches=2)
    assert rows[-1]["metrics"] == shared, "rated with the trained weights, after norms were re-estimated"
    assert shared != found.context.evaluate(SPACE.architecture(rows[-1]["architecture"]), batches=2, recalibrate=0)
    assert (found.front is not None) == (name == "nsga2")


@pytest.mark.parametrize("proposed", [None, ["x"], [3], [SPACE.sample(1)[0]]], ids=["none", "text", "number", "arch"])
def test_a_searcher_that_asks_for_no_trials_is_named(proposed: object, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = Spos({"search_options": FEW})
    monkeypatch.setattr(strategy.searcher, "propose", lambda n: proposed)
    with pytest.raises(SpacecError, match=r"E0824.*strategy 'spos-evolution' asks for what is no trial"):
        search(SPACE, strategy, TASK, SearchConfig(epochs=0))


@pytest.mark.parametrize("name", ["darts", "spos", "hyperband", "asha"])
def test_others_are_refused_before_anything_runs(name: str) -> None:
    with pytest.raises(SpacecError) as error:
        Spos({"search": name})
    assert error.value.diagnostics[0].code == "E0880"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("pruner=median,budgets=1,2,storage=none", "lets trainings of trials go on"),
        ("storage=sqlite:///elsewhere.db", "its option 'storage' names what is outside the run"),
    ],
)
def test_optuna_is_refused_with_a_pruner_or_a_storage(options: str, why: str) -> None:
    with pytest.raises(SpacecError, match=why) as error:
        Spos({"search": "optuna", "search_options": options})
    assert error.value.diagnostics[0].code == "E0880"
    assert not Spos({"search": "optuna", "search_options": "storage=none"}).searcher.resumes


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"search": "spos-evolutoin"}, "E0710"),
        ({"search_options": "populatoin=3"}, "E0701"),
        ({"search_options": "population=0"}, "E0703"),
        ({"search_options": "population"}, "E0704"),
        ({"search_options": "population=2,population=3"}, "E0705"),
    ],
)
def test_options_of_the_searcher_are_checked(options: dict[str, object], code: str) -> None:
    with pytest.raises(SpacecError) as error:
        Spos(options)
    assert error.value.diagnostics[0].code == code


def test_a_comma_belongs_to_a_value_unless_a_name_follows() -> None:
    text = "population=20, limits=params<=9,macs<=8,objectives=val_acc,latency:min"
    assert parsed(text) == {"population": "20", "limits": "params<=9,macs<=8", "objectives": "val_acc,latency:min"}
    assert parsed(" ") == {}


@pytest.mark.parametrize(("phase", "step"), [("search", 8), ("trials", 3), ("trials", 7)])
def test_a_search_that_was_stopped_goes_on(phase: str, step: int, tmp_path: Path) -> None:
    def stop(now: Progress) -> None:
        at = now.epoch * CONFIG.steps + now.step if phase == "search" and CONFIG.steps else now.step
        if (now.phase, at) == (phase, step):
            signal.raise_signal(signal.SIGINT)

    options: dict[str, object] = {"search_options": FEW, "batches": 1}
    whole = run(options, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(options, tmp_path / "cut", progress=stop)
    resumed = run(options, tmp_path / "cut", resume=True)
    keys = ("number", "architecture", "metrics")
    assert [[t[k] for k in keys] for t in trials(tmp_path / "cut")] == [
        [t[k] for k in keys] for t in trials(tmp_path / "whole")
    ]
    assert (resumed.architecture, resumed.metrics) == (whole.architecture, whole.metrics)


def test_each_strategy_fits_its_descriptor_and_the_conformance_suite() -> None:
    for descriptor in spacec_oneshot.spacec_strategies():
        implementation = descriptor.load()
        assert (implementation.name, implementation.help) == (descriptor.name, descriptor.help)
        assert not conformance.require(SPACE, implementation).unsupported


def test_the_strategy_of_the_readme_works() -> None:
    text = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    few = {"search_options": "population=2,generations=2", "batches": 1}
    conformance.require(SPACE, names["Lasting"], few)
    strategy = names["Lasting"](few)
    search(SPACE, strategy, TASK, CONFIG)
    run = [strategy.masks(step)[0].mask for step in range(30)]
    assert all(run[k] == run[k - k % 10] for k in range(30))
    assert any(run[0] != mask for mask in run)
