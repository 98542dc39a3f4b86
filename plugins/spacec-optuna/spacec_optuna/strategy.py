"""Optuna as a strategy (Akiba, Sano, Yanase, Ohta and Koyama, Optuna: A Next-generation Hyperparameter Optimization
Framework, KDD 2019): its samplers choose architectures, its pruners end trainings early.

A trial of Optuna is one architecture. Without ``budgets`` it is rated once. With ``budgets=1,3,9`` it is trained for
one epoch, its metric is reported, the pruner is asked, and unless that ends it the same training goes on to three
epochs, then to nine. Trials may be outstanding: those that go on come first, then new ones are suggested from what is
known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.objectives import Front, FrontPoint, Objective, parse_objectives
from spacec.search.options import Options, option
from spacec.search.pareto import dominates, minimised
from spacec.search.strategy import Strategy, Trial, TrialResult
from spacec.search.tabular import Tabular
from spacec.search.trial_strategy import no_trial_succeeded
from spacec.space.architecture import Architecture
from spacec_optuna import named
from spacec_optuna.mirror import FILE, Mirror, key_of, open_storage
from spacec_optuna.parameters import Parameters
from spacec_optuna.sampling import Sampling

SAMPLES = 1000
"""Architectures that are rated where neither the strategy nor the search is told how many."""


@dataclass(frozen=True)
class OptunaOptions(Options):
    sampler: Literal["tpe", "gp", "cma-es", "nsga-ii", "nsga-iii", "qmc", "random", "brute-force"] = option(
        "tpe", "who chooses architectures"
    )
    sampler_options: str = option("", "keywords of the sampler: n_startup_trials=5,multivariate=true")
    pruner: Literal[
        "none", "median", "percentile", "successive-halving", "hyperband", "threshold", "patient", "wilcoxon"
    ] = option("none", "who ends trainings early, by what is reported at the budgets")
    pruner_options: str = option("", "keywords of the pruner: n_startup_trials=5")
    budgets: tuple[int, ...] = option(
        (), "epochs after which a trial reports; the last is its training's length", low=1
    )
    objectives: tuple[str, ...] = option((), "metrics and costs: val_acc,params; none for the first metric of the task")
    operations: Literal["categorical", "integer"] = option(
        "categorical", "operations as categories, or as integers for a sampler that knows nothing else (cma-es)"
    )
    samples: int | None = option(None, "architectures to rate in all; none for the search's trials, else 1000", low=1)
    storage: str = option(
        "run",
        "where the study is seen: run (optuna.sqlite3 in the run directory), none, a URL, a journal's path",
        outside=True,
    )
    study: str = option("", "name of the study there; none for one of the space and the run")


class OptunaSearch(Strategy):
    """See the module."""

    name = "optuna"
    help = "any sampler and pruner of Optuna"
    Options = OptunaOptions
    tiny: ClassVar[Mapping[str, object]] = {"samples": 4, "sampler_options": "n_startup_trials=2", "storage": "none"}
    options: OptunaOptions

    wanted: tuple[Objective, ...]
    sampling: Sampling
    mirror: Mirror | None
    archs: dict[int, Architecture]
    """Those that are outstanding, by the number of their trial of Optuna."""
    places: dict[int, int]
    """By number of Optuna, which architecture of the search it is, from 0."""
    onward: deque[tuple[int, int, int]]
    """Trainings that go on: number of Optuna, which budget comes next, trial whose state is kept."""
    asked: int
    archive: list[FrontPoint]
    """Of several objectives, those that no other beats, in the order of telling."""
    best: tuple[int, float, Architecture] | None
    """Which budget (the last is the largest), the first objective, and who has it."""
    failure: str

    @property
    def uses_supernet(self) -> bool:
        return False

    @property
    def resumes(self) -> bool:
        return self.options.pruner != "none"

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        given = self.options
        self.wanted = parse_objectives(ctx, given.objectives or (ctx.task.metrics[0].name,))
        self._check()
        self.sampling = Sampling(
            Parameters(ctx.space, given.operations == "integer"),
            (given.sampler, named.parsed("sampler", given.sampler, given.sampler_options)),
            (given.pruner, named.parsed("pruner", given.pruner, given.pruner_options)),
            [o.direction for o in self.wanted],
            ctx.seed,
        )
        self.archs, self.places, self.onward = {}, {}, deque()
        self.asked, self.archive, self.best, self.failure = 0, [], None, ""
        self.mirror = self._mirror()

    def _check(self) -> None:
        given = self.options
        several = len(self.wanted) > 1
        if several and given.sampler in named.SINGLE:
            raise SpacecError(Diagnostic("E0868", f"the sampler '{given.sampler}' has one objective, not several"))
        if several and given.pruner != "none":
            raise SpacecError(Diagnostic("E0868", "Optuna's pruners judge one objective, not several"))
        if given.pruner != "none" and self.wanted[0].cost:
            raise SpacecError(Diagnostic("E0868", "a pruner needs a metric, and the objective is a cost"))
        if given.pruner != "none" and not self.budgets:
            headline = f"the pruner '{given.pruner}' needs budgets: epochs after which a trial reports its metric"
            raise SpacecError(Diagnostic("E0868", headline, help="-o budgets=1,3,9"))
        if any(a >= b for a, b in zip(given.budgets, given.budgets[1:], strict=False)):
            raise SpacecError(Diagnostic("E0868", f"the budgets {_listed(given.budgets)} do not ascend"))

    @property
    def budgets(self) -> tuple[int, ...]:
        """Epochs at which a trial reports. A pruner without any gets every epoch of a training."""
        if self.options.budgets or self.options.pruner == "none" or isinstance(self.ctx.task, Tabular):
            return self.options.budgets
        return tuple(range(1, self.ctx.train_config.epochs + 1))

    def propose(self, n: int) -> Sequence[Trial]:
        most = self.options.samples or self.ctx.config.trials or SAMPLES
        found: list[Trial] = []
        while self.onward and len(found) < n:
            number, rung, kept = self.onward.popleft()
            found.append(self._trial(number, rung, kept))
        while len(found) < n and self.asked < most and not self.sampling.ended:
            number, arch = self.sampling.ask()
            self.archs[number], self.places[number] = arch, self.asked
            self.asked += 1
            if self.mirror is not None:
                parameters = self.sampling.parameters
                told = parameters.params(arch), parameters.all_of(arch)
                self.mirror.start(self.places[number], *told, arch.text())
            found.append(self._trial(number, 0))
        return found

    def _trial(self, number: int, rung: int, resume: int | None = None) -> Trial:
        budgets = self.budgets
        budget = budgets[rung] if budgets else None
        keep = rung < len(budgets) - 1
        return Trial(
            self.archs[number], "standalone", budget, keep=keep, resume=resume, tag={"optuna": number, "rung": rung}
        )

    def observe(self, results: Sequence[TrialResult]) -> None:
        for result in results:
            self._told(result, int(result.trial.tag["optuna"]), int(result.trial.tag["rung"]))

    def _told(self, result: TrialResult, number: int, rung: int) -> None:
        budgets = self.budgets
        told = [] if result.failed else [o.value(self.ctx, result) for o in self.wanted]
        found = [value for value in told if value is not None]
        if len(found) < len(self.wanted):
            self.failure = self.failure or result.error
            self._end(number, None, error=result.error)
            return
        self._note(rung, found, result)
        if not budgets:
            self._end(number, found)
            return
        pruned = False
        if len(self.wanted) == 1:
            pruned = self.sampling.report(number, budgets[rung], found[0])
            if self.mirror is not None:
                self.mirror.report(self.places[number], budgets[rung], found[0])
        if rung == len(budgets) - 1:
            self._end(number, found)
        elif pruned:
            self._end(number, found, pruned=True)
        else:
            self.onward.append((number, rung + 1, result.number))

    def _note(self, rung: int, found: list[float], result: TrialResult) -> None:
        """The best is among those trained longest."""
        sign, arch = 1.0 if self.wanted[0].direction == "max" else -1.0, result.trial.arch
        if self.best is None or (rung, sign * found[0]) > (self.best[0], sign * self.best[1]):
            self.best = rung, found[0], arch
        if len(self.wanted) > 1 and rung == max(0, len(self.budgets) - 1):
            values = dict(zip((o.name for o in self.wanted), found, strict=True))
            new, point = FrontPoint(arch, result.number, values), self._point(values)
            if not any(dominates(self._point(p.values), point) for p in self.archive):
                self.archive = [p for p in self.archive if not dominates(point, self._point(p.values))] + [new]

    def _point(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """Less is better."""
        return minimised([values[o.name] for o in self.wanted], [o.direction for o in self.wanted])

    def _end(self, number: int, found: list[float] | None, pruned: bool = False, error: str = "") -> None:
        place = self.places.pop(number)
        del self.archs[number]
        self.sampling.tell(number, None if pruned else found, pruned)
        if self.mirror is not None:
            self.mirror.end(place, found, pruned, error)

    def derive(self) -> Architecture:
        """The best in the first objective, of those trained longest. E0821 where every trial failed."""
        if self.best is None:
            raise no_trial_succeeded(self.asked, self.failure)
        return self.best[2]

    def front(self) -> Front | None:
        """Of several objectives, the architectures that no other beats, best in the first one first."""
        points = sorted(self.archive, key=lambda p: (self._point(p.values), p.number))
        return Front(self.wanted, tuple(points)) if len(self.wanted) > 1 else None

    def state_dict(self) -> dict[str, Any]:
        return {
            "study": self.sampling.state(),
            "outstanding": {n: (self.places[n], arch.text()) for n, arch in self.archs.items()},
            "onward": [list(row) for row in self.onward],
            "asked": self.asked,
            "archive": [(p.arch.text(), p.number, dict(p.values)) for p in self.archive],
            "best": None if self.best is None else (*self.best[:2], self.best[2].text()),
            "failure": self.failure,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        read = self.ctx.space.architecture
        self.sampling.load(state["study"])
        self.archs = {int(n): read(text) for n, (_, text) in state["outstanding"].items()}
        self.places = {int(n): int(place) for n, (place, _) in state["outstanding"].items()}
        self.onward = deque((int(n), int(rung), int(kept)) for n, rung, kept in state["onward"])
        self.asked, self.failure = int(state["asked"]), str(state["failure"])
        self.archive = [FrontPoint(read(text), int(n), dict(values)) for text, n, values in state["archive"]]
        best = state["best"]
        self.best = None if best is None else (int(best[0]), float(best[1]), read(best[2]))

    def _mirror(self) -> Mirror | None:
        where, run_dir = self.options.storage, self.ctx.run_dir
        if where == "run":
            where = "none" if run_dir is None else f"sqlite:///{run_dir / FILE}"
        if where == "none" or not self.ctx.ranks.leads:
            return None
        own = " ".join(filter(None, (self.ctx.space.name, run_dir.name if run_dir else "", self.ctx.run_name)))
        about = {"space": self.ctx.space.digest, "task": self.ctx.task.name, "seed": self.ctx.seed}
        names = [o.name for o in self.wanted]
        name, directions = self.options.study or own, self.sampling.directions
        return Mirror(open_storage(where), name, directions, names, key_of(run_dir), about)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
