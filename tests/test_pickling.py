"""A space that travels: its pickle is compiled again, here or in another process, to an equal space."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import spacec
from spacec.diagnostics.model import SpacecError
from tests.grammars.record import GRAMMARS, NAMES

PIECES = "def block(C) = conv(3, C) >> (relu | identity)\n"
USER = """\
space user(C = 4)
use "pieces.space"
input  x: [3, 8, 8]
output y: [10]
net = block(C) >> conv({1, 3}) >> global_pool >> linear(10)
where latency("ms.csv") < 0.5
"""
TABLE = "op,input,attributes,ms\nconv,*,kernel=1,0.1\nconv,*,kernel=3,0.3\n*,*,,0\n"
MODULE = """\
from torch import nn

class Halve(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, x):
        return x / 2
"""


def again(space: spacec.Space) -> spacec.Space:
    found: spacec.Space = pickle.loads(pickle.dumps(space))
    return found


def told(space: spacec.Space) -> list[Any]:
    """What two equal spaces agree on."""
    archs = space.sample(4, seed=3)
    sizes = {s.name: 32 for t in space.inputs.values() for s in t.symbols}
    costs = [space.cost(a, name, **sizes) for a in archs for name in ("params", "macs")]
    form = (space.name, space.text, dict(space.header), [w.text for w in space.narrowed_by], space.warnings)
    return [space.digest, [a.text() for a in archs], costs, space.slots, form]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_spaces_survive_a_pickle(name: str) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    found = again(space)
    assert told(found) == told(space)
    assert found.sample(2, seed=9) == space.sample(2, seed=9), "architectures of one are those of the other"


def test_header_constraints_and_costs_travel() -> None:
    space = spacec.load(GRAMMARS / "nas_bench_201.space", preset="tiny", classes=7)
    narrow = space.where("params <= 5K").where('count("conv3") <= 2')
    assert 0 < again(narrow).count() == narrow.count() < space.count()
    assert again(narrow).header == space.header
    costed = space.with_cost("ops", one)
    arch = costed.sample(1)[0]
    assert again(costed).cost(arch, "ops") == costed.cost(arch, "ops") > 0


def one(op: str, attributes: Mapping[str, Any], shapes: tuple[tuple[int, ...], ...]) -> int:
    return 1


def test_what_a_text_uses_is_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / "shelf").mkdir(parents=True)
    for name, text in (("user.space", USER), ("shelf/pieces.space", PIECES), ("ms.csv", TABLE)):
        (tmp_path / "home" / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "home")
    space = spacec.load("user.space", libraries=["shelf"])
    (tmp_path / "space.pickle").write_bytes(pickle.dumps(space))
    code = "import pickle, sys\ns = pickle.load(open('space.pickle', 'rb'))\n"
    code += "print(s.digest, s.count(), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [space.digest, str(space.count()), "False"]
    (tmp_path / "home" / "shelf" / "pieces.space").unlink()
    with pytest.raises(SpacecError, match=r"there is no library \"pieces\.space\""):
        again(space)


def test_own_ops_travel_by_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halve.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    text = "space own(C = 4)\ninput x: [3, 8, 8]\noutput y: [2]\nnet = (halve | relu) >> global_pool >> linear(2)\n"
    space = spacec.loads(text, ops=["halve.py"])
    data = pickle.dumps(space)
    monkeypatch.chdir("/")
    assert told(pickle.loads(data)) == told(space)
