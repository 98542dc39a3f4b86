"""A Ray to work on: one started on this machine for the length of a search, or one that runs already.

Ray is kept quiet: neither its log nor that of its processes reaches the terminal, no dashboard and no usage report is
started. A Ray of our own lets in who shows a random token, needs no network, keeps its files in one folder that goes
with it, and takes as much shared memory as is there, at most :data:`MOST_STORE`. Its processes die with this one.
"""

from __future__ import annotations

import functools
import logging
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError

LEAST_STORE, MOST_STORE = 80 << 20, 1 << 30
"""Bytes of Ray's object store: the least that Ray accepts, and the most that ratings need."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Environment of Ray, unless the user says otherwise: no usage reports, and no warning on workers without a GPU."""
TOKEN = "RAY_AUTH_TOKEN"
"""Environment variable: what every process of a Ray has to show to run code in it."""


@dataclass
class Cluster:
    """A connection to Ray; ``folder`` is of a Ray of our own, ``ours`` whether the connection is ours to end."""

    ray: ModuleType
    ours: bool
    folder: Path | None = None

    @property
    def resources(self) -> dict[str, float]:
        """What it has in all, by Ray's names: ``CPU``, ``GPU``."""
        found: dict[str, float] = self.ray.cluster_resources()
        return found

    def close(self) -> None:
        """End the connection, and a Ray of our own with all its processes."""
        if not self.ours:
            return
        self.ours = False
        self.ray.shutdown()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def require_ray() -> ModuleType:
    """The package ``ray``. Raises :class:`SpacecError` (E0850) where it is not installed."""
    try:
        import ray  # takes half a second, and the rest of spacec does not need it
    except ImportError as error:
        headline = "executor 'ray' needs the package 'ray', which is not installed"
        raise SpacecError(Diagnostic("E0850", headline, notes=(str(error),), help="pip install spacec-ray")) from error
    return ray


def connect(address: str, cpus: int | None) -> Cluster:
    """The Ray at ``address``, or a new one here with so many cores to give away (``None``: those that are there).

    A Ray that this process is connected to already is used and left as it is. Raises :class:`SpacecError` (E0850)
    where Ray cannot be started or reached.
    """
    ray = require_ray()
    if ray.is_initialized():
        return Cluster(ray, ours=False)
    options: dict[str, Any] = {
        "include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False,
    }  # fmt: skip
    logging.getLogger("ray").setLevel(logging.ERROR)
    if address:
        with _environment(QUIET), _own_signals():
            _init(ray, {**options, "address": address}, f"cannot reach a Ray at '{address}'")
        return Cluster(ray, ours=True)
    folder = Path(tempfile.mkdtemp(prefix="spacec-ray-", dir=_short_folder()))
    options |= {"address": "local", "num_cpus": cpus, "object_store_memory": _store_bytes()}
    options["_temp_dir"] = str(folder)
    try:
        with _environment({**QUIET, TOKEN: _token()}), _own_signals():
            _init(ray, options, "cannot start Ray on this machine")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Cluster(ray, ours=True, folder=folder)


def _init(ray: ModuleType, options: dict[str, Any], headline: str) -> None:
    try:
        ray.init(**options)
    except (ConnectionError, OSError, RuntimeError, ValueError, TimeoutError) as error:
        raise SpacecError(Diagnostic("E0850", headline, notes=(_first_line(error),))) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@functools.cache
def _token() -> str:
    """One for all that this process starts, since Ray reads it once; without, Ray writes one into the home folder."""
    return secrets.token_hex(32)


def _short_folder() -> str | None:
    """Where Ray's folder goes: paths of sockets have to be short."""
    return "/tmp" if os.path.isdir("/tmp") else None


def _store_bytes() -> int:
    """Half of the shared memory that is free; where that is too little, Ray takes a file in its folder instead."""
    try:
        free = shutil.disk_usage("/dev/shm").free
    except OSError:
        return LEAST_STORE
    return max(LEAST_STORE, min(free // 2, MOST_STORE))


@contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    """Variables that Ray reads as it starts, where the user has not set them."""
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _own_signals() -> Iterator[None]:
    """The handler of SIGTERM as it was: Ray puts its own there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
