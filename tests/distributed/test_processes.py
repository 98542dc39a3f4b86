"""Two real processes, started by torchrun: their search is that of one, and one that fails ends both with a reason."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from spacec.cli.main import run
from spacec.search import files
from spacec.search.ranks import ONE, Ranks
from spacec.search.record import RunStore
from spacec.search.shares import Part
from tests.distributed.program import FAMILIES, MIXED, SPACES, apart
from tests.docs.workplace import ROOT

LIMIT = 240
"""Seconds after which a start counts as hung; it takes a twentieth of that."""


@dataclass(frozen=True)
class Started:
    """A start of the program: its folder, how it ended, and what both processes found."""

    folder: Path
    ended: subprocess.CompletedProcess[str]
    first: Any
    second: Any


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    path = os.pathsep.join((str(ROOT), *(str(p) for p in sorted((ROOT / "plugins").iterdir()) if p.is_dir())))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT
    )


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Started:
    """One start for all that is asked of the program."""
    folder = tmp_path_factory.mktemp("both")
    ended = torchrun("tests.distributed.program", folder)
    texts = [folder / f"found-{rank}.json" for rank in range(2)]
    assert all(text.exists() for text in texts), ended.stderr[-4000:]
    return Started(folder, ended, *(json.loads(text.read_text()) for text in texts))


def test_every_family_finds_in_two_processes_what_it_finds_in_one(started: Started) -> None:
    found = dict(started.first["families"])
    assert found.pop("float32")[0] < 1e-5
    assert len(found) == len(FAMILIES) + len(SPACES)
    assert {name: far for name, far in found.items() if not far[0] < 1e-10} == {}


def test_records_trials_resumption_and_refusals(started: Started) -> None:
    found = started.first["survival"]
    alike = ("record", "resumed by one", "resumed by two", "training", "one sample", "draws")
    assert {name: found[name] for name in alike if not found[name][0] < 1e-10} == {}
    assert [far[0] for case in found["trials"] for far in case] == [0.0] * 4, "trials are those of one, to the bit"
    assert found["failing alike"] == "E0821"
    assert found["refused"] == ["E0856"] * 5
    code, first, second = found["out of step"]
    assert code == "E0855"
    pattern = r"process {}: net\.block\[\d\] = \d"
    assert re.match(pattern.format(0), first)
    assert re.match(pattern.format(1), second)
    assert started.second["survival"]["draws"][0] == 0.0
    with RunStore(started.folder / "tFalse" / "2" / files.STORE) as store:
        assert {row["worker"] for row in store.trials(1)} == {"process 0", "process 1"}


def test_a_killed_process_ends_the_run_with_a_reason(started: Started) -> None:
    assert started.ended.returncode != 0
    assert "SIGKILL" in started.ended.stderr
    with RunStore(started.folder / "lost" / files.STORE) as store:
        (record,) = store.runs()
    if record["status"] == "running":
        return  # torchrun ended the first process before its record was closed: it is shown as cut off
    assert record["status"] == "failed"
    assert record["reason"].startswith("E0857: another process of this run ended")


def test_the_command_line_in_two_processes(tmp_path: Path) -> None:
    space = tmp_path / "mixed.space"
    space.write_text(MIXED)
    line = ["search", space, "--task", "digits", "--strategy", "gdas", "-p", "classes=10", "--seed", "3"]
    settings = ["epochs=1", "steps=2", "batch_size=7", "eval_batches=1", "device=cpu"]
    line += [part for text in settings for part in ("-o", text)]
    training = [part for text in ("epochs=1", "steps=2", "eval_batches=1") for part in ("-O", text)]
    both = torchrun("spacec", *line, "--train", "--no-compare", *training, "--out", tmp_path / "both")
    assert both.returncode == 0, both.stderr[-4000:]
    assert both.stdout.count("architecture ") == 1, "one process speaks"
    assert run([*map(str, line), "--out", str(tmp_path / "one")]) == 0
    assert (tmp_path / "both/architecture.txt").read_text() == (tmp_path / "one/architecture.txt").read_text()
    states = [files.read_tensors(tmp_path / out / files.CHECKPOINT) for out in ("one", "both")]
    assert apart(*states)[0] < 1e-3
    assert {files.REPORT, files.WEIGHTS, "network.py"} <= {path.name for path in (tmp_path / "both").iterdir()}


def test_one_process_needs_nothing() -> None:
    assert ONE.first(lambda: 7) == 7
    assert ONE.everyone("x") == ["x"]
    ONE.agree("it has nobody to differ from", {})
    ONE.failed_alike("alone")
    assert ONE.device(torch.device("cuda")) == torch.device("cuda")


@pytest.mark.parametrize(("samples", "sizes"), [(7, (3, 2, 2)), (3, (1, 1, 1)), (2, (1, 1, 0)), (6, (2, 2, 2))])
def test_shares_of_a_batch(samples: int, sizes: tuple[int, ...]) -> None:
    parts = [Part.of(Ranks(rank, 3), samples) for rank in range(3)]
    assert parts[0].sizes == sizes
    x = torch.arange(samples)
    assert torch.equal(torch.cat([p.rows(x)[: p.count] for p in parts]), x)
    assert all(len(p.rows(x)) == max(1, p.count) for p in parts)
