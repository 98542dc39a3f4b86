"""Where trials are rated: in this process, on a virtual clock, or wherever a plugin takes them.

An executor is told of trials and gives their ratings back as they are ready, in any order. What a rating says depends
on the trial and its number only (:class:`Rater`), never on where or after what it was made: so a search finds the same
on any executor, as long as results are told to its strategy in the same order.
"""

from __future__ import annotations

import heapq
import math
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import torch

from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.device import resolve_device
from spacec.search.options import Options as OptionsBase
from spacec.search.options import option, parse_options
from spacec.search.ranks import Parted
from spacec.search.seeds import reseed
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Trial
from spacec.search.tabular import Tabular
from spacec.search.task import Splits, Task
from spacec.search.training import FitResult, TrainConfig, fit
from spacec.space.architecture import Architecture


@dataclass(frozen=True)
class Rated:
    """What came of one trial. ``state`` is that of its training, where the trial is to be kept.

    ``finished``: when, in seconds of the executor's clock; ``worker`` and ``attempts``: who rated it, and at which try.
    """

    number: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    state: Any = field(default=None, repr=False)
    error: str = ""
    traceback: str = ""
    worker: str = ""
    attempts: int = 1
    finished: float = 0.0


@dataclass(frozen=True)
class Rater:
    """What it takes to rate a standalone trial; it can be sent to another process, which reads the data itself."""

    space: SpaceLike
    task: Task
    train_config: TrainConfig
    seed: int
    device: str = "cpu"

    @cached_property
    def splits(self) -> Splits:
        """The data. A benchmark has none (E0735)."""
        return self.task.splits(self.seed)

    @cached_property
    def where(self) -> torch.device:
        return resolve_device(self.device)

    def fit(self, arch: Architecture, epochs: int | None = None, state: Any = None, split: str = "arch") -> FitResult:
        """Train ``arch`` alone for ``epochs`` in all; see :meth:`SearchContext.fit`."""
        return fit(self.space, arch, self.task, self.splits, self.train_config, self.where, epochs, state, split)

    def rate(self, number: int, trial: Trial, state: Any = None) -> Rated:
        """Rate one trial; ``state`` is that of the training it goes on with. See :func:`rated`."""

        def work() -> Rated:
            start = time.monotonic()
            if isinstance(self.task, Tabular):
                return _looked_up(self.task, number, trial)
            if trial.weights == "shared":
                raise ValueError("shared weights need a supernet, and this search trains none")
            fitted = self.fit(trial.arch, trial.budget, state, trial.split)
            kept = fitted.token if trial.keep else None
            return Rated(number, fitted.metrics, time.monotonic() - start, kept)

        return rated(self.seed, number, self.task.metrics[0].name, work)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("splits", "where")}


def rated(seed: int, number: int, metric: str, work: Callable[[], Rated]) -> Rated:
    """``work`` under the randomness of trial ``number``; whatever it raises is its result, not the search's end.

    A disk that refuses and processes that lost each other are no fault of the trial and are raised on.
    """
    start = time.monotonic()
    reseed(seed, "trial", number)
    try:
        found = work()
    except (files.StorageError, Parted):
        raise
    except SpacecError as error:
        return Rated(number, seconds=time.monotonic() - start, error=_told(error))
    except Exception as error:  # a trial may run any module that a user wrote; its traceback is kept in the record
        text = f"{type(error).__name__}: {error}"
        return Rated(number, seconds=time.monotonic() - start, error=text, traceback=traceback.format_exc())
    return judged(found, metric)


def judged(found: Rated, metric: str) -> Rated:
    """``found``, failed where its metrics are no numbers, or ``metric`` is no finite one."""
    if found.error:
        return found
    try:
        found = replace(found, metrics={str(name): float(value) for name, value in found.metrics.items()})
    except (TypeError, ValueError) as error:
        return replace(found, metrics={}, state=None, error=f"its metrics are no numbers: {error}")
    value = found.metrics.get(metric, math.nan)
    if math.isfinite(value):
        return found
    why = f"its {metric} is {value}" if metric in found.metrics else f"it has no {metric}"
    return replace(found, state=None, error=why)


def _looked_up(task: Tabular, number: int, trial: Trial) -> Rated:
    """The answer of a table: in the seconds that it states, or none where it has none."""
    try:
        found = task.rate(trial)
    except SpacecError as error:
        return Rated(number, error=_told(error))
    return Rated(number, found.metrics, found.seconds or 0.0)


def _told(error: SpacecError) -> str:
    first = error.diagnostics[0]
    return f"{first.code}: {first.headline}"


class Executor:
    """Base of executors. The search calls :meth:`start` once before the first trial, and :meth:`close` at its end."""

    name: ClassVar[str]
    help: ClassVar[str] = ""
    Options: ClassVar[type[OptionsBase]] = OptionsBase

    def __init__(self, options: OptionsBase | Mapping[str, object] | None = None) -> None:
        """``options``: a value of ``Options``, or texts by name, which are parsed and checked."""
        if not isinstance(options, OptionsBase):
            options = parse_options(self.Options, options or {}, owner=f"executor '{self.name}'")
        self.options: Any = options

    @property
    def capacity(self) -> int:
        """How many trials it rates at once; asked after :meth:`start`."""
        return 1

    def start(self, rater: Rater, clock: float) -> None:
        """Make ready to rate by ``rater``; ``clock`` is the latest moment of the run that it goes on with, or 0."""
        raise NotImplementedError

    def submit(self, number: int, trial: Trial, state: Any, asked: float) -> None:
        """Take on a trial that was asked for at ``asked``; ``state`` is that of the training it goes on with."""
        raise NotImplementedError

    def collect(self) -> list[Rated]:
        """Ratings that are ready, in the order in which they came to be; waits for the first.

        Raises what ended the executor as a whole. Never called while no trial is out.
        """
        raise NotImplementedError

    def now(self) -> float:
        """Seconds on its clock."""
        return time.time()

    def close(self) -> None:
        """Let go of what it holds; trials that are out are given up."""

    def describe(self) -> dict[str, Any]:
        """What the run record keeps: name and options."""
        return {"name": self.name, "options": asdict(self.options)}


class Here(Executor):
    """This process, one trial after the other."""

    name = "here"
    help = "this process, one trial after the other"

    def __init__(self, options: OptionsBase | Mapping[str, object] | None = None) -> None:
        super().__init__(options)
        self._waiting: deque[tuple[int, Trial, Any]] = deque()

    def start(self, rater: Rater, clock: float) -> None:
        self._rate = rater.rate

    def submit(self, number: int, trial: Trial, state: Any, asked: float) -> None:
        self._waiting.append((number, trial, state))

    def collect(self) -> list[Rated]:
        found = self._rate(*self._waiting.popleft())
        return [replace(found, finished=self.now())]


@dataclass(frozen=True)
class VirtualOptions(OptionsBase):
    workers: int = option(1, "how many it pretends to have", low=1)


class Virtual(Executor):
    """This process, as if so many workers ran, on a clock that trials move: each takes the seconds it is said to take.

    For studies of how a search would go on many machines. Over a benchmark the seconds are those of the table.
    """

    name = "virtual"
    help = "this process on a virtual clock, as if many workers ran"
    Options = VirtualOptions
    options: VirtualOptions

    def __init__(self, options: OptionsBase | Mapping[str, object] | None = None) -> None:
        super().__init__(options)
        self._clock = 0.0

    @property
    def capacity(self) -> int:
        return self.options.workers

    def start(self, rater: Rater, clock: float) -> None:
        self._rate, self._clock = rater.rate, clock
        self._free: list[float] = [0.0] * self.options.workers
        self._running: list[tuple[float, int, Rated]] = []

    def submit(self, number: int, trial: Trial, state: Any, asked: float) -> None:
        """It starts when it was asked for, or when the next worker is free."""
        found = self._rate(number, trial, state)
        end = max(asked, heapq.heappop(self._free)) + found.seconds
        heapq.heappush(self._free, end)
        heapq.heappush(self._running, (end, number, found))

    def collect(self) -> list[Rated]:
        end, _, found = heapq.heappop(self._running)
        self._clock = max(self._clock, end)
        return [replace(found, finished=end)]

    def now(self) -> float:
        return self._clock
