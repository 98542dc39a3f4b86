"""``--store URL`` from end to end: killed, resumed from another copy of nothing but the directory, and reported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from spacec.search.record import CUT_OFF, RunStore
from tests.store.postgres import PASSWORD

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(str(path.parent) for path in ROOT.glob("plugins/*/pyproject.toml"))
SECRET = "ss%3Aw%2Frd"
LINE = (
    *("--task", "synthetic-points", "--device", "cpu"),
    *("--strategy", "random", "-o", "mode=trials", "-o", "trial_epochs=1"),
    *("-O", "steps=1", "-O", "batch_size=8", "-o", "trials=60"),
)
MAIN = """
import sys, types
from spacec.cli import main, search, tasks
from spacec.hooks import StrategyDescriptor, TaskDescriptor, hookimpl, installed, load_plugins
from spacec.hooks.manager import Candidate
import spacec.job.parts as parts
toy = types.SimpleNamespace(
    spacec_tasks=hookimpl(lambda: [TaskDescriptor("synthetic-points", "points", "spacec.testing.synthetic:Synthetic")]),
    spacec_strategies=hookimpl(
        lambda: [StrategyDescriptor("random", "random search", "spacec_random.strategy:RandomSearch")]
    ),
)
found = load_plugins([Candidate("toy", "spacec-toy", "1.0", lambda: toy)])
for module in (search, tasks, parts):
    module.installed = lambda: found
main.main(sys.argv[1:])
"""
GRAMMAR = """\
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
net = (skip: identity | lin: linear(bias = 0) >> tanh | norm: bn) * 3 >> linear(classes)
"""


def spacec(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join((str(ROOT), *PLUGINS))
    known = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment}
    line = [sys.executable, "-c", MAIN, *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=known)


def rows(store: RunStore) -> list[object]:
    (run,) = store.runs()
    trials = [(t["architecture"], t["metrics"], t["told"], t["tag"]) for t in store.trials(run["id"])]
    return [trials, store.results(run["id"]), store.architectures(run["id"]), run["config"], run["seed"]]


def test_a_killed_search_goes_on_from_its_database_and_its_directory(
    tmp_path: Path, database: Callable[[], str]
) -> None:
    url, run, grammar = database(), tmp_path / "run", tmp_path / "points.space"
    grammar.write_text(GRAMMAR)
    with spacec("search", grammar, *LINE, "--out", tmp_path / "whole") as whole:
        _, told = whole.communicate()
    assert whole.returncode == 0, told
    with spacec("search", grammar, *LINE, "--out", run, "--store", url) as search:
        until = time.monotonic() + 60
        while not (run / "store.json").exists() or _rated(url) < 3:
            assert search.poll() is None, search.communicate()
            assert time.monotonic() < until
            time.sleep(0.02)
        search.send_signal(signal.SIGSTOP)
        with spacec("resume", run, PGPASSWORD=PASSWORD) as second:
            _, told = second.communicate()
        assert second.returncode == 1
        assert "error[E0830]" in told
        assert f"process {search.pid} on " in told
        search.send_signal(signal.SIGKILL)
        search.communicate()
    with RunStore(url, readonly=True) as store:
        until = time.monotonic() + 20
        while store.status(store.runs()[0]) != CUT_OFF:
            assert time.monotonic() < until
            time.sleep(0.05)
    with spacec("resume", run, PGPASSWORD=PASSWORD) as resumed:
        _, told = resumed.communicate()
    assert resumed.returncode == 0, told
    assert not (run / "run.sqlite").exists()
    with RunStore(url, readonly=True) as kept, RunStore.of(tmp_path / "whole", readonly=True) as other:
        assert rows(kept) == rows(other)
        (found,) = kept.runs()
        assert (found["status"], found["job"]) == ("done", json.loads((run / "store.json").read_text())["job"])
        everything = json.dumps(kept.export())
    for text in (everything, *(p.read_text() for p in run.iterdir() if p.suffix in (".json", ".txt", ".html"))):
        assert SECRET not in text
        assert PASSWORD not in text


def _rated(url: str) -> int:
    with RunStore(url, readonly=True) as store:
        return sum(len(store.trials(run["id"])) for run in store.runs())


def test_a_store_that_refuses_leaves_no_run_behind(tmp_path: Path, database: Callable[[], str]) -> None:
    run, grammar = tmp_path / "run", tmp_path / "points.space"
    grammar.write_text(GRAMMAR)
    with spacec("search", grammar, *LINE, "--out", run, "--store", database().replace(SECRET, "wr%3Aong")) as search:
        _, told = search.communicate()
    assert search.returncode == 1
    assert "error[E0831]" in told
    assert "wr%3Aong" not in told
    assert not run.exists()
