"""One command line in several processes, as ``torchrun`` starts it: the first one speaks, the others compute.

A process that fails for a reason of its own says so; what all of them fail for, the first one says alone. Commands that
have no use for several processes run in the first one.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from spacec.search.ranks import Ranks

SHARED = ("search", "train", "resume")
NOTICE = 3
"""Seconds that a process has to close its record after torchrun tells it to end."""
WAIT = 3.0
"""Seconds in which the first process has to say what another one failed for, too."""

Run = Callable[[Sequence[str], "Ranks | None"], int]


def several() -> bool:
    """Whether this process is one of several that were started together."""
    return "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def run_together(run: Run, arguments: Sequence[str] | None) -> int:
    """``run`` a command line in this process as its part of all; its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command = next((a for a in given if not a.startswith("-")), "")
    if command not in SHARED:
        return run(given, None) if os.environ["RANK"] == "0" else 0
    from spacec.search.ranks import joined

    signal.signal(signal.SIGTERM, _ending)
    with joined() as ranks:
        code = run(given, ranks) if ranks.leads else _quietly(run, given, ranks)
        if code == 0:
            ranks.everyone(None, patiently=True)
        return code


def processes() -> Ranks:
    """The processes that run the present command."""
    from spacec.search.ranks import ONE

    ranks: Ranks | None = click.get_current_context().find_root().obj
    return ranks or ONE


def _ending(*_: object) -> None:
    """torchrun ends this process since another one ended: time to notice, and to say so, before it does."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(NOTICE)


def _quietly(run: Run, arguments: Sequence[str], ranks: Ranks) -> int:
    said = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(said):
        code = run(arguments, ranks)
    if code and not _said_by_the_first(ranks):
        click.echo(f"process {ranks.rank} of {ranks.size}:\n{said.getvalue().rstrip()}", err=True)
    return code


def _said_by_the_first(ranks: Ranks) -> bool:
    """Whether the first process fails for the same, or this one because of it."""
    from spacec.search.ranks import LOST

    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        reasons = ranks.reasons()
        if 0 in reasons:
            return reasons[0] == reasons.get(ranks.rank) or reasons.get(ranks.rank, "").startswith(LOST)
        time.sleep(0.05)
    return False
