"""The plugin through the doors a user takes: a grammar that uses the op, a search, the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import spacec
from spacec.hooks import installed

SPACE = """
space shuffled(C = 4, classes = 10)
input  image:  [1, 8, 8]
output logits: [classes]
def mix = shuffle: channel_shuffle(2) | skip: identity | conv: conv(1) >> channel_shuffle(2)
net = conv(3, C) >> mix * 2 >> global_pool >> linear(classes)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shuffled.space"
    path.write_text(SPACE)
    return path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "spacec.cli", *map(str, arguments)], capture_output=True, text=True)


def test_the_plugin_loads_without_its_implementation() -> None:
    code = (
        "import sys; from spacec.hooks import installed; r = installed(); "
        "assert not r.problems, r.problems; "
        "assert 'cheapest' in r.names('spacec_strategies'); "
        "print([m for m in sys.modules if m == 'torch' or m.startswith('spacec_example.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_grammar_may_use_the_op() -> None:
    space = spacec.loads(SPACE)
    assert space.count() == 9
    assert installed().ops().get("channel_shuffle") is not None


def test_a_wrong_number_of_groups_is_a_diagnostic() -> None:
    with pytest.raises(spacec.SpacecError, match="5 channels do not divide into 2 groups"):
        spacec.loads(SPACE, C=5)


def test_the_op_shuffles() -> None:
    import torch

    space = spacec.loads(SPACE)
    for arch in space.sample(n=5, seed=0):
        network = space.network(arch).eval()
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_the_pass_leaves_out_what_the_next_undoes(tmp_path: Path) -> None:
    path = tmp_path / "undone.space"
    path.write_text(
        "space undone\ninput  x: [12, 8]\noutput y: [12, 8]\n"
        "net = channel_shuffle(3) >> channel_shuffle(4) >> (a: channel_shuffle(2) >> channel_shuffle(2) | b: relu)\n"
    )
    done = run("opt", path, "--pass", "unshuffle")
    assert done.returncode == 0, done.stderr
    assert [line.split(" : ")[0] for line in done.stdout.splitlines() if line[0] == "%"] == [
        "%0 = input x",
        "%1 = channel_shuffle(%0)",
        "%2 = channel_shuffle(%1)",
        "%3 = relu(%0)",
        "%4 = choose(%2, %3) slot=net.choice[0] instance=choice_0",
    ]
    listed = [line for line in run("opt", "--list").stdout.splitlines() if line.startswith("unshuffle")]
    assert listed
    assert listed[0].endswith("Leave out shuffles that undo each other. (spacec-example 0.1.0)")


def test_the_command_lists_the_alphabet(file: Path) -> None:
    done = run("alphabet", file)
    assert done.stdout.split() == ["conv", "shuffle", "skip"], done.stderr


def test_the_strategy_finds_the_cheapest(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = run("search", file, "--task", "digits", "--strategy", "cheapest", "-o", "samples=50", "--out", out)
    assert done.returncode == 0, done.stderr
    text = (out / "architecture.txt").read_text().strip()
    space = spacec.load(file)
    found = space.architecture(text)
    assert space.params(found) == min(space.params(a) for a in space.sample(n=50, seed=1))


def test_the_library_is_used_by_name(tmp_path: Path) -> None:
    path = tmp_path / "units.space"
    path.write_text(
        'space units(C = 8)\nuse "example/shuffle.space"(groups = 4)\ninput  x: [1, 8, 8]\noutput y: [10]\n'
        "net = conv(3, C) >> mix * 2 >> global_pool >> linear(10)\n"
    )
    space = spacec.load(path)
    assert space.count() == 4
    unit = 2 * (8 * 8 // 4 + 16) + 8 * 9 + 16
    assert space.supernet_params() == 72 + 2 * unit + 90
    path.write_text(path.read_text().replace("shuffle.space", "shufle.space"))
    with pytest.raises(spacec.SpacecError, match='did you mean "example/shuffle'):
        spacec.load(path)
