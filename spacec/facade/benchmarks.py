"""Benchmarks of a space: what others have measured of its architectures, through installed plugins."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.facade.form import Form
from spacec.hooks import installed
from spacec.space.benchmark import Benchmark


class Benchmarks(Form):
    """The space as others have measured it."""

    def benchmark(self, name: str, path: str | Path | None = None) -> Benchmark:
        """An installed benchmark for this space; ``path`` is the user's file where the benchmark reads one.

        Raises :class:`SpacecError`: E0712 for a benchmark that is not installed, E0730 for one of another space, E0733
        where its package or file is missing (it says what to get), E0734 for a file that is not what it reads.
        """
        target = installed().find("spacec_benchmarks", name)
        found = target.load()(self.table, None if path is None else Path(path))
        if not isinstance(found, Benchmark):
            headline = f"benchmark '{name}' could not be loaded"
            reason = f"its target returned {type(found).__name__}, not a Benchmark"
            raise SpacecError(Diagnostic("E0713", headline, notes=(f"it is declared as {target.target}", reason)))
        absolute = None if path is None else Path(path).absolute()
        return replace(found, again=functools.partial(self.benchmark, name, absolute))
