"""What answers without torch must not import it, nor a plugin's implementation; how fast it is, benchmarks/ says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

LIGHT = {
    "help": ["--help"],
    "version": ["--version"],
    "plugins": ["plugins"],
    "explain": ["explain", "E0301"],
    **{f"check {g}": ["check", f"grammars/{g}.space"] for g in ("darts", "nas_bench_201", "clearer", "tabular")},
    **{f"info {g}": ["info", f"grammars/{g}.space"] for g in ("darts", "nas_bench_201", "clearer", "tabular")},
    **{
        f"sample {g}": ["sample", f"grammars/{g}.space", "-n", "3"]
        for g in ("darts", "nas_bench_201", "clearer", "tabular")
    },
    "opt": ["opt", "grammars/nas_bench_201.space", "--preset", "tiny", "--summary"],
    **{f"{c} --help": [c, "--help"] for c in ("check", "info", "sample", "compile", "opt", "search", "train", "runs")},
    "runs list": ["runs", "list", "grammars"],
}

PROBE = """
import json, sys
from spacec.cli.main import run
code = run(sys.argv[1:])
heavy = [
    m
    for m in sys.modules
    if m.split(".")[0] in ("torch", "numpy", "networkx", "lark", "rich") or m.startswith("spacec_")
]
print(json.dumps({"code": code, "heavy": sorted(heavy)}), file=sys.stderr)
"""


@pytest.mark.parametrize("case", LIGHT)
def test_nothing_heavy_is_imported(case: str, process: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = process("-c", PROBE, *LIGHT[case])
    found = json.loads(done.stderr.splitlines()[-1])
    heavy = [m for m in found["heavy"] if "." in m or not m.startswith("spacec_")]
    assert found["code"] == 0, done.stderr
    assert heavy == []


def test_importing_spacec_is_free(process: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = process(
        "-c", "import sys, spacec; print([m for m in sys.modules if m.startswith('spacec.')], 'torch' in sys.modules)"
    )
    assert done.stdout.strip() == "[] False"


def test_public_names_are_those_of_all() -> None:
    import spacec

    assert all(hasattr(spacec, name) for name in spacec.__all__)
    assert dir(spacec) == sorted(spacec.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = spacec.lod
