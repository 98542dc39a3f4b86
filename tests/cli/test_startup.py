"""What answers without torch must not import it, nor a plugin's implementation, and must answer at once."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.cli.running import ROOT

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
    **{f"{c} --help": [c, "--help"] for c in ("check", "info", "sample", "compile", "search", "train")},
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


@pytest.mark.parametrize("case", [c for c in LIGHT if not c.endswith("--help")])
def test_the_answer_takes_under_half_a_second_of_cpu_time(case: str) -> None:
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "spacec.cli", *LIGHT[case]],
            check=True,
            capture_output=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # Several tries: other work on the machine must not fail a test of the program.
    assert any(once() < 0.5 for _ in range(8))


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
