"""``spacec explain``: codes, ops and definitions, and the document that is written from the same data."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spacec.cli.library import definitions, document, groups, page
from spacec.diagnostics.codes import codes
from spacec.diagnostics.model import SpacecError
from spacec.hooks import installed
from spacec.sema.foreign import NAMES, meant
from spacec.std.primitives import PRIMITIVES
from tests.cli.running import ROOT, Done

Run = Callable[..., Done]


def test_the_document_is_up_to_date() -> None:
    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    assert text == document(), "run: python -m spacec.cli.library"


def test_everything_has_a_page_and_a_group() -> None:
    grouped = [name for names in groups().values() for name in names]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {*installed().ops().ops, *definitions()}
    for name in grouped:
        assert page(name).startswith((name, f"def {name}"))
        assert f"`{name}" in document() or name not in {op.name for op in PRIMITIVES}


def test_every_parameter_of_the_hosts_ops_has_help() -> None:
    assert [(op.name, p.name) for op in PRIMITIVES for p in op.params if not p.help] == []


def test_a_page_shows_signature_parameters_and_cost(spacec: Run) -> None:
    done = spacec("explain", "conv")
    assert done.code == 0
    assert done.out.startswith("conv(kernel, out, stride, dilation = 1, groups = 1")
    assert "  kernel    required   window along each spatial axis" in done.out
    assert "weights: C*kernel^2*out; multiplies: C*H*W*kernel^2*out" in done.out
    done = spacec("explain", "sep_conv")
    assert "def sep_conv(kernel)" in done.out
    assert ">> relu >> depthwise(kernel)" in done.out
    assert "DARTS" in done.out


def test_codes_in_either_case_and_the_list_of_everything(spacec: Run) -> None:
    assert spacec("explain", "e0301").out == spacec("explain", "E0301").out
    everything = spacec("explain").out
    assert all(code in everything for code in codes())
    assert "  conv  linear" in everything.splitlines()


@pytest.mark.parametrize(
    ("name", "near"),
    [("Conv2d", "conv"), ("batchnorm", "bn"), ("relo", "relu"), ("sep_cnv", "sep_conv"), ("E030l", "E0301")],
)
def test_a_near_miss_is_named(spacec: Run, name: str, near: str) -> None:
    done = spacec("explain", name)
    assert (done.code, done.out) == (1, "")
    assert f"did you mean `{near}`?" in done.err
    with pytest.raises(SpacecError):
        page("nothing_like_it")


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("BatchNorm2d", "bn"),
        ("batch_norm", "bn"),
        ("conv2d", "conv"),
        ("Conv1d", "conv"),
        ("MaxPooling2D", "max_pool"),
        ("AdaptiveAvgPool2d", "global_pool"),
        ("SiLU", "swish"),
        ("Dense", "linear"),
        ("LayerChoice", "|"),
        ("zorp", None),
        ("conv", None),
    ],
)
def test_names_of_other_libraries(name: str, here: str | None) -> None:
    assert meant(name, {*installed().ops().ops, *definitions()}) == here


def test_foreign_names_are_folded_and_stand_for_something() -> None:
    known = {*installed().ops().ops, *definitions(), "|", "pick", "{…}", ">>", "*"}
    assert all(name == name.casefold().replace("_", "") for name in NAMES)
    assert {here for here in NAMES.values() if here not in known} <= {"embed", "attention", "positions"}


def test_a_misspelt_command_is_named(spacec: Run) -> None:
    done = spacec("chek")
    assert done.code == 2
    assert "Did you mean 'check'?" in done.err
    assert "Did you mean" not in spacec("zzz").err
