"""Lengths of training: how long a trial trains on each rung, and how many start on the lowest.

``rungs`` gives the lengths themselves. Else they grow by eta between ``min_epochs`` (r) and ``max_epochs`` (R): from r
upwards, as ASHA has them (r eta^k <= R), or from R downwards, as Hyperband (R eta^-k >= r, rounded). A benchmark has
only the lengths that its table lists; all of them from r to R are then the rungs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.options import Options, option
from spacec.search.tabular import EPOCHS, Tabular


@dataclass(frozen=True)
class LadderOptions(Options):
    samples: int | None = option(None, "trials in all, on all rungs; none for the search's trials", low=1)
    eta: int = option(3, "eta: one in so many goes on to the next rung", low=2)
    min_epochs: int = option(1, "r: epochs of the lowest rung", low=1)
    max_epochs: int | None = option(
        None, "R: epochs of the highest; none for the training's own, or the table's", low=1
    )
    rungs: tuple[int, ...] = option((), "epochs of the rungs themselves, as 12,200, in place of r and R", low=1)


def lengths(ctx: SearchContext, options: LadderOptions, upwards: bool) -> tuple[int, ...]:
    """Epochs of the rungs, the lowest first. Raises :class:`SpacecError` (E0862) where there are none."""
    given = _of_table(ctx.task, options) if isinstance(ctx.task, Tabular) else None
    if options.rungs:
        if any(a >= b for a, b in zip(options.rungs, options.rungs[1:], strict=False)):
            raise _no_rungs(f"rungs {_listed(options.rungs)} do not grow")
        if given is not None and not set(options.rungs) <= set(given):
            raise _no_rungs(f"benchmark '{ctx.task.name}' has the lengths {_listed(given)}")
        return options.rungs
    longest = options.max_epochs or (max(given) if given else ctx.train_config.epochs)
    if given is not None:
        found = tuple(e for e in given if options.min_epochs <= e <= longest)
        if not found:
            raise _no_rungs(f"benchmark '{ctx.task.name}' has the lengths {_listed(given)}")
        return found
    if longest < options.min_epochs:
        raise _no_rungs(f"max_epochs is {longest}, less than min_epochs, {options.min_epochs}")
    powers = [options.eta**k for k in range(halvings(longest // options.min_epochs, options.eta) + 1)]
    if upwards:
        return tuple(options.min_epochs * p for p in powers)
    return tuple((2 * longest + p) // (2 * p) for p in reversed(powers))  # rounded, a half upwards


def halvings(n: int, eta: int) -> int:
    """floor(log_eta n), in whole numbers."""
    count = 0
    while n >= eta:
        n, count = n // eta, count + 1
    return count


def _of_table(task: Tabular, options: LadderOptions) -> tuple[int, ...]:
    found = tuple(sorted(int(e) for e in task.benchmark.which.get(EPOCHS, ()) if e.isdigit()))
    if not found:
        headline = f"there are no lengths of training to halve: benchmark '{task.name}' cannot be asked for epochs"
        help = "name a file of it that has several, with --file; `spacec query FILE BENCHMARK` lists them as epochs"
        raise SpacecError(Diagnostic("E0862", headline, help=help))
    return found


def _no_rungs(why: str) -> SpacecError:
    help = "give them by rungs, or by min_epochs and max_epochs; `spacec query FILE BENCHMARK` lists those of a table"
    return SpacecError(Diagnostic("E0862", f"there are no lengths of training to halve: {why}", help=help))


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
