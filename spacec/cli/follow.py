"""``--tensorboard``: event files of a run while it goes on, made from its record."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spacec.cli.output import show
from spacec.diagnostics.model import SpacecError

if TYPE_CHECKING:
    from spacec.search.progress import Progress, ProgressFn
    from spacec.search.tensorboard import Events

F = TypeVar("F", bound=Callable[..., Any])


WANTED = "spacec.tensorboard"
"""Where ``--tensorboard`` waits for :func:`following`."""


def _note_wanted(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta[WANTED] = value


def tensorboard_option(command: F) -> F:
    """``--tensorboard``."""
    help = "Write TensorBoard's event files meanwhile, into the run's folder tensorboard."
    return click.option("--tensorboard", is_flag=True, expose_value=False, callback=_note_wanted, help=help)(command)


@contextmanager
def following(run_dir: Path, watch: ProgressFn, url: str = "") -> Iterator[ProgressFn]:
    """``watch``, and with it, where they are wanted, event files that follow the record of ``run_dir``.

    ``--tensorboard`` wants them, and a run that goes on where they are. They are written at the end in any case. A disk
    that refuses them ends the following, not the run; that TensorBoard is missing (E0720) is raised at once. ``url`` is
    that of the store, with a password, where the run has one.
    """
    from spacec.search.tensorboard import FOLDER, Events

    context = click.get_current_context(silent=True)
    asked = context is not None and context.meta.get(WANTED, False)
    if not asked and not ((run_dir / FOLDER).is_dir() and importlib.util.find_spec("tensorboard")):
        yield watch
        return
    from spacec.reporting import Pictures
    from spacec.search.report.gather import PICTURES

    follower = _Follower(run_dir, url, Events(run_dir / FOLDER, Pictures(), run_dir / PICTURES))

    def both(now: Progress) -> None:
        watch(now)
        if follower.events.due():
            follower.look()

    try:
        yield both
    finally:
        follower.look(last=True)
        follower.close()


class _Follower:
    def __init__(self, run_dir: Path, url: str, events: Events) -> None:
        self.run_dir, self.url = run_dir, url
        self.events = events
        self.failed = False

    def look(self, last: bool = False) -> None:
        from spacec.search.record import RunStore
        from spacec.search.store.place import holds_run

        if self.failed or not holds_run(self.run_dir):
            return
        try:
            with RunStore.of(self.run_dir, self.url, readonly=True) as store:
                self.events.follow(store, last)
        except SpacecError as error:
            self.failed = True
            show(error.diagnostics)

    def close(self) -> None:
        if not self.failed:
            self.events.close()
