"""Probes on the command line: which can be asked for, with which options, and what is said of a mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import spacec.cli.probes as module
from spacec.hooks.descriptors import ProbeDescriptor
from spacec.hooks.manager import Plugin, Registry, installed
from spacec.search.figure import Figure
from spacec.search.files import STORE
from spacec.search.probe import Probe, Reading
from spacec.search.record import RunStore
from tests.cli.running import Done

Run = Callable[..., Done]
Base = tuple[str | Path, ...]
SPACE = """\
space small
input  image:  [1, 8, 8]
output logits: [10]
def block = conv: conv(3) | skip
net = conv(3, 2) >> block * 2 >> global_pool >> linear(10)
"""
TABULAR = "grammars/nas_bench_201.space"


class Decided(Probe):
    name = "decided"
    help = "how decided the slots are"
    figures = (Figure("How decided", "probability", ("top",)),)

    def on_epoch_end(self, epoch: int) -> Reading:
        return {"top": max(float(p.max()) for p in self.mask().values())}


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe, as if a plugin had brought it."""
    item = ProbeDescriptor("decided", Decided.help, f"{__name__}:Decided")
    mine = Plugin("mine", "mine", "1", {"spacec_diagnostics": (item,)})
    monkeypatch.setattr(module, "installed", lambda: Registry((*installed().plugins, mine)))


@pytest.fixture
def base(tmp_path: Path) -> Base:
    path = tmp_path / "small.space"
    path.write_text(SPACE)
    return "search", path, "--task", "digits", "--strategy", "darts"


def test_a_probe_measures_and_the_report_is_written(spacec: Run, decided: None, base: Base, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("-o", "epochs=2", "-o", "steps=1", "-o", "batch_size=4", "-o", "eval_batches=1")
    done = spacec(*base, "--probe", "decided", "-P", "decided.every=2", "--out", out, *options)
    assert done.code == 0, done.err
    assert str(out / "report.html") in done.out
    with RunStore(out / STORE) as store:
        found = [m for m in store.metrics(1) if m["name"] == "decided.top"]
    assert [m["epoch"] for m in found] == [-1, 1]
    assert (out / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--probe", "decide"), ("E0712", "probe 'decide' is not installed", "did you mean 'decided'?")),
        (("--probe", "decided", "-P", "decided.evry=2"), ("E0701", "did you mean 'every'?")),
        (("--probe", "decided", "-P", "every=2"), ("E0704", "NAME.OPTION=VALUE")),
        (("--probe", "decided", "-P", "decide.every=2"), ("E0719", "did you mean 'decided'?")),
        (("-P", "wiring.every=2"), ("E0719", "--probe wiring")),
        (("--probe", "decided", "--probe", "decided"), ("E0705", "given twice")),
    ],
)
def test_mistakes_are_named(
    spacec: Run, decided: None, base: Base, tmp_path: Path, arguments: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    done = spacec(*base, *arguments, "--out", tmp_path / "run")
    assert done.code == 1
    assert all(text in done.err for text in expected), done.err
    assert not (tmp_path / "run").exists()


def test_a_strategy_without_a_supernet_is_refused(spacec: Run, decided: None, base: Base, tmp_path: Path) -> None:
    done = spacec(*base[:-1], "random", "-o", "mode=trials", "--probe", "decided", "--out", tmp_path / "run")
    assert done.code == 1
    assert "E0709" in done.err
    assert "trains no supernet" in done.err


def test_a_benchmark_has_nothing_to_measure(spacec: Run, decided: None, tmp_path: Path) -> None:
    done = spacec(
        "search", TABULAR, "--benchmark", "convolutions", "--strategy", "random",
        "--probe", "decided", "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.code == 2
    assert "--probe needs --task" in done.err


def test_the_options_of_a_probe_are_listed(spacec: Run, decided: None) -> None:
    done = spacec("search", "--help-probe", "decided")
    assert done.code == 0
    assert done.out.startswith("decided: how decided the slots are")
    assert "epochs between measurements" in done.out
    assert "at_init" in done.out
