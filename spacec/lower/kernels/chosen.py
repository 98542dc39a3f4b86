"""The choices of a schedule, site by site."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from spacec.lower.kernels.dispatch import Choose, Kernels, expected
from spacec.lower.kernels.table import LIBRARY, OpSite
from spacec.lower.schedule import Schedule


def kernels_of(schedule: Schedule) -> Kernels | None:
    """What runs the ops of a graph by ``schedule``; ``None`` where that is the library throughout."""
    if schedule.otherwise == "library" and set(schedule.kernels.values()) <= {LIBRARY}:
        return None
    choose: Choose = Chosen(schedule)
    return Kernels(choose)


class Chosen:
    """Chooses as a schedule says: see :class:`spacec.lower.schedule.Schedule` for sites that it has no entry for."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def __call__(self, site: OpSite) -> str:
        entry = self.schedule.kernels.get(site.signature)
        if entry is not None:
            return entry
        near = self._batches.get(site.kind)
        if near:
            return near[min(near, key=lambda batch: (abs(batch - site.batch), batch))]
        if self.schedule.otherwise == "library":
            return LIBRARY
        return expected(site, generated=self.schedule.otherwise == "expected")

    @cached_property
    def _batches(self) -> Mapping[str, Mapping[int, str]]:
        """The entries by site without batch, then by batch."""
        found: dict[str, dict[int, str]] = {}
        for signature, choice in self.schedule.kernels.items():
            kind, _, batch = signature.rpartition(" n")
            if batch.isdecimal():
                found.setdefault(kind, {})[int(batch)] = choice
        return found
