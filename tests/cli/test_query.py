"""`spacec query` and `space.benchmark`, with a plugin made here."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import spacec as api
from spacec.diagnostics.model import SpacecError
from spacec.hooks import BenchmarkDescriptor, Registry, hookimpl, load_plugins
from spacec.hooks.manager import Candidate
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured, data_file
from spacec.space.decisions import DecisionTable
from tests.cli.running import Done

Run = Callable[..., Done]
NB201 = "grammars/nas_bench_201.space"


def convolutions(table: DecisionTable, path: Path | None) -> Benchmark:
    """Counts convolutions, times what the file says."""
    factor = 1.0 if path is None else float(data_file("convolutions", path, (), "write a number").read_text())

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        kernels = [which["kernel"]] if which["kernel"] != "any" else ["1", "3"]
        count = sum(label in {f"conv{k}" for k in kernels} for _, label in arch.tokens)
        return Measured({"count": factor * count}, 60.0 * count) if count < 6 else None

    measures = (Measure("count", "min", "convolutions", "how many there are"),)
    return Benchmark("convolutions", table, measures, lookup, {"kernel": ("any", "1", "3")}, "this test")


def nonsense(table: DecisionTable, path: Path | None) -> object:
    return table.space


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    here = __name__
    descriptors = [
        BenchmarkDescriptor("convolutions", "counts convolutions", f"{here}:convolutions"),
        BenchmarkDescriptor("nonsense", "is none", f"{here}:nonsense", "spacec-toy[nonsense]", "nonsense.csv"),
    ]
    module = types.SimpleNamespace(spacec_benchmarks=hookimpl(lambda: descriptors))
    found = load_plugins([Candidate("toy", "spacec-toy", "1.0", lambda: module)])
    for place in ("spacec.facade.benchmarks", "spacec.cli.plugins"):
        monkeypatch.setattr(f"{place}.installed", lambda: found)
    return found


def test_architectures_are_answered_in_order(spacec: Run) -> None:
    a, b = spacec("sample", NB201, "-n", "2", "--seed", "5").out.split()
    done = spacec("query", NB201, "convolutions", a, b, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert [f["architecture"] for f in found] == [a, b]
    assert [f["metrics"]["count"] for f in found] == [float(t.count("conv")) for t in (a, b)]
    assert [f["seconds"] for f in found] == [60.0 * t.count("conv") for t in (a, b)]
    text = spacec("query", NB201, "convolutions", a).out
    assert text.startswith(a)
    assert f"{a.count('conv')} convolutions" in text


def test_what_to_ask_for(spacec: Run) -> None:
    (a,) = spacec("sample", NB201, "--seed", "5").out.split()
    done = spacec("query", NB201, "convolutions", a, "--which", "kernel=3", "--json")
    (found,) = json.loads(done.out)
    assert found["which"] == {"kernel": "3"}
    assert found["metrics"]["count"] == a.count("conv3")
    wrong = spacec("query", NB201, "convolutions", a, "--dataset", "cifar10", "--which", "kernel=5")
    assert wrong.code == 1
    assert "cannot be asked for 'dataset'" in wrong.err
    assert "has no kernel '5'" in wrong.err


def test_without_an_architecture_it_says_what_it_has(spacec: Run) -> None:
    about = json.loads(spacec("query", NB201, "convolutions", "--json").out)
    assert about["which"] == {"kernel": ["any", "1", "3"]}
    assert about["metrics"] == [
        {"name": "count", "direction": "min", "unit": "convolutions", "help": "how many there are"}
    ]
    text = spacec("query", NB201, "convolutions").out
    assert "any, 1, 3" in text
    assert "min is better" in text


def test_plugins_lists_benchmarks_with_what_they_read(spacec: Run) -> None:
    assert "nonsense      is none; from spacec-toy[nonsense]" in spacec("plugins").out
    (plugin,) = json.loads(spacec("plugins", "--json").out)["plugins"]
    listed = plugin["contributions"]["benchmarks"][1]
    assert (listed["extra"], listed["files"]) == ("spacec-toy[nonsense]", "nonsense.csv")


def test_a_file_is_named(spacec: Run, tmp_path: Path) -> None:
    (tmp_path / "factor").write_text("10")
    arch = "5d01f23b:cell=conv1,conv3,none,none,none,none"
    done = spacec("query", NB201, "convolutions", arch, "--file", tmp_path / "factor")
    assert "20 convolutions" in done.out
    assert "E0733" in spacec("query", NB201, "convolutions", arch, "--file", tmp_path / "no").err


def test_a_row_that_is_missing(spacec: Run) -> None:
    done = spacec("query", NB201, "convolutions", "5d01f23b:cell=conv1,conv3,conv1,conv1,conv1,conv1")
    assert done.code == 1
    assert "E0732" in done.err


def test_the_same_from_python() -> None:
    space = api.load(Path(__file__).parents[2] / NB201)
    arch = space.architecture("5d01f23b:cell=conv1,conv3,none,none,none,none")
    assert space.benchmark("convolutions").query(arch, kernel=3) == Measured({"count": 1.0}, 60.0)
    with pytest.raises(SpacecError, match="benchmark 'convolution' is not installed"):
        space.benchmark("convolution")
    with pytest.raises(SpacecError, match="its target returned str, not a Benchmark"):
        space.benchmark("nonsense")
