"""What runs in a process of Ray: a :class:`Rater`, made once, that rates one trial after the other."""

from __future__ import annotations

import os
import pickle
import socket
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch

from spacec.search.executor import Rated, Rater
from spacec.search.strategy import Trial


class Worker:
    """Rates trials in ``folder``, the directory of the search, where this machine has one of that name."""

    def __init__(self, sent: bytes, folder: str, threads: int) -> None:
        """``sent`` is a pickled :class:`Rater`; ``threads`` are torch's, on which rounding depends."""
        with suppress(OSError):  # another machine need not have it: then only absolute paths are found
            os.chdir(folder)
        torch.set_num_threads(threads)
        self._rater: Rater = pickle.loads(sent)
        self._name = f"{socket.gethostname()}/{os.getpid()}"

    def ready(self) -> None:
        """Returns once the worker is there."""

    def rate(self, number: int, trial: Trial, state: Any) -> tuple[Rated, float]:
        """The rating of a trial, and how many seconds it took here, whatever the trial itself says."""
        start = time.monotonic()
        found = self._rater.rate(number, trial, state)
        return replace(found, worker=self._name), time.monotonic() - start
