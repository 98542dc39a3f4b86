"""Trials on Ray (Moritz et al., Ray: A Distributed Framework for Emerging AI Applications, OSDI 2018).

Every worker is an actor: a process that has made the space, the task and the data once. A trial goes to a worker that
is free; while trials are so brief that a worker would wait for the next one, up to :data:`AHEAD` are sent at once. What
is not with a worker waits here, so nothing piles up in Ray. A worker that dies is replaced; the trial that it was at
is tried again, and fails with the reason after the last try. A rating depends on the trial and its number only, thus
neither on the number of workers nor on who died.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.executor import Executor, Rated, Rater
from spacec.search.options import Options as OptionsBase
from spacec.search.options import option
from spacec.search.strategy import Trial
from spacec_ray.cluster import Cluster, connect, require_ray
from spacec_ray.worker import Worker

AHEAD = 4
"""Trials that a worker is sent at once while they are brief."""
BRIEF = 0.02
"""Seconds below which a trial is brief: about ten times what sending it takes."""


@dataclass(frozen=True)
class RayOptions(OptionsBase):
    workers: int | None = option(None, "trials at a time; none for as many as cores (or GPUs) are enough for", low=1)
    address: str = option(
        "", "of a Ray that runs: host:port, or auto; empty to start one on this machine", outside=True
    )
    cpus: int = option(1, "cores of a worker, and threads of its torch", low=1)
    gpus: float | None = option(None, "GPUs of a worker, 0.5 for half of one; none for 1 with --device cuda", low=0)
    retries: int = option(2, "how often a trial is tried again whose worker died", low=0)
    patience: int = option(120, "seconds to wait for the first worker", low=1)


@dataclass
class _Task:
    number: int
    trial: Trial
    state: Any
    attempts: int = 1
    alone: bool = False
    """Whether it was with a worker that died: it may be the cause, and no other trial is to be lost by it."""


@dataclass(eq=False)
class _Worker:
    """An actor; ``starting`` until it is there. ``out`` are its trials by the call that rates them, in order."""

    actor: Any
    starting: Any
    out: dict[Any, _Task] = field(default_factory=dict)
    room: int = 1

    def takes(self, task: _Task) -> bool:
        """Whether there is room for it."""
        if task.alone or any(other.alone for other in self.out.values()):
            return not self.out
        return len(self.out) < self.room


class RayExecutor(Executor):
    """See the module."""

    name = "ray"
    help = "worker processes of Ray: cores of this machine, or a cluster"
    Options = RayOptions
    options: RayOptions

    def __init__(self, options: OptionsBase | Mapping[str, object] | None = None) -> None:
        super().__init__(options)
        self._cluster: Cluster | None = None
        self._workers: list[_Worker] = []
        self._waiting: deque[_Task] = deque()
        self._lost = 0

    @property
    def capacity(self) -> int:
        return len(self._workers)

    def start(self, rater: Rater, clock: float) -> None:
        """Raises :class:`SpacecError`: E0850 without a Ray, E0851 without a worker, E0852 and E0853 where the search
        cannot be sent, or be made again where it was sent to."""
        gpus = self._gpus(rater)
        sent = _pickled(replace(rater, device=_device(rater.device, gpus)))
        workers = self.options.workers
        cpus = None if workers is None else workers * self.options.cpus
        self._waiting.clear()
        self._cluster = cluster = connect(self.options.address, cpus)
        self._make = _maker(cluster, sent, self.options.cpus, gpus)
        for _ in range(workers or self._fitting(cluster, gpus)):
            self._add_worker()
        self._await_worker(cluster, gpus)

    def submit(self, number: int, trial: Trial, state: Any, asked: float) -> None:
        self._waiting.append(_Task(number, trial, state))

    def collect(self) -> list[Rated]:
        assert self._cluster is not None, "it was started"
        wait = self._cluster.ray.wait
        while True:
            self._send()
            calls = [call for w in self._workers for call in (*w.out, *([w.starting] if w.starting else ()))]
            wait(calls, num_returns=1)
            ready = set(wait(calls, num_returns=len(calls), timeout=0)[0])
            found = [rated for w in tuple(self._workers) for rated in self._received(w, ready)]
            if found:
                return [replace(rated, finished=self.now()) for rated in found]

    def close(self) -> None:
        cluster, self._cluster = self._cluster, None
        if cluster is None:
            return
        try:
            for worker in self._workers:
                cluster.ray.kill(worker.actor)
            self._workers.clear()
        finally:
            cluster.close()

    # workers

    def _gpus(self, rater: Rater) -> float:
        if self.options.gpus is not None:
            return self.options.gpus
        return 1.0 if rater.device.startswith("cuda") else 0.0

    def _fitting(self, cluster: Cluster, gpus: float) -> int:
        """How many workers there is room for, at least one."""
        have = cluster.resources
        room = have.get("CPU", 0.0) / self.options.cpus
        return max(1, int(min(room, have.get("GPU", 0.0) / gpus) if gpus else room))

    def _add_worker(self) -> None:
        actor = self._make()
        self._workers.append(_Worker(actor, actor.ready.remote()))

    def _await_worker(self, cluster: Cluster, gpus: float) -> None:
        calls = [w.starting for w in self._workers]
        ready, _ = cluster.ray.wait(calls, num_returns=1, timeout=self.options.patience)
        if not ready:
            wanted = f"{self.options.cpus} CPU" + (f" and {gpus:g} GPU" if gpus else "")
            have = ", ".join(f"{n:g} {name}" for name, n in sorted(cluster.resources.items()) if name in ("CPU", "GPU"))
            notes = (f"a worker asks for {wanted}; Ray has {have or 'no resources'}, free or not",)
            headline = f"no worker of Ray was there after {self.options.patience} s"
            raise SpacecError(Diagnostic("E0851", headline, notes=notes, help="-x patience=SECONDS waits longer"))
        for worker in tuple(self._workers):
            self._received(worker, set(ready))

    def _send(self) -> None:
        """Hand what waits to workers that have room, to those with least to do first."""
        assert self._cluster is not None, "it was started"
        while self._waiting:
            free = [w for w in self._workers if not w.starting and w.takes(self._waiting[0])]
            if not free:
                return
            worker, task = min(free, key=lambda w: len(w.out)), self._waiting.popleft()
            call = worker.actor.rate.remote(task.number, task.trial, task.state)
            worker.out[call] = task

    def _received(self, worker: _Worker, ready: set[Any]) -> list[Rated]:
        """What a worker's calls among ``ready`` have given."""
        assert self._cluster is not None, "it was started"
        ray, found = self._cluster.ray, list[Rated]()
        try:
            if worker.starting in ready:
                ray.get(worker.starting)
                worker.starting, self._lost = None, 0
            for call in [c for c in worker.out if c in ready]:
                rated, seconds = ray.get(call)
                worker.room = AHEAD if seconds < BRIEF else 1
                found.append(replace(rated, attempts=worker.out.pop(call).attempts))
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from error
        except ray.exceptions.RayError as error:
            found += self._replaced(worker, error)
        return found

    def _replaced(self, worker: _Worker, error: Exception) -> list[Rated]:
        """Another worker in the place of one that is lost; the trial that it was at, if that was the last try.

        Of several that were sent at once, the first may be done and its rating lost: it fails only where it was alone.
        """
        assert self._cluster is not None, "it was started"
        if worker.starting:
            self._check_start(error)
        self._workers.remove(worker)
        self._cluster.ray.kill(worker.actor)
        self._add_worker()
        tasks = list(worker.out.values())
        if not tasks:
            return []
        first, *others = tasks
        self._waiting.extendleft(replace(task, alone=True) for task in reversed(others))
        if first.attempts > self.options.retries and not others:
            text = f"the worker died, at each of {first.attempts} attempts: {_reason(error)}"
            return [Rated(first.number, error=text, traceback=str(error), attempts=first.attempts)]
        attempts = min(first.attempts, self.options.retries) + 1
        self._waiting.appendleft(replace(first, attempts=attempts, alone=True))
        return []

    def _check_start(self, error: Exception) -> None:
        """A worker that cannot be made would never be: its own exception, or death after death, ends the search."""
        self._lost += 1
        told = getattr(error, "cause", None) or error
        if "The actor died because of an error raised in its creation task" in str(error):
            last = str(error).strip().splitlines()[-1]
            headline = "a worker of Ray cannot make the search that it was sent"
            help = "install the same plugins there, and give absolute paths that exist there too"
            raise SpacecError(Diagnostic("E0853", headline, notes=(last,), help=help)) from error
        if self._lost > self.options.retries:
            headline = f"{self._lost} workers of Ray died one after the other as they started"
            raise SpacecError(Diagnostic("E0851", headline, notes=(_reason(told),))) from error


def _pickled(rater: Rater) -> bytes:
    """What a worker is sent. Raises :class:`SpacecError` (E0852) that says what cannot travel."""
    cloudpickle = require_ray().cloudpickle  # sends what a user's own script defines, too
    try:
        sent: bytes = cloudpickle.dumps(rater)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        headline = f"task '{rater.task.name}' or the space cannot be sent to another process"
        help = "open a benchmark by space.benchmark; keep open files, locks and local functions out of a task"
        raise SpacecError(Diagnostic("E0852", headline, notes=(f"{error}",), help=help)) from error
    return sent


def _device(device: str, gpus: float) -> str:
    """Where a worker computes: on the GPUs that Ray gives it, which it sees alone."""
    if gpus:
        return "cuda"
    return "cpu" if device == "auto" else device


def _maker(cluster: Cluster, sent: bytes, cpus: int, gpus: float) -> Any:
    """Starts a worker, which Ray does not restart by itself."""
    ray = cluster.ray
    remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)(Worker)
    kept = ray.put(sent)
    return lambda: remote.remote(kept, os.getcwd(), cpus)


def _cause(error: Any) -> BaseException:
    """The exception of the worker."""
    return error.cause if isinstance(error.cause, BaseException) else error


def _reason(error: object) -> str:
    """Why a worker died, in one line, of the many that Ray tells."""
    text = " ".join(str(error).split())
    return text.partition("Worker exit detail: ")[2].partition(". ")[0] or text[:200]
