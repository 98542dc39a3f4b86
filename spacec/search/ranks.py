"""The processes that run one search together: who this one is, and how they keep in step.

Every process runs the whole search, on the same global batches, with the same seeds: what a strategy computes outside
a network is computed by all of them, to the same bits. Networks are run in shares of the batch
(:mod:`spacec.search.shared`). The first process alone reads and writes files; what it finds or raises there is told to
the others (:meth:`Ranks.first`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from spacec.diagnostics.model import Diagnostic, SpacecError

T = TypeVar("T")

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others within a step; one that ends is noticed at once."""
LONG = timedelta(days=7)
"""How long it waits while the others rate trials, which may take hours."""
GRACE = timedelta(seconds=10)
"""How long after a failure the others have to fail alike, if it is one that the search goes on after."""
SILENT = "it left no word: it was killed, or cannot be reached"
OUT_OF_STEP, REFUSED, LOST = "E0855", "E0856", "E0857"


class Parted(SpacecError):
    """The processes are not together any more: nothing that a search outlives."""


@dataclass(frozen=True)
class Ranks:
    """``size`` processes, of which this is number ``rank``; ``local`` counts those of its machine.

    The default is one process, for which every method does nothing but its work.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    store: Any = field(default=None, repr=False)
    """Of ``torch.distributed``: where processes leave words for each other while the group is broken."""
    patient: Any = field(default=None, repr=False)
    """A process group that waits for :data:`LONG`."""

    @property
    def leads(self) -> bool:
        """Whether this process reads and writes for all."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """The device of this process, where ``device`` names a kind: the GPU of its number on its machine.

        Raises E0856 for a kind that no collective runs on, E0708 where the machine has fewer GPUs than processes.
        """
        if self.size == 1 or device.type == "cpu":
            return device
        if device.type != "cuda":
            raise _refused(f"several processes cannot share the device '{device}'", "choose --device cpu or cuda")
        if device.index is not None:
            raise _refused(f"each of several processes needs a GPU of its own, not '{device}'", "say --device cuda")
        if self.local >= (count := torch.cuda.device_count()):
            text = f"process {self.local + 1} of this machine has no GPU: it has {count}"
            raise SpacecError(Diagnostic("E0708", text, help=f"start {count} on it (--nproc-per-node {count})"))
        torch.cuda.set_device(self.local)
        return torch.device("cuda", self.local)

    def first(self, work: Callable[[], T]) -> T:
        """What the first process finds by ``work``, or raises, on all of them; the others do not run it."""
        if self.size == 1:
            return work()
        found: list[Any] = [None, None]
        if self.leads:
            try:
                found[0] = work()
            except SpacecError as error:
                found[1] = error.diagnostics
        with self.together():
            dist.broadcast_object_list(found, src=0)
        if found[1] is not None:
            raise SpacecError(found[1])
        result: T = found[0]
        return result

    def everyone(self, value: T, *, patiently: bool = False) -> list[T]:
        """The values of all processes, by number."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        with self.together():
            dist.all_gather_object(found, value, group=self.patient if patiently else None)
        return found

    def agree(self, what: str, facts: Mapping[str, str]) -> None:
        """Raise E0855, on all processes and with both sides, unless ``facts`` are the same on all of them."""
        if self.size == 1:
            return
        text = "\x1e".join(f"{name}\x1f{value}" for name, value in facts.items())
        own = torch.frombuffer(bytearray(hashlib.blake2b(text.encode(), digest_size=8).digest()), dtype=torch.int64)
        told = [torch.empty_like(own) for _ in range(self.size)]
        with self.together():
            dist.all_gather(told, own)
        if all(torch.equal(other, own) for other in told):
            return
        raise Parted(_out_of_step(what, self.everyone(dict(facts))))

    def failed_alike(self, error: str) -> None:
        """Return where all processes failed as this one did, so that the search can go on; else raise E0857.

        For what the search outlives (a trial, a probe): one process that went on alone would answer the questions of
        others with what they did not ask.
        """
        if self.size == 1:
            return
        number = self.store.add(f"failures/{self.rank}", 1)
        self.store.set(f"failure/{number}/{self.rank}", error)
        others = [f"failure/{number}/{r}" for r in range(self.size)]
        try:
            self.store.wait(others, GRACE)
            alike = all(self.store.get(key).decode() == error for key in others)
        except dist.DistStoreError:
            alike = False
        if not alike:
            raise Parted(Diagnostic(LOST, f"process {self.rank} failed alone: {error}"))

    @contextmanager
    def last_words(self) -> Iterator[None]:
        """Leave word of why this process ends, where the body of the ``with`` raises."""
        try:
            yield
        except BaseException as error:
            first = error.diagnostics[0] if isinstance(error, SpacecError) else None
            self.leave(f"{type(error).__name__}: {error}" if first is None else f"{first.code}: {first.headline}")
            raise

    def leave(self, reason: str) -> None:
        """Leave word of why this process ends."""
        if self.size > 1:
            self.store.set(f"reason/{self.rank}", reason)

    def reasons(self) -> dict[int, str]:
        """Why processes ended, as far as they left word."""
        keys = {r: f"reason/{r}" for r in range(self.size)}
        try:
            return {r: self.store.get(key).decode() for r, key in keys.items() if self.store.check([key])}
        except (dist.DistError, RuntimeError):  # whoever keeps the words has ended, too
            return {}

    @contextmanager
    def together(self) -> Iterator[None]:
        """A collective: a process that is not there any more is E0857, with its last words."""
        try:
            yield
        except (dist.DistError, RuntimeError) as error:
            others = {r: text for r, text in self.reasons().items() if r != self.rank}
            notes = tuple(f"process {r}: {text}" for r, text in others.items()) or (SILENT,)
            headline = "another process of this run ended, or did not answer"
            raise Parted(Diagnostic(LOST, headline, notes=notes)) from error


ONE = Ranks()
"""A search in one process."""


@contextmanager
def joined(environ: Mapping[str, str] | None = None) -> Iterator[Ranks]:
    """The processes that ``torchrun`` started, for the body of a ``with``; :data:`ONE` where it did not.

    Tensors on the CPU travel by gloo, those on a GPU by NCCL. A process that fails leaves word of why.
    """
    environ = os.environ if environ is None else environ
    size = int(environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in environ:
        yield ONE
        return
    store, rank, size = next(iter(rendezvous("env://", timeout=PATIENCE)))
    words = PrefixStore("spacec", store)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=PrefixStore("group", store), rank=rank, world_size=size, timeout=PATIENCE)
    ranks = Ranks(rank, size, int(environ.get("LOCAL_RANK", rank)), words, dist.new_group(backend="gloo", timeout=LONG))
    try:
        yield ranks
    except BaseException as error:
        ranks.leave(
            error.diagnostics[0].headline if isinstance(error, SpacecError) else f"{type(error).__name__}: {error}"
        )
        raise
    finally:
        dist.destroy_process_group()


def digest(tensor: Tensor) -> str:
    """A short text that tells tensors apart, bit by bit."""
    plain = tensor.detach().cpu().contiguous().flatten()
    return hashlib.blake2b(plain.view(torch.uint8).numpy().tobytes(), digest_size=8).hexdigest()


def _out_of_step(what: str, sides: Sequence[Mapping[str, str]]) -> Diagnostic:
    first = sides[0]
    other = next(r for r, side in enumerate(sides) if side != first)
    names = [n for n in {**first, **sides[other]} if first.get(n) != sides[other].get(n)]
    notes = []
    for r in (0, other):
        texts = [f"{n} = {sides[r].get(n, 'nothing')}" for n in names[:4]]
        notes.append(f"process {r}: {', '.join(texts)}" + (" …" if len(names) > 4 else ""))
    return Diagnostic(OUT_OF_STEP, f"the processes of this run are not in step: {what}", notes=tuple(notes))


def _refused(headline: str, help: str) -> SpacecError:
    return SpacecError(Diagnostic(REFUSED, headline, help=help))
