"""What the tests of :mod:`tests.safety` hand to spacec: files that try to do harm, and signs that they did."""

from __future__ import annotations

import io
import os
import pickle
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

HEAD = "space small(C = 4)\ninput  x: [4, 8, 8]\noutput y: [4, 8, 8]\n"
NET = "net = relu | conv(3) | conv(1)\n"
SPACE = HEAD + NET
SIGN = "HARMED"
"""Name of the file that code would make, were it run."""
HARM = f"open({SIGN!r}, 'w').close()"
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
MARKUP = f"\"'><script>{HARM}</script><img src=x onerror=alert(1)>[bold red]{{0}} %s $(touch {SIGN}) `touch {SIGN}`"


class Payload:
    """Pickles as a call that leaves the sign."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, (HARM,))


def pickled() -> bytes:
    return pickle.dumps({"state": Payload()})


def harmed() -> bool:
    """Whether code was run in the current folder."""
    return Path(SIGN).exists()


def spacec(*arguments: object) -> tuple[int, str]:
    """A command line in this process: its exit code, and all that it printed."""
    from spacec.cli.main import run

    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        code = run([os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments])
    return code, out.getvalue()


def written(name: str, content: str | bytes) -> Path:
    """A file in the current folder."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
