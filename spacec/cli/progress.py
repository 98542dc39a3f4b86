"""Progress of a search or a training on standard error: a live line on a terminal, plain lines elsewhere.

Needs nothing: where rich is not installed, or standard error is no terminal, plain lines are
written, at most one every few seconds.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from spacec.cli.output import colour, say

if TYPE_CHECKING:
    from spacec.search.progress import Progress, ProgressFn

INTERVAL = 5.0
"""Seconds between plain lines of one phase."""


@contextmanager
def watching(stream: TextIO | None = None) -> Iterator[ProgressFn]:
    """What to hand to a runner as its ``progress``."""
    stream = stream or sys.stderr
    if not stream.isatty() or importlib.util.find_spec("rich") is None:
        yield PlainLines(say)
        return
    with _live(stream) as watch:
        yield watch


class PlainLines:
    """Writes a line at the start of each phase, and every few seconds after it."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._phase = ""
        self._last = 0.0

    def __call__(self, now: Progress) -> None:
        if now.message:
            self._write(now.message)
            return
        moment = self._clock()
        if now.phase == self._phase and moment - self._last < INTERVAL:
            return
        self._phase, self._last = now.phase, moment
        self._write(line(now))


def line(now: Progress) -> str:
    """``search  epoch 3/50  step 20/100  loss 0.412  psnr 27.31  2:05 left``."""
    parts = [now.phase]
    if now.epochs:
        parts.append(f"epoch {min(now.epoch + 1, now.epochs)}/{now.epochs}")
    if now.steps:
        parts.append(f"step {now.step}/{now.steps}")
    parts.extend(values(now))
    if now.eta is not None:
        parts.append(f"{duration(now.eta)} left")
    return "  ".join(parts)


def values(now: Progress) -> list[str]:
    """Loss and metrics as texts."""
    found = [] if now.loss is None else [f"loss {now.loss:.4g}"]
    return found + [f"{name} {value:.4g}" for name, value in now.metrics.items() if name != "loss"]


def duration(seconds: float) -> str:
    """``1:02:03`` or ``2:05``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def _live(stream: TextIO) -> Iterator[ProgressFn]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn
    from rich.progress import Progress as Bars

    console = Console(file=stream, no_color=not colour(stream))
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[facts]}"))
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(now: Progress) -> None:
            if now.message:
                bars.console.print(now.message, markup=False, highlight=False)
                return
            total = max(1, now.epochs) * max(1, now.steps)
            done = now.epoch * max(1, now.steps) + now.step
            if now.phase not in tasks:
                tasks[now.phase] = bars.add_task(now.phase, total=total, facts="")
            facts = line(now).removeprefix(now.phase).strip()
            bars.update(tasks[now.phase], completed=min(done, total), total=total, facts=facts)

        yield watch
