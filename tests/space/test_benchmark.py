"""Benchmarks: which spaces they fit, what they can be asked, and how they answer, on a table made here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.space.architecture import Architecture
from spacec.space.benchmark import DATA_FOLDER, Benchmark, Measure, Measured, data_file, fitted

QUESTIONS = ((("a",), ("b", "bee")), (("8",), ("16",)))


def space_of(net: str, header: str = "") -> spacec.Space:
    return spacec.loads(f"space s({header})\ninput x: [4]\noutput y: [4]\nnet = {net}")


SPACE = space_of("(a: linear | bee: relu) >> linear(elastic {16, 8}) >> linear(4)")


def opened(space: spacec.Space = SPACE) -> Benchmark:
    read = fitted(space.table, "toy", QUESTIONS)

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        op, width = read(arch)
        if (op, width) == ("b", "8"):
            return None
        return Measured({"accuracy": float(width) + (which["dataset"] == "two")}, 3.0)

    measures = (Measure("accuracy", "max", "%"), Measure("latency", "min", "ms"))
    return Benchmark("toy", space.table, measures, lookup, {"dataset": ("one", "two"), "epochs": ("200", "12")}, "here")


def code(error: pytest.ExceptionInfo[SpacecError]) -> str:
    return error.value.diagnostics[0].code


def test_candidates_are_met_by_any_of_their_names_in_any_order() -> None:
    read = fitted(SPACE.table, "toy", QUESTIONS)
    assert {read(arch) for arch in SPACE.enumerate()} == {("a", "8"), ("a", "16"), ("b", "8"), ("b", "16")}
    chosen = SPACE.architecture(f"{SPACE.digest}:net=bee,16")
    assert read(chosen) == ("b", "16")


@pytest.mark.parametrize(
    ("net", "why"),
    [
        ("(a: linear | b: relu) >> linear(4)", "it decides 1 things, not 2"),
        ("(a: linear | c: relu) >> linear(elastic {8, 16}) >> linear(4)", "chooses among a | c, not a | b"),
        (
            "(a: linear | b: relu | c: gelu) >> linear(elastic {8, 16}) >> linear(4)",
            "chooses among a | b | c, not a | b",
        ),
    ],
)
def test_other_spaces_are_refused_with_the_first_difference(net: str, why: str) -> None:
    with pytest.raises(SpacecError, match="does not fit s") as error:
        fitted(space_of(net).table, "toy", QUESTIONS)
    assert code(error) == "E0730"
    assert why in error.value.diagnostics[0].headline


def test_a_decision_that_is_not_asked() -> None:
    space = space_of("(a: linear(elastic {8, 16}) >> linear(4) | b: linear)")
    read = fitted(space.table, "toy", QUESTIONS)
    assert read(space.architecture(f"{space.digest}:net=a,16")) == ("a", "16")
    with pytest.raises(SpacecError, match="is not asked in") as error:
        read(space.architecture(f"{space.digest}:net=b"))
    assert code(error) == "E0730"


def test_a_subset_is_no_choice() -> None:
    space = space_of("dag(x) { return sum(pick 1 from [x, x]: relu) }")
    with pytest.raises(SpacecError, match="picks elements, where one of a is asked for"):
        fitted(space.table, "toy", ((("a",),),))


def test_the_first_answer_is_taken_unless_another_is_asked_for() -> None:
    benchmark, arch = opened(), SPACE.architecture(f"{SPACE.digest}:net=a,16")
    assert benchmark.query(arch) == Measured({"accuracy": 16.0}, 3.0)
    assert benchmark.query(arch, dataset="two", epochs=12).metrics["accuracy"] == 17.0
    assert benchmark.asked({"epochs": 12}) == {"dataset": "one", "epochs": "12"}


def test_a_row_that_is_missing_is_said_to_be() -> None:
    with pytest.raises(SpacecError, match="toy' does not have the architecture") as error:
        opened().query(SPACE.architecture(f"{SPACE.digest}:net=bee,8"), dataset="two")
    assert code(error) == "E0732"
    assert "for dataset two, epochs 200" in error.value.diagnostics[0].headline


def test_an_architecture_of_another_space_is_refused() -> None:
    other = space_of("(a: linear | c: relu) >> linear(elastic {8, 16}) >> linear(4)")
    with pytest.raises(SpacecError) as error:
        opened().query(other.sample()[0])
    assert code(error) == "E0602"


@pytest.mark.parametrize(
    ("which", "text"),
    [
        ({"dataset": "tow"}, "has no dataset 'tow'"),
        ({"epochs": 13}, "has no epochs '13'"),
        ({"datasets": "one"}, "cannot be asked for 'datasets'"),
    ],
)
def test_questions_that_it_does_not_have(which: dict[str, object], text: str) -> None:
    with pytest.raises(SpacecError) as error:
        opened().query(SPACE.sample()[0], **which)
    assert code(error) == "E0731"
    assert text in error.value.diagnostics[0].headline


def test_measures_by_name_and_direction() -> None:
    benchmark = opened()
    assert benchmark.measure("latency") == Measure("latency", "min", "ms")
    assert benchmark.measure("latency:max").direction == "max"
    for name in ("latnecy", "latency:up"):
        with pytest.raises(SpacecError) as error:
            benchmark.measure(name)
        assert code(error) == "E0731"


def test_files_are_named_or_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.csv").write_text("")
    monkeypatch.delenv(DATA_FOLDER, raising=False)
    assert data_file("toy", tmp_path / "b.csv", (), "get it") == tmp_path / "b.csv"
    with pytest.raises(SpacecError, match="needs a file") as error:
        data_file("toy", None, ("a.csv", "b.csv"), "get it from its authors")
    assert code(error) == "E0733"
    assert error.value.diagnostics[0].notes == ("get it from its authors",)
    assert "a.csv or b.csv" in error.value.diagnostics[0].help
    with pytest.raises(SpacecError, match="no such file"):
        data_file("toy", tmp_path / "c.csv", (), "get it")
    monkeypatch.setenv(DATA_FOLDER, str(tmp_path))
    assert data_file("toy", None, ("a.csv", "b.csv"), "get it") == tmp_path / "b.csv"
