"""NSGA-II: who survives, what limits do, which front comes out, and where it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import spacec_nsga2
from hypothesis import given, settings
from hypothesis import strategies as st
from spacec_nsga2.strategy import Individual, Nsga2, survivors

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.executor import Virtual
from spacec.search.fronts import FrontRow, read_front
from spacec.search.pareto import crowding, fronts
from spacec.search.record import RunStore
from spacec.search.runner import SearchResult, search
from spacec.search.tabular import Tabular
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured

SPACE = spacec.loads("""
space six(width = 4)
input  x: [width]
output y: [width]
def op = a: linear | b: linear >> tanh | c: linear >> relu | d: identity
net = op >> op >> op >> op
""")
EVERY = list(SPACE.enumerate())


def values(arch: Architecture) -> tuple[float, float]:
    """Two goals that pull apart: a weighted sum of the candidates, and the square of another."""
    a, b, c, d = (v for _, v in arch.choices if isinstance(v, int))
    return float(a + 2 * b + 3 * c + 5 * d), float((a + b) ** 2 + (c + d) ** 2)


def table(missing: bool = False) -> Tabular:
    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        height, width = values(arch)
        return Measured({"height": height} if missing else {"height": height, "width": width}, 1.0 + width)

    measures = (Measure("height", "max"), Measure("width", "min"))
    return Tabular(Benchmark("hills", SPACE.table, measures, lookup))


def true_front() -> set[tuple[float, float]]:
    points = {values(a) for a in EVERY}
    return {p for p in points if not any(q[0] >= p[0] and q[1] <= p[1] and q != p for q in points)}


def run(trials: int = 400, config: Mapping[str, Any] | None = None, **options: object) -> SearchResult:
    given = {"objectives": "height,width", "population": 20, **options}
    return search(SPACE, Nsga2(given), table(), SearchConfig(trials=trials, **(config or {})))


def front_of(found: SearchResult) -> list[tuple[float, float]]:
    assert found.front is not None
    return [(p.values["height"], p.values["width"]) for p in found.front.points]


@pytest.mark.parametrize("replacement", ["generation", "steady"])
def test_it_finds_the_front(replacement: str) -> None:
    found = run(replacement=replacement, distinct=True, trials=220)
    assert len(set(front_of(found)) & true_front()) >= 0.7 * len(true_front())
    heights = [p[0] for p in front_of(found)]
    assert heights == sorted(heights, reverse=True)
    assert found.metrics["height"] == heights[0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=16),
    st.integers(1, 16),
)
def test_survivors_are_whole_fronts_and_the_least_crowded(rows: Sequence[tuple[int, int, int]], size: int) -> None:
    members = [Individual(EVERY[k], (x, y), v, k) for k, (x, y, v) in enumerate(rows)]
    kept = survivors(members, size)
    assert len(kept) == min(size, len(members))
    numbers = {m.number for m in kept}
    sorted_out = fronts([m.point for m in members], [m.violation for m in members])
    whole = [set(f) <= numbers for f in sorted_out]
    assert whole == sorted(whole, reverse=True)
    split = next((f for f, all_there in zip(sorted_out, whole, strict=True) if not all_there), [])
    distances = dict(zip(split, crowding([members[k].point for k in split]), strict=True))
    inside = [d for k, d in distances.items() if k in numbers]
    outside = [d for k, d in distances.items() if k not in numbers]
    assert not inside or min(inside) >= max(outside)
    beyond = [k for f in sorted_out[whole.index(False) + 1 :] for k in f] if not all(whole) else []
    assert not numbers & set(beyond)


def test_a_generation_comes_from_the_one_before() -> None:
    strategy = Nsga2({"objectives": "height,width", "population": 8, "mutation": 0.0, "crossover": 1.0})
    seen: dict[int, Any] = {}

    class Watched(Nsga2):
        def observe(self, results: Any) -> None:
            super().observe(results)
            seen.update((r.number, r.trial) for r in results)

    search(SPACE, Watched(strategy.options), table(), SearchConfig(trials=40))
    assert [seen[n].tag["generation"] for n in range(40)] == [n // 8 for n in range(40)]
    for trial in list(seen.values())[8:]:
        parents = [seen[n].arch for n in trial.tag["parents"]]
        assert len(parents) == 2
        for decision, value in trial.arch.choices:
            assert value in {p[decision] for p in parents}


def test_limits_are_kept_and_named_where_nothing_keeps_them() -> None:
    found = run(limits="width<=20,params<=45")
    assert found.front is not None
    assert found.front.points
    assert all(p.values["width"] <= 20 and SPACE.params(p.arch) <= 45 for p in found.front.points)
    best = max(values(a)[0] for a in EVERY if values(a)[1] <= 20 and SPACE.params(a) <= 45)
    assert found.metrics["height"] == best
    with pytest.raises(SpacecError) as error:
        run(trials=30, limits="height>=100")
    assert error.value.diagnostics[0].code == "E0861"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"objectives": "height,widht"}, "'widht' is neither a metric of 'hills' nor a cost of 'six'"),
        ({"objectives": "height:up"}, "objective 'height' cannot be better by 'up'"),
        ({"objectives": "height,height:min"}, "objective 'height' is given twice"),
        ({"limits": "params=3"}, "'params=3' is no limit"),
        ({"limits": "params<=1e"}, "'params<=1e' is no limit"),
    ],
)
def test_objectives_that_are_none(options: Mapping[str, object], says: str) -> None:
    with pytest.raises(SpacecError) as error:
        run(trials=4, **options)
    assert (error.value.diagnostics[0].code, error.value.diagnostics[0].headline) == ("E0860", says)


def test_a_limit_on_a_cost_of_a_space_without_architectures_says_so() -> None:
    with pytest.raises(SpacecError, match="E0511"):
        search(SPACE.where("params <= -1"), Nsga2({"limits": "params<=9"}), table(), SearchConfig(trials=4))


def test_a_trial_that_lacks_an_objective_has_failed() -> None:
    strategy = Nsga2({"objectives": "height,width", "population": 4})
    with pytest.raises(SpacecError, match="none of the 8 trials succeeded") as error:
        search(SPACE, strategy, table(missing=True), SearchConfig(trials=8))
    assert error.value.diagnostics[0].notes == ("the trial did not measure width",)


def test_nobody_waits_with_steady_replacement() -> None:
    ends = {}
    for replacement in ("generation", "steady"):
        clock = Virtual({"workers": 16})
        options = {"objectives": "height,width", "population": 16, "replacement": replacement}
        config = SearchConfig(trials=96, asynchronous=True)
        search(SPACE, Nsga2(options), table(), config, executor=clock)
        ends[replacement] = clock.now()
    assert ends["steady"] < 0.9 * ends["generation"]


def test_the_front_is_in_the_run_directory_and_in_the_record(tmp_path: Path) -> None:
    found = search(SPACE, Nsga2({"population": 10}), table(), SearchConfig(trials=50), tmp_path / "run")
    assert found.front is not None
    written = files.read_json(tmp_path / "run" / files.FRONT)
    expected = [{"architecture": p.arch.text(), "values": dict(p.values)} for p in found.front.points]
    assert written["points"] == expected
    assert [o["name"] for o in written["objectives"]] == ["height", "params"]
    with RunStore(tmp_path / "run" / files.STORE) as store:
        directions, rows = read_front(store, [1])
    assert directions == {"height": "max", "params": "min"}
    assert rows == [FrontRow(p["architecture"], p["values"]) for p in expected]


def test_the_descriptor_names_the_class() -> None:
    (descriptor,) = spacec_nsga2.spacec_strategies()
    assert descriptor.load() is Nsga2
