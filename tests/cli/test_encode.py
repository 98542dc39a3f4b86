"""``spacec encode``: what it writes, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spacec import load
from tests.cli.running import ROOT

CELL = str(ROOT / "grammars" / "nas_bench_201.space")


def test_csv_on_standard_output(spacec: Any) -> None:
    done = spacec("encode", CELL, "random:1", "random:2")
    assert done.code == 0
    head, *rows = csv.reader(io.StringIO(done.out))
    space = load(CELL)
    archs = [space.architecture("random:1"), space.architecture("random:2")]
    assert head == ["architecture", *space.encoding("onehot").columns]
    assert [row[0] for row in rows] == [a.text() for a in archs]
    assert [[int(x) for x in row[1:]] for row in rows] == space.encode(archs).tolist()


def test_arrays_and_json(spacec: Any, tmp_path: Path) -> None:
    space = load(CELL)
    archs = space.sample(4, seed=3)
    for scheme in ("tokens", "graph", "path"):
        for suffix in ("npz", "json"):
            path = tmp_path / f"{scheme}.{suffix}"
            assert spacec("encode", CELL, "-n", "4", "--seed", "3", "--scheme", scheme, "-o", str(path)).code == 0
            found = dict(np.load(path)) if suffix == "npz" else json.loads(path.read_text())
            assert list(found["architectures"]) == [a.text() for a in archs]
            made = space.encode(archs, scheme)
            wanted, key = (made.adjacency, "adjacency") if scheme == "graph" else (made, "rows")
            assert np.array_equal(np.array(found[key]), wanted)


def test_options_and_refusals(spacec: Any, tmp_path: Path) -> None:
    done = spacec("encode", CELL, "-n", "1", "--scheme", "path", "--option", "length=1")
    assert done.code == 0
    assert len(done.out.splitlines()[0].split("cell.input")) == 6
    assert "E0620" in spacec("encode", CELL, "-n", "1", "--scheme", "paths").err
    assert "E0620" in spacec("encode", CELL, "-n", "1", "--option", "length=1").err
    assert "E0624" in spacec("encode", CELL, "-n", "1", "--scheme", "graph").err
    assert spacec("encode", CELL, "-n", "1", "-o", str(tmp_path / "x.txt")).code == 2
    assert spacec("encode", CELL).code == 2


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes as Linux has them")
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("mine", encoding="utf-8")
    command = f"ulimit -f 2; {sys.executable} -m spacec.cli encode {CELL} -n 2000 -o {path}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the disk is full" in done.stderr
    assert path.read_text(encoding="utf-8") == "mine"
    assert list(tmp_path.iterdir()) == [path]
