"""A row of a benchmark in a process of its own, on one thread."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.report import ROOT

DONE = "done"


def run_apart(module: str, key: str) -> str:
    """Run ``python -m module --row key``; how it ended: ``done``, or the end of what it said went wrong."""
    here = os.environ.get("PYTHONPATH")
    path = os.pathsep.join(filter(None, (str(ROOT), here)))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module, "--row", key]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return DONE if ended.returncode == 0 else ended.stderr[-600:]
