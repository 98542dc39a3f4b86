"""A network of every kind of input as a folder: `python network.py --check` in a process of its own, torch alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import spacec
from spacec.lower.package import Check, save_package
from spacec.testing.inputs import example_inputs
from tests.grammars.record import GRAMMARS

KINDS = ["transformer_eca", "d2gnas", "ddnas", "two_modality"]


@pytest.mark.parametrize("name", KINDS)
def test_check_of_an_exported_folder(name: str, tmp_path: Path) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    network = space.network("random:3", seed=0).eval()
    inputs = example_inputs(space, sizes={"T": 6})
    with torch.no_grad():
        found = network(**inputs)
    prediction = next(iter(found.values())) if isinstance(found, dict) else found
    target = prediction.argmax(1)
    target.view(-1)[0] += 1  # one is wrong
    save_package(tmp_path, network, Check("accuracy", (inputs,), (target,), 1 - 1 / target.numel()))
    command = [sys.executable, "-W", "error", "-I", str(tmp_path / "network.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    assert "reproduced" in done.stdout
