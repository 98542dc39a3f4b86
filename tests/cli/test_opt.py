"""``spacec opt``: passes by name, what is printed, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

import spacec.cli.opt as module
from spacec.cli.opt import HOOK
from spacec.hooks.descriptors import PassDescriptor
from spacec.hooks.manager import Plugin, Registry, installed
from spacec.ir.flat import FlatGraph, FlatOp
from spacec.ir.flat_text import flat_text
from spacec.ir.types import TensorType
from spacec.lower.schedule import NAMED
from spacec.passes.base import PASSES
from tests.cli.running import ROOT, Done
from tests.passes.graphs import graph

Run = Callable[..., Done]

SPACE = """\
space small
input  x: [4, 8, 8]
output y: [4, 8, 8]
def edge = none: zero | skip | pool: relu >> avg_pool(3) | conv: relu >> conv(3) >> bn
net = edge >> dag(a) { return sum(a >> edge, a >> relu) }
"""


@dataclass(frozen=True)
class Spoil:
    """Say that every type is another."""

    name: ClassVar[str] = "spoil"
    rank: int = 0

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        nodes = (replace(n, type=TensorType(1)) if isinstance(n, FlatOp) else n for n in flat.nodes)
        return replace(flat, nodes=tuple(nodes))


class Wrong:
    """No dataclass."""

    name = "wrong"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.space"
    path.write_text(SPACE)
    return path


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two passes, as if a plugin had brought them."""
    items = tuple(PassDescriptor(c.name, "a pass", f"{__name__}:{c.__name__}") for c in (Spoil, Wrong))
    plugin = Plugin("mine", "mine", "1", {HOOK: items})
    monkeypatch.setattr(module, "installed", lambda: Registry((*installed().plugins, plugin)))


def graphs(done: Done) -> list[str]:
    assert done.code == 0, done.err
    text = "".join(line for line in done.out.splitlines(keepends=True) if not line.startswith(";"))
    return ["graph " + part for part in text.split("graph ")[1:]]


def stages(done: Done) -> list[str]:
    """The first words of the summary's lines."""
    assert done.code == 0, done.err
    return [line.split()[1] for line in done.out.splitlines() if line.startswith("; ") and " nodes" in line]


def test_the_graph_is_printed_as_text_that_can_be_read(spacec: Run, file: Path) -> None:
    (text,) = graphs(spacec("opt", file))
    assert flat_text(graph(text)) == text
    assert text.count(" = relu(") == 2, "of the input, and of the first edge"
    assert "zero" not in text


@pytest.mark.parametrize("name", NAMED)
def test_the_passes_are_those_of_a_schedule_or_those_asked_for(spacec: Run, file: Path, name: str) -> None:
    done = spacec("opt", file, "--schedule", name, "--summary")
    assert stages(done) == ["plain", "specialise", *(p.partition(":")[0] for p in NAMED[name].passes)]
    assert graphs(done) == []
    assert stages(spacec("opt", file, "--pass", "share", "--pass", "share")) == [
        "plain",
        "specialise",
        "share",
        "share",
    ]


def test_the_summary_counts_nodes_by_kind(spacec: Run, file: Path) -> None:
    done = spacec("opt", file, "--pass", "drop_zeros", "--pass", "canonicalise", "--pass", "share", "--summary")
    assert done.out == (
        "; plain         19 nodes\n"
        "; specialise    19 nodes\n"
        "; drop_zeros    17 nodes  zero 2 to 0\n"
        "; canonicalise  15 nodes  identity 2 to 0\n"
        "; share         12 nodes  relu 5 to 2\n"
        "; left: 2 avg_pool, 2 bn, 2 choose, 2 conv, 2 relu, 1 input, 1 sum\n"
    )


def test_the_summary_counts_what_is_made_again(spacec: Run) -> None:
    done = spacec("opt", "grammars/nas_bench_201.space", "--preset", "tiny", "--pass", "mixes", "--pass", "recompute")
    marked = sum(line.startswith("%") and " recompute" in line for line in done.out.splitlines())
    assert marked > 0
    assert f"marked recompute 0 to {marked}\n" in done.out


def test_graphs_are_printed_after_the_passes_asked_for(spacec: Run, file: Path) -> None:
    passes = ("--pass", "canonicalise", "--pass", "mixes")
    every = graphs(spacec("opt", file, *passes, "--print-after", "all"))
    assert len(every) == 3
    assert graphs(spacec("opt", file, *passes, "--print-after", "specialise")) == every[:1]
    assert graphs(spacec("opt", file, *passes)) == every[2:]


def test_kept_choices_stay_and_one_architecture_can_run(spacec: Run, file: Path) -> None:
    (text,) = graphs(spacec("opt", file, "--keep", "edge_0"))
    assert text.count("choose(") == 1
    (text,) = graphs(spacec("opt", file, "--running", "random:1", "--pass", "drop_dead"))
    flat = graph(text)
    assert len(flat.nodes) < 14


def test_every_pass_is_listed_and_comes_through_the_hook(spacec: Run, mine: None) -> None:
    done = spacec("opt", "--list")
    assert done.code == 1, "the broken one is named"
    assert "pass 'wrong' could not be loaded" in done.err
    entries = {name: installed().entry(HOOK, name) for name in installed().names(HOOK)}
    own = {name: e.item.help for name, e in entries.items() if e is not None and e.owner.name == "spacec"}
    assert own.keys() == PASSES.keys()
    shown = spacec("plugins", "--all").out
    page = (ROOT / "docs" / "optimise.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == PASSES.keys()
    for name, help in own.items():
        first = module.class_of(name).__doc__.partition("\n")[0]
        assert (first[:1].lower() + first[1:]).removesuffix(".") == help
        assert help in shown


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--pass", "shore"), "E0712", "did you mean 'share'?"),
        (("--pass", "share:deep=1"), "E0740", "pass 'share' has no option 'deep'; it has none"),
        (("--pass", "spoil:rank=high"), "E0740", "option 'rank' of pass 'spoil' is a number, not 'high'"),
        (("--pass", "spoil"), "E0741", "pass 'spoil' leaves a graph that is not sound"),
        (("--pass", "wrong"), "E0713", "is no dataclass with `apply` whose name is 'wrong'"),
        (("--schedule", "fastest"), "E0740", "no schedule is called 'fastest'"),
        (("--pass", "share", "--print-after", "mixes"), "E0740", "passes: specialise, share"),
        (("--keep", "edge_7"), "E0740", "did you mean 'edge_0'?"),
        (("--running", "nothing"), "E06", "nothing"),
    ],
)
def test_what_is_refused(
    spacec: Run, mine: None, file: Path, arguments: tuple[str, ...], code: str, words: str
) -> None:
    done = spacec("opt", file, *arguments)
    assert done.code == 1
    assert f"error[{code}" in done.err
    assert words in " ".join(done.err.split())


def test_architectures_whose_concats_lack_terms_are_refused(spacec: Run) -> None:
    done = spacec("opt", "grammars/amber.space", "--preset", "tiny", "--running", "random:0")
    assert done.code == 1
    assert "error[E0742]" in done.err
    assert "its graph has a concat without one of its terms" in done.err
    assert spacec("opt", "grammars/amber.space", "--preset", "tiny").code == 0
