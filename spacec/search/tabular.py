"""A benchmark in the place of a task: trials are answered from its table, and nothing is trained.

Any strategy that only proposes and observes runs on it as it is. The seconds of a trial are those that the table gives,
what the trial would have cost; a trial's budget asks the benchmark for that number of epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from torch import Tensor

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.options import Options
from spacec.search.task import Batch, Metric, OutLike, Port, Splits, Task
from spacec.space.benchmark import Benchmark, Measure, Measured

if TYPE_CHECKING:  # a strategy's module reads this package's tasks
    from spacec.search.strategy import Strategy, Trial

EPOCHS = "epochs"


@dataclass(frozen=True)
class TabularOptions(Options):
    """What is asked of the benchmark in every query."""

    which: Mapping[str, str] = field(default_factory=dict)
    metric: str = ""


class Tabular(Task):
    """Answers from ``benchmark``; a search follows ``metric`` (``name``, ``name:min``), by default the first."""

    Options = TabularOptions

    def __init__(self, benchmark: Benchmark, which: Mapping[str, object] | None = None, metric: str = "") -> None:
        """Raises :class:`SpacecError` (E0731) for a question or a metric that the benchmark does not have."""
        first = benchmark.measure(metric) if metric else benchmark.metrics[0]
        measures = (first, *(m for m in benchmark.metrics if m.name != first.name))
        self.benchmark = benchmark
        self.name = benchmark.name
        self.metrics = tuple(map(_metric, measures))
        super().__init__(TabularOptions(benchmark.asked(which or {}), f"{first.name}:{first.direction}"))

    @property
    def inputs(self) -> tuple[Port, ...]:
        return ()

    @property
    def outputs(self) -> tuple[Port, ...]:
        return ()

    def rate(self, trial: Trial) -> Measured:
        """The table's answer to a trial. Raises where it has none (E0731, E0732), or for shared weights (E0735)."""
        if trial.weights == "shared":
            self._no_data("a trial with shared weights cannot be rated")
        which = dict(self.options.which)
        if trial.budget is not None:
            which[EPOCHS] = self._length(trial.budget)
        found = self.benchmark.query(trial.arch, **which)
        if self.metrics[0].name not in found.metrics:
            headline = f"benchmark '{self.name}' has no {self.metrics[0].name} of {trial.arch.text()}"
            raise SpacecError(Diagnostic("E0732", headline))
        return found

    def _length(self, epochs: int) -> str:
        """So many epochs as the table writes them (``01`` for 1)."""
        known = self.benchmark.which.get(EPOCHS, ())
        return next((text for text in known if text.isdigit() and int(text) == epochs), str(epochs))

    def refuse_training(self, strategy: Strategy) -> None:
        """Raise E0735 where ``strategy`` would train a supernet."""
        if strategy.uses_supernet:
            self._no_data(f"strategy '{strategy.name}' trains a supernet")

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "benchmark": self.benchmark.source}

    def splits(self, seed: int) -> Splits:
        self._no_data("a search over it cannot train")

    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, Tensor]:
        self._no_data("there is no loss")

    def measure(self, out: OutLike, batch: Batch) -> dict[str, Tensor]:
        self._no_data("there is no output to measure")

    def _no_data(self, what: str) -> NoReturn:
        raise SpacecError(Diagnostic("E0735", f"benchmark '{self.name}' has results but no data: {what}"))


def _metric(measure: Measure) -> Metric:
    return Metric(measure.name, measure.direction, measure.help, measure.unit)
