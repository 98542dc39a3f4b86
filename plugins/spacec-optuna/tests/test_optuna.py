"""Optuna's samplers and pruners over decisions: what they are told and suggest, and that they go on bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import optuna
import pytest
import spacec_optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from spacec_optuna import named
from spacec_optuna.parameters import Parameters
from spacec_optuna.strategy import OptunaSearch

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.progress import Progress, silent
from spacec.search.record import RunStore
from spacec.search.runner import SearchResult, search
from spacec.search.tabular import Tabular
from spacec.search.trainer import TrainConfig
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured
from spacec.testing.synthetic import Synthetic

GRAMMARS = Path(__file__).resolve().parents[3] / "grammars"
SPACE = spacec.load(GRAMMARS / "nas_bench_201.space", preset="tiny")
NONE = {"storage": "none"}
POINTS = """
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh
net = block * 2 >> linear(classes)
"""
MIXED = """
space mixed
input  x: [4]
output y: [3]
def op = lin: linear(4) >> tanh | skip
let cell = dag(a) {
  taken = pick any from u in 0..6: u
  w = 2 + 2*(0 in taken)
  return sum(a >> linear(w) >> tanh >> linear(4), from u in taken: a >> op)
}
net = cell >> op * {1..3} >> linear(elastic {2, 4, 8}) >> tanh >> linear(elastic {3, 5, 9}) >> tanh >> linear(3)
"""


def table(space: spacec.Space = SPACE, epochs: bool = False) -> Tabular:
    """A smooth hill with one top: the sum of the candidates' places, after epochs a share of it."""

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        value = float(sum(v if isinstance(v, int) else sum(v) for _, v in arch.choices))
        share = int(which["epochs"]) / 9 if epochs else 1.0
        return Measured({"height": value * share, "depth": -value})

    measures = (Measure("height", "max"), Measure("depth", "min"))
    asked = {"epochs": ("1", "3", "9")} if epochs else {}
    return Tabular(Benchmark("hill", space.table, measures, lookup, asked))


def run(options: Mapping[str, object], trials: int = 20, **how: Any) -> tuple[OptunaSearch, SearchResult]:
    strategy = OptunaSearch({**NONE, **options})
    space = how.pop("space", SPACE)
    task = how.pop("task", None) or table(space)
    return strategy, search(space, strategy, task, SearchConfig(trials=trials, **how))


@pytest.mark.parametrize("name", sorted(p.stem for p in GRAMMARS.glob("*.space")))
def test_architectures_are_parameters_and_back(name: str) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    for ordinal in (False, True):
        parameters = Parameters(space, ordinal)
        for arch in space.sample(5, seed=1):
            told = parameters.params(arch)
            assert parameters.valid(parameters.suggest(optuna.trial.FixedTrial(told))) == arch
            assert parameters.all_of(arch).keys() == told.keys()
            assert all(d._contains(d.to_internal_repr(told[n])) for n, d in parameters.all_of(arch).items())


def test_kinds_of_decisions_are_kinds_of_parameters() -> None:
    space = spacec.loads(MIXED)
    kinds = {d.id: d for d in space.decisions}
    found = Parameters(space).distributions
    steps = [d for own in found.values() for d in own.values() if isinstance(d, IntDistribution)]
    assert IntDistribution(1, 3) in steps, "a depth has its own numbers"
    assert IntDistribution(0, 2) in steps, "2, 4, 8 have their places"
    (taken,) = (name for name, d in kinds.items() if d.kind == "subset")
    assert next(iter(found[taken].values())) == CategoricalDistribution(("no", "yes")), "127 subsets are six yes or no"
    assert all(
        isinstance(d, IntDistribution) or "has" in n
        for own in Parameters(space, True).distributions.values()
        for n, d in own.items()
    )


def test_only_active_decisions_are_suggested() -> None:
    space = spacec.loads(MIXED)
    strategy, _ = run({"sampler": "random"}, 10, space=space)
    study = strategy.sampling.study
    asked = [set(t.params) for t in study.trials]
    assert len(set(map(frozenset, asked))) > 3
    every = {n for own in strategy.sampling.parameters.distributions.values() for n in own}
    assert all(own < every for own in asked)


def test_what_is_suggested_and_forbidden_is_mended_with_few_changes() -> None:
    space = SPACE.where('count(cell, "conv3") == 1')
    parameters = Parameters(space)
    loose = Parameters(SPACE)
    for arch in SPACE.sample(10, seed=3):
        assert loose.valid(arch.values) == arch
        mended = parameters.repaired(arch.values, Random(0))
        space.validate(mended)
        changes = sum(a != b for a, b in zip(arch.choices, mended.choices, strict=True))
        assert changes == abs(sum(v == 3 for v in arch.values.values()) - 1), "no more than the constraint asks for"
    strategy, found = run({}, 15, space=space)
    assert found.trials == 15
    states = [t.state.name for t in strategy.sampling.study.trials]
    assert states.count("COMPLETE") == 15, "each that was mended is told as what it became"
    assert states.count("FAIL") > 5


SAMPLERS: dict[str, dict[str, object]] = {
    "tpe": {"sampler_options": "n_startup_trials=4,multivariate=true,group=true"},
    "gp": {"sampler_options": "n_startup_trials=8"},
    "cma-es": {"operations": "integer", "sampler_options": "popsize=4"},
    "nsga-ii": {"sampler_options": "population_size=4", "objectives": "height,params"},
    "nsga-iii": {"sampler_options": "population_size=4", "objectives": "height,params:max,depth"},
    "qmc": {"sampler_options": "scramble=true"},
    "random": {},
    "brute-force": {},
}


def killer(trials: int) -> Any:
    def told(now: Progress) -> None:
        if now.phase == "trials" and now.step == trials:
            raise KeyboardInterrupt

    return told


def texts(run_dir: Path) -> list[tuple[str, str]]:
    with RunStore(run_dir / files.STORE) as store:
        return [(t["architecture"], t["status"]) for t in store.trials(store.runs()[-1]["id"])]


@pytest.mark.parametrize(
    ("sampler", "asynchronous"), [*((name, False) for name in named.SAMPLERS), ("tpe", True), ("cma-es", True)]
)
def test_a_search_that_was_killed_goes_on_bit_for_bit(sampler: str, asynchronous: bool, tmp_path: Path) -> None:
    config = SearchConfig(trials=14, seed=2, parallel=3, asynchronous=asynchronous)
    space = SPACE.where('count(cell, "conv3") <= 3')
    options = {**NONE, "sampler": sampler, **SAMPLERS[sampler]}
    whole = OptunaSearch(options)
    search(space, whole, table(), config, tmp_path / "whole")
    for moment in (7, None):
        strategy = OptunaSearch(options)
        try:
            watch = silent if moment is None else killer(moment)
            search(space, strategy, table(), config, tmp_path / "cut", resume=moment is None, progress=watch)
        except KeyboardInterrupt:
            assert moment is not None
    assert texts(tmp_path / "cut") == texts(tmp_path / "whole")
    assert strategy.state_dict() == whole.state_dict()
    assert len({text for text, _ in texts(tmp_path / "whole")}) > 5


def test_the_seed_decides() -> None:
    def found(seed: int) -> list[Any]:
        return [t.params for t in run({"sampler": "qmc"}, 6, seed=seed)[0].sampling.study.trials]

    assert found(1) == found(1) != found(2)


def test_several_objectives_have_a_front(tmp_path: Path) -> None:
    strategy = OptunaSearch({**NONE, "sampler": "nsga-ii", "objectives": "height,params"})
    found = search(SPACE, strategy, table(), SearchConfig(trials=30, seed=1), tmp_path / "run")
    front = strategy.front()
    assert front is not None
    rated = {(t.values[0], -t.values[1]) for t in strategy.sampling.study.best_trials}
    assert {(p.values["height"], -p.values["params"]) for p in front.points} == rated
    assert found.architecture == front.points[0].arch
    assert (tmp_path / "run" / files.FRONT).exists()
    assert run({}, 3)[0].front() is None


def test_a_sampler_that_has_suggested_everything_ends_the_search() -> None:
    space = spacec.loads(POINTS)
    strategy, found = run({"sampler": "brute-force"}, 40, space=space)
    assert found.trials == 4
    assert strategy.sampling.ended


def test_pruned_trials_are_not_trained_on(tmp_path: Path) -> None:
    pruner = {"budgets": "1,3,9", "pruner": "median", "pruner_options": "n_startup_trials=3", "sampler": "random"}
    strategy = OptunaSearch(pruner)
    found = search(SPACE, strategy, table(epochs=True), SearchConfig(trials=40, seed=1), tmp_path / "run")
    trials = strategy.sampling.study.trials
    pruned = [t for t in trials if t.state.name == "PRUNED"]
    assert len(pruned) > 3
    assert {max(t.intermediate_values) for t in pruned} <= {1, 3}
    done = [t for t in trials if t.state.name == "COMPLETE"]
    assert all(set(t.intermediate_values) == {1, 3, 9} for t in done)
    assert found.metrics["height"] == max(t.value for t in done if t.value is not None)
    (study,) = optuna.get_all_study_summaries(f"sqlite:///{tmp_path / 'run' / 'optuna.sqlite3'}")
    seen = optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{tmp_path / 'run' / 'optuna.sqlite3'}")
    assert [(t.state, t.values, t.params, t.intermediate_values) for t in seen.trials] == [
        (t.state, t.values, t.params, t.intermediate_values) for t in trials
    ]


def test_a_training_goes_on_where_it_was(tmp_path: Path) -> None:
    space = spacec.loads(POINTS)
    options = {**NONE, "budgets": "1,2,4", "samples": 3, "sampler": "random"}
    train = TrainConfig(epochs=9, steps=2, batch_size=4)
    strategy = OptunaSearch(options)
    search(space, strategy, Synthetic(), SearchConfig(), tmp_path / "run", train_config=train)
    with RunStore(tmp_path / "run" / files.STORE) as store:
        rows = store.trials(1)
    assert [(r["budget"], r["resume"]) for r in rows[:3]] == [(1, None), (2, 0), (4, 1)]
    assert len({r["architecture"] for r in rows[:3]}) == 1
    told = [t.intermediate_values for t in strategy.sampling.study.trials]
    assert told == [{r["budget"]: r["metrics"]["score"] for r in rows[k : k + 3]} for k in (0, 3, 6)]


def test_trials_that_fail_are_told_so() -> None:
    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        return None

    task = Tabular(Benchmark("void", SPACE.table, (Measure("height", "max"),), lookup))
    with pytest.raises(SpacecError, match="none of the 5 trials succeeded"):
        run({}, 5, task=task)


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ({"sampler_options": "n_startup=3"}, "E0865", "'tpe' has no option 'n_startup'"),
        ({"sampler_options": "multivariate"}, "E0865", "is not of the form name=value"),
        ({"sampler": "nsga-ii", "sampler_options": "population_size=1"}, "E0865", "'nsga-ii' refuses its options"),
        ({"objectives": "heigth"}, "E0860", "'heigth' is neither a metric"),
        ({"objectives": "height,params", "sampler": "cma-es"}, "E0868", "has one objective"),
        ({"objectives": "height,params", "pruner": "median"}, "E0868", "judge one objective"),
        ({"objectives": "params", "pruner": "median"}, "E0868", "needs a metric"),
        ({"pruner": "median"}, "E0868", "needs budgets"),
        ({"budgets": "3,1"}, "E0868", "do not ascend"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, object], code: str, text: str) -> None:
    with pytest.raises(SpacecError, match=text) as error:
        run(options)
    assert error.value.diagnostics[0].code == code


def test_the_descriptor_names_the_class() -> None:
    (descriptor,) = spacec_optuna.spacec_strategies()
    assert descriptor.load() is OptunaSearch
