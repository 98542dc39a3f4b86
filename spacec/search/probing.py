"""Running probes beside a search: when they measure, what is recorded, and that they disturb nothing.

A probe that raises costs only itself: the record has an event ``probe failed`` with its name, reason and traceback,
and the search goes on. Rows are keyed by epoch, so a run that resumes and repeats an epoch replaces them.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.probe import INIT, Probe, Reading, Table
from spacec.search.ranks import Parted
from spacec.search.seeds import reseed
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Strategy
from spacec.search.untouched import untouched

DESCRIBED = "probe"
FAILED = "probe failed"


def check_probes(probes: Sequence[Probe], space: SpaceLike, strategy: Strategy) -> None:
    """Raise E0705 for a probe that is there twice, and E0709 for each that cannot measure this search."""
    found: list[Diagnostic] = []
    names = [probe.name for probe in probes]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            found.append(Diagnostic("E0705", f"probe '{name}' is given twice"))
    for probe in probes:
        if why := _unsupported(probe, space, strategy):
            pair = f"the search of '{space.name}' by '{strategy.name}'"
            found.append(Diagnostic("E0709", f"probe '{probe.name}' cannot measure {pair}: {why}"))
    if found:
        raise SpacecError(found)


def _unsupported(probe: Probe, space: SpaceLike, strategy: Strategy) -> str:
    if not strategy.uses_supernet:
        return "the strategy trains no supernet, and probes measure one"
    try:
        return probe.unsupported(space, strategy)
    except Exception as error:  # a probe may run any code; nothing is built yet that could go on without it
        return f"asking it raised {type(error).__name__}: {error}"


class Probing:
    """The probes of one search. One whose ``describe`` or ``setup`` raises is not asked again."""

    def __init__(self, probes: Sequence[Probe], ctx: SearchContext, strategy: Strategy) -> None:
        self.ctx, self.strategy = ctx, strategy
        self.probes = list(probes)

    def start(self) -> None:
        """Set every probe up and, unless the search resumes after an epoch, measure before the first step."""
        for probe in tuple(self.probes):
            if not self._set_up(probe):
                self.probes.remove(probe)
            elif probe.options.at_init and self.ctx.epoch == 0:
                self._measure(probe, INIT)

    def after(self, epoch: int) -> None:
        """Measure after an epoch."""
        for probe in self.probes:
            if (epoch + 1) % probe.options.every == 0:
                self._measure(probe, epoch)

    def _set_up(self, probe: Probe) -> bool:
        try:
            self.ctx.recorder.event(DESCRIBED, probe.name, probe.describe())
            with untouched(self.ctx, self.strategy):
                reseed(self.ctx.seed, "probe setup", probe.name)
                probe.setup(self.ctx, self.strategy)
        except Parted:
            raise
        except Exception as error:  # a probe may run any code; it costs only itself
            self._failed(probe, INIT, error)
            return False
        return True

    def _measure(self, probe: Probe, epoch: int) -> None:
        try:
            with untouched(self.ctx, self.strategy):
                reseed(self.ctx.seed, "probe", probe.name, epoch)
                numbers, tables = _sorted(probe.on_epoch_end(epoch))
        except Parted:
            raise
        except Exception as error:  # as above
            self._failed(probe, epoch, error)
            return
        named = {f"{probe.name}.{name}": value for name, value in numbers.items()}
        self.ctx.recorder.metric("search", epoch, -1, named)
        for name, table in tables.items():
            self.ctx.recorder.reading(probe.name, name, epoch, table)

    def _failed(self, probe: Probe, epoch: int, error: Exception) -> None:
        text = f"{probe.name}: {type(error).__name__}: {error}"
        self.ctx.ranks.failed_alike(text)
        data = {"probe": probe.name, "epoch": epoch, "traceback": traceback.format_exc()}
        self.ctx.recorder.event(FAILED, text, data)


def _sorted(reading: Reading) -> tuple[dict[str, float], dict[str, Table]]:
    """The numbers and the tables of a measurement. Raises :class:`TypeError` for anything else."""
    numbers: dict[str, float] = {}
    tables: dict[str, Table] = {}
    for name, value in reading.items():
        if not isinstance(value, Mapping):
            numbers[name] = float(value)
            continue
        if len({len(key) for key in value}) > 1:
            raise TypeError(f"the keys of table '{name}' have several lengths")
        tables[name] = {tuple(map(str, key)): float(number) for key, number in value.items()}
    return numbers, tables
