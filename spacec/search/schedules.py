"""How the supernets of a search run: by which schedules, chosen before their first step and kept with the run.

A schedule that was measured is part of the run: whoever resumes runs by the recorded one, so that the numbers are the
same bit for bit. The plain form (``off``) is the reference; another form computes the same up to rounding.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from spacec.search import files
from spacec.search.record import Recorder

Example = Callable[[], tuple[tuple[Tensor, ...], Mapping[str, Any] | None]]
"""Inputs and a mask of the kind that the search will run."""


class Schedules:
    """``how``: ``off``, ``default`` (a guess for every machine), or a goal to measure for, ``fast`` or ``launches``.

    ``stored``: what was chosen, as JSON has it, by supernet and its form. Where there is a run directory, its
    ``schedules.json`` holds the same. ``told`` is told what is measured.
    """

    def __init__(
        self, how: str, recorder: Recorder, run_dir: Path | None = None, told: Callable[[str], None] = lambda text: None
    ) -> None:
        self.how = how
        self.recorder = recorder
        self.told = told
        self.run_dir = run_dir
        known = run_dir is not None and (run_dir / files.SCHEDULES).exists()
        self.stored: dict[str, Any] = files.read_json(run_dir / files.SCHEDULES) if run_dir and known else {}

    def apply(self, name: str, form: Mapping[str, Any], net: Any, example: Example) -> None:
        """Let ``net``, a new supernet, run by the schedule of its name and form, which is chosen if there is none."""
        if self.how == "off":
            return
        key = f"{name} {json.dumps(form, sort_keys=True)}" if form else name
        if key in self.stored:
            net.use(self.stored[key])
            return
        if self.how == "default":
            net.use(self.how)
        else:
            inputs, mask = example()
            net.tune(*inputs, mask=mask, goal=self.how, told=self.told)
        self.stored[key] = net.schedule.to_json()
        self.recorder.event("schedule", f"{key} runs by schedule {net.schedule.digest}", self.stored[key])
        if self.run_dir is not None:
            files.write_json(self.run_dir / files.SCHEDULES, self.stored)
