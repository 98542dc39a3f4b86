"""Options: typed parsing of ``-o name=value`` and its diagnostics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacec.diagnostics.model import SpacecError
from spacec.search.config import SearchConfig, parse_search_options, strategy_config
from spacec.search.options import Options, option, options_help, parse_options, split_assignments


@dataclass(frozen=True)
class Sample(Options):
    arch_lr: float = option(3e-4, "a rate", low=0)
    order: Literal[1, 2] = option(1, "an order")
    rounded: bool = option(False, "a flag")
    samples: int | None = option(None, "a number", low=1, high=100)
    betas: tuple[float, float] = option((0.5, 0.999), "two numbers")
    name: str = option("x", "a text")
    decays: tuple[float, float] = option((0.5, 0.999), "two numbers below 1", low=0, below=1)
    labels: tuple[str, ...] = option((), "texts")


def codes(error: pytest.ExceptionInfo[SpacecError]) -> list[str]:
    return [d.code for d in error.value.diagnostics]


def test_texts_become_typed_fields() -> None:
    texts = {"arch_lr": "1e-2", "order": "2", "rounded": "yes", "samples": "7", "betas": "0,0.9", "name": "a b"}
    assert parse_options(Sample, texts) == Sample(0.01, 2, True, 7, (0.0, 0.9), "a b")
    assert parse_options(Sample, {"samples": "none"}) == Sample()


@given(st.floats(0, 1e6), st.sampled_from([1, 2]), st.booleans(), st.none() | st.integers(1, 100), st.floats(-1e3, 1e3))
def test_what_is_printed_reads_back(lr: float, order: Literal[1, 2], flag: bool, n: int | None, beta: float) -> None:
    value = Sample(lr, order, flag, n, (beta, 0.5))
    texts = {k: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for k, v in value.describe().items()}
    assert parse_options(Sample, texts) == value


@pytest.mark.parametrize(
    ("name", "text", "code", "says"),
    [
        ("arch_lr", "fast", "E0702", "is 'fast', expected a number"),
        ("arch_lr", "nan", "E0702", "expected a number"),
        ("arch_lr", "-1", "E0703", "expected at least 0"),
        ("samples", "101", "E0703", "expected at most 100"),
        ("samples", "1.5", "E0702", "expected an integer or none"),
        ("order", "3", "E0702", "expected one of 1, 2"),
        ("rounded", "maybe", "E0702", "expected true or false"),
        ("arch_lr", "1e39", "E0703", "expected at most 3.4e+38 in size"),
        ("decays", "0.5,1", "E0703", "is '0.5,1', expected less than 1"),
        ("decays", "-0.1,0.5", "E0703", "expected at least 0"),
        ("betas", "0.9", "E0702", "expected 2 numbers separated by commas"),
        ("arch_rl", "1", "E0701", "has no option 'arch_rl'"),
    ],
)
def test_each_mistake_has_its_diagnostic(name: str, text: str, code: str, says: str) -> None:
    with pytest.raises(SpacecError) as error:
        parse_options(Sample, {name: text}, owner="strategy 'sample'")
    assert codes(error) == [code]
    assert says in error.value.diagnostics[0].headline


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(SpacecError) as error:
        parse_options(Sample, {"arch_rl": "1"})
    assert error.value.diagnostics[0].help == "did you mean 'arch_lr'?"


def test_all_mistakes_are_reported_together() -> None:
    with pytest.raises(SpacecError) as error:
        parse_options(Sample, {"order": "x", "nope": "1", "arch_lr": "-1"})
    assert codes(error) == ["E0702", "E0701", "E0703"]


def test_assignments_split_at_the_first_sign() -> None:
    assert split_assignments(("lr = 0.1", "name=a=b")) == {"lr": "0.1", "name": "a=b"}
    with pytest.raises(SpacecError) as error:
        split_assignments(("lr", "n=1", "n=2"))
    assert codes(error) == ["E0704", "E0705"]


def test_help_lists_fields_in_order() -> None:
    lines = options_help(Sample)
    assert [line.name for line in lines] == [
        "arch_lr",
        "order",
        "rounded",
        "samples",
        "betas",
        "name",
        "decays",
        "labels",
    ]
    assert lines[1].type == "one of 1, 2"
    assert lines[3].default == "none"
    assert (lines[4].default, lines[4].type) == ("0.5,0.999", "2 numbers separated by commas")
    assert lines[-1].type == "texts separated by commas"
    assert all(line.help for line in lines)


def test_one_flag_serves_strategy_and_runner() -> None:
    options, config = parse_search_options(Sample, {"epochs": 200}, {"order": "2", "lr": "0.5"}, "strategy 's'")
    assert options == Sample(order=2)
    assert (config.epochs, config.lr) == (200, 0.5)


def test_a_misspelt_setting_of_the_runner_is_suggested() -> None:
    with pytest.raises(SpacecError) as error:
        parse_search_options(Sample, {}, {"epochz": "3"}, "strategy 's'")
    assert error.value.diagnostics[0].help == "did you mean 'epochs'?"


def test_a_user_overrides_a_paper_overrides_the_default() -> None:
    assert strategy_config({"epochs": 200, "lr": 0.1}, {"epochs": "3"}) == SearchConfig(epochs=3, lr=0.1)


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(SpacecError, match="momentum above 0"):
        strategy_config({}, {"nesterov": "true", "momentum": "0"})
    assert strategy_config({}, {"nesterov": "true", "momentum": "0", "optimizer": "adam"}).nesterov
