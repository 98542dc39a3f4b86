"""Progress on standard error: the one place that knows whether anybody watches.

On a terminal a bar is drawn (by rich; where it is not installed, a plain line every few seconds). Anywhere else (a
pipe, a log, CI) and with ``--quiet`` nothing is, except for the few messages of a run that must not be missed; what a
run does meanwhile is in its record.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

import click

from spacec.cli.output import colour, say, tame

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from spacec.search.progress import Progress, ProgressFn

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

INTERVAL = 5.0
"""Seconds between plain lines of one phase."""
PATIENCE = 1.0
"""Seconds that work takes before anything is shown of it."""
QUIET = "spacec.quiet"
"""Where ``--quiet`` waits, of the whole program or of one command."""


def _note_quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta[QUIET] = ctx.meta.get(QUIET, False) or value


def quiet_option(command: F) -> F:
    """``--quiet``."""
    option = click.option(
        "--quiet", is_flag=True, expose_value=False, callback=_note_quiet, help="Show no progress on a terminal."
    )
    return option(command)


def watched(stream: TextIO | None) -> bool:
    """Whether somebody looks at ``stream`` and asked for nothing else."""
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.get(QUIET, False):
        return False
    return stream is not None and stream.isatty()


class Tick(Protocol):
    """Told of work that is done."""

    def __call__(self, done: int = 1, *, facts: str = "") -> None:
        """``done`` further units; ``facts`` stand beside the bar."""
        ...


@contextmanager
def working(what: str, total: int | None = None, stream: TextIO | None = None) -> Iterator[Tick]:
    """A bar (of ``total`` units; without, a sign of life and the time) while the body computes.

    It appears after :data:`PATIENCE` and is gone when the body ends. Nothing may be printed on standard output
    meanwhile, where that is the same terminal.
    """
    stream = stream or sys.stderr
    if not watched(stream) or importlib.util.find_spec("rich") is None:
        yield _nobody
        return
    bar = _LateBar(what, total, stream)
    try:
        yield bar.tick
    finally:
        bar.end()


def counted(items: Iterable[T], what: str, total: int | None = None, stream: TextIO | None = None) -> Iterator[T]:
    """``items`` with a bar while they are taken.

    Where standard output is a terminal there is none: the items are printed there, which shows how it goes.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        yield from items
        return
    with working(what, total, stream) as tick:
        for item in items:
            yield item
            tick()


def _nobody(done: int = 1, *, facts: str = "") -> None:
    """Nobody watches."""


class _LateBar:
    """A bar that a timer draws, so that quick work flickers nothing; its numbers are kept from the start."""

    def __init__(self, what: str, total: int | None, stream: TextIO) -> None:
        self._bars = _bars_of(stream, transient=True)
        self._task = self._bars.add_task(what, total=total, facts="")
        self._lock = threading.Lock()
        self._ended = False
        self._timer = threading.Timer(PATIENCE, self._begin)
        self._timer.daemon = True
        self._timer.start()

    def tick(self, done: int = 1, *, facts: str = "") -> None:
        if facts:
            self._bars.update(self._task, advance=done, facts=facts)
        else:
            self._bars.update(self._task, advance=done)

    def end(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._ended = True
            if self._bars.live.is_started:
                self._bars.stop()

    def _begin(self) -> None:
        with self._lock:
            if not self._ended:
                self._bars.start()


def _bars_of(stream: TextIO, transient: bool) -> Bars:
    """Name, bar, count or facts, and times. Standard output is left alone: it may be a file."""
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars
    from rich.progress import Task as Row
    from rich.text import Text

    class Count(ProgressColumn):
        """``1,024/4,096``, where there is a total."""

        def render(self, task: Row) -> Text:
            done = f"{task.completed:,.0f}"
            return Text(f"{done}/{task.total:,.0f}" if task.total is not None else done if task.completed else "")

    console = Console(file=stream, no_color=not colour(stream))
    columns = (
        SpinnerColumn("line"), TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), Count(),
        TimeElapsedColumn(), TextColumn("{task.fields[facts]}", markup=False),
    )  # fmt: skip
    return Bars(*columns, console=console, transient=transient, redirect_stdout=False)


@contextmanager
def watching(stream: TextIO | None = None) -> Iterator[ProgressFn]:
    """What to hand to a runner as its ``progress``."""
    stream = stream or sys.stderr
    if not watched(stream):
        yield notes_only
        return
    if importlib.util.find_spec("rich") is None:
        yield PlainLines(say)
        return
    with _live(stream) as watch:
        yield watch


def notes_only(now: Progress) -> None:
    """Says what must not be missed, also in a log."""
    if now.message and now.note:
        say(now.message)


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
        parts.append(f"step {now.step:,}/{now.steps:,}")
    elif now.step:
        parts.append(f"{now.step:,}")
    parts.extend(values(now))
    if now.eta is not None:
        parts.append(f"{duration(now.eta)} left")
    return "  ".join(parts)


def values(now: Progress) -> list[str]:
    """Loss, metrics, the best so far, trials in flight and failures as texts."""
    found = [] if now.loss is None else [f"loss {now.loss:.4g}"]
    found += [f"{name} {value:.4g}" for name, value in now.metrics.items() if name != "loss"]
    found += [f"best {name} {value:.4g}" for name, value in now.best.items()]
    if now.running > 1:
        found.append(f"{now.running} running")
    if now.failed:
        found.append(f"{now.failed:,} failed")
    return found


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
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(bar_width=24),
        TextColumn("{task.fields[facts]}", markup=False),
    )  # fmt: skip
    with Bars(*columns, console=console, redirect_stdout=False) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(now: Progress) -> None:
            if now.message:
                bars.console.print(tame(now.message), markup=False, highlight=False)
                return
            units = max(1, now.epochs) * now.steps or now.epochs or None
            done = now.epoch * max(1, now.steps) + now.step
            if now.phase not in tasks:
                tasks[now.phase] = bars.add_task(now.phase, total=units, facts="")
            facts = line(now).removeprefix(now.phase).strip()
            shown = done if units is None else min(done, units)
            bars.update(tasks[now.phase], completed=shown, total=units, facts=facts)

        yield watch
