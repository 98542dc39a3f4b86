"""From names and options to what a run works with, and back: the space, the task, the strategy and their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.driver import Again, Session
from spacec.facade import Space
from spacec.hooks import installed
from spacec.hooks.local import Source
from spacec.job.recipe import Asked, Does, Grammar, Named, Recipe, TaskNamed
from spacec.search import files
from spacec.search.options import outside
from spacec.source import SourceFile

if TYPE_CHECKING:
    from spacec.search.config import SearchConfig
    from spacec.search.executor import Executor
    from spacec.search.probe import Probe
    from spacec.search.ranks import Ranks
    from spacec.search.strategy import Strategy
    from spacec.search.task import Task
    from spacec.search.trainer import TrainConfig
    from spacec.space.architecture import Architecture


@dataclass(frozen=True)
class Parts:
    """What a run works with. ``task`` is a benchmark in the place of a task where the run asks one."""

    space: Space
    task: Task
    make_strategy: StrategyOf | None = None
    search: SearchConfig | None = None
    train: TrainConfig | None = None
    probes: Sequence[Probe] = ()
    executor: Executor | None = None
    architecture: Architecture | None = None
    ranks: Ranks | None = None
    """The processes that run it together; none for this one alone."""


@dataclass(frozen=True)
class StrategyOf:
    """Makes a fresh strategy by each call."""

    cls: Any
    options: Any

    def __call__(self) -> Strategy:
        made: Strategy = self.cls(self.options)
        return made


@dataclass(frozen=True)
class Code:
    """What a recipe only names, and whoever takes a run up gives again; and what may have moved since.

    ``ops``: a user's own modules, or Python files of them. ``libraries``: folders in which a run without a recipe finds
    what its space uses. ``task``: the data of the run, in place of what its recipe names. ``path``: the benchmark's
    file, likewise. ``device``: where to compute now.
    """

    ops: Sequence[Source] = ()
    libraries: Sequence[str | Path] = ()
    task: str | None = None
    path: str | None = None
    device: str | None = None


def check_outside(parts: Parts, run_dir: Path) -> None:
    """Raise E0875 where the run in ``run_dir`` names servers to ask or files to write, by an option of a part."""
    strategy = parts.make_strategy
    named = [("strategy", strategy.options)] if strategy is not None else []
    named += [("executor", parts.executor.options)] if parts.executor is not None else []
    named += [(f"probe '{probe.name}'", probe.options) for probe in parts.probes]
    found = tuple(f"{what}: {name} = {value!r}" for what, told in named for name, value in outside(told).items())
    if found:
        headline = f"the run in '{run_dir}' names what is outside it"
        help = "add --outside if you trust whoever made the run"
        raise SpacecError(Diagnostic("E0875", headline, notes=found, help=help))


def grammar_of(space: Space, ops: Sequence[str]) -> Grammar:
    """What loads ``space`` again. ``ops`` are the files of ops that it was loaded with."""
    again = space.make_narrower
    assert isinstance(again, Again), "every space is made by a session"
    kept = again.kept_files(space.narrowed_by)
    return Grammar(
        name=again.source.name,
        text=space.text,
        header=dict(space.header),
        digest=space.digest,
        where=tuple(source.text for source in space.narrowed_by),
        files=tuple({"name": source.name, "text": source.text} for source in kept.files),
        uses=tuple((user, path, place) for (user, path), place in kept.uses.items()),
        tables=dict(kept.tables),
        ops=tuple(str(Path(file).absolute()) for file in ops),
    )


def task_named(name: str, texts: Mapping[str, str], task: Task) -> TaskNamed:
    """What makes ``task`` again, which a user named so with the options ``texts``."""
    from spacec.search.tasks.named import names_data

    if not names_data(name):
        return TaskNamed(name, task.options.describe())
    return TaskNamed(str(Path(name).absolute()) if Path(name).is_dir() else name, dict(texts), data=True)


def parts_of(job: Recipe, run_dir: Path, code: Code, task: Task | None = None) -> Parts:
    """What the run in ``run_dir`` works with, made of its recipe by what is installed now; ``task`` is one at hand.

    Raises :class:`SpacecError`: E0844 for code or data that have to be named again, E0812 where the text gives
    another space now, and what names and options that are not (or no longer) installed raise.
    """
    from spacec.search.options import parse_options
    from spacec.search.trainer import TrainConfig

    space = open_space(job.grammar, run_dir, code)
    if job.benchmark is not None:
        task = benchmark_of(job.benchmark, space, run_dir, code)
    elif task is None:
        task = task_of(job.task, run_dir, code)
    train = None if job.train is None else parse_options(TrainConfig, _on(job.train, code), "training")
    if job.does == "train":
        return Parts(space, task, train=train, architecture=space.architecture(job.architecture))
    return Parts(space, task, train=train, **_searching(job, code))


def _searching(job: Recipe, code: Code) -> dict[str, Any]:
    """The parts of a search that a training has not."""
    from spacec.search.config import SearchConfig
    from spacec.search.options import parse_options

    assert job.strategy is not None, "a recipe of a search has a strategy, which reading checks"
    assert job.search is not None, "and its settings"
    cls: Any = installed().find("spacec_strategies", job.strategy.name).load()
    options = parse_options(cls.Options, job.strategy.options, f"strategy '{job.strategy.name}'")
    return {
        "make_strategy": StrategyOf(cls, options),
        "search": parse_options(SearchConfig, _on(job.search, code), "the search"),
        "probes": tuple(installed().find("spacec_diagnostics", p.name).load()(p.options) for p in job.probes),
        "executor": executor_of(job.executor),
    }


def _on(settings: Mapping[str, Any], code: Code) -> Mapping[str, Any]:
    return settings if code.device is None else {**settings, "device": code.device}


def executor_of(named: Named) -> Executor:
    """The executor of a recipe."""
    made: Executor = installed().find("spacec_executors", named.name).load()(named.options)
    return made


def open_space(grammar: Grammar, run_dir: Path, code: Code) -> Space:
    """The space of a run, from the texts that it kept. Raises E0844 and E0812 as :func:`parts_of`."""
    if grammar.ops and not code.ops:
        names = ", ".join(grammar.ops)
        headline = f"the space of '{run_dir}' has ops of your own, and code is not taken from a run"
        help = "name them again: " + " ".join(f"--ops {file}" for file in grammar.ops)
        raise SpacecError(Diagnostic("E0844", headline, notes=(f"it was loaded with {names}",), help=help))
    session = replace(Session.default(code.ops, code.libraries), kept=grammar.kept())
    where = tuple(SourceFile("--where", text) for text in grammar.where)
    space = session.compile(SourceFile(str(run_dir / files.SPACE), grammar.text), grammar.header, where=where)
    if space.digest != grammar.digest:
        headline = f"'{run_dir}' searched another form of its space: {grammar.digest[:8]} then, {space.digest[:8]} now"
        raise SpacecError(Diagnostic("E0812", headline, help="use the plugins, ops and libraries of then"))
    return space


def task_of(named: TaskNamed | None, run_dir: Path, code: Code) -> Task:
    """The task of a recipe; data that only code gives, or that are gone, have to be named again (E0844)."""
    from spacec.search.tasks.named import names_data, task_from

    assert named is not None, "a recipe without a benchmark has a task, which reading checks"
    if code.task is not None and names_data(code.task):
        return task_from(code.task, named.options)
    if named.is_code or (named.data and not Path(named.name).is_dir()):
        why = "code is not taken from a run" if named.is_code else "that is no folder now"
        headline = f"the data of '{run_dir}' are '{named.name}', and {why}"
        raise SpacecError(Diagnostic("E0844", headline, help=f"name them again: --task {named.name}"))
    if named.data:
        return task_from(named.name, named.options)
    name = code.task or named.name
    if name not in installed().names("spacec_tasks"):
        headline = f"cannot take up '{run_dir}': its task '{name}' is not installed"
        raise SpacecError(Diagnostic("E0817", headline, help="name its data with --task"))
    task: Task = installed().find("spacec_tasks", name).load()(named.options)
    return task


def benchmark_of(asked: Asked, space: Space, run_dir: Path, code: Code) -> Task:
    """The benchmark of a recipe in the place of a task."""
    from spacec.search.tabular import Tabular

    path = code.path or asked.path
    if path is not None and not Path(path).exists():
        headline = f"the benchmark of '{run_dir}' reads '{path}', which is not there"
        raise SpacecError(Diagnostic("E0844", headline, help="say where it is: --file PATH"))
    return Tabular(space.benchmark(asked.name, path), asked.which, asked.metric)


def recipe_of(
    parts: Parts, ops: Sequence[str], command: str, asked: TaskNamed | Asked, again: bool = False, **more: Any
) -> Recipe:
    """What makes ``parts`` again. ``again``: the pick of a search is retrained; ``more`` as :class:`Recipe` has it."""
    grammar = grammar_of(parts.space, ops)
    named: dict[str, Any] = {"benchmark" if isinstance(asked, Asked) else "task": asked}
    train = None if parts.train is None else asdict(parts.train)
    if parts.architecture is not None:
        return Recipe("train", grammar, command, train=train, architecture=parts.architecture.text(), **named, **more)
    assert parts.make_strategy is not None, "a search has a strategy"
    assert parts.search is not None, "and its settings"
    strategy = Named(parts.make_strategy.cls.name, parts.make_strategy.options.describe())
    probes = tuple(Named(p.name, p.options.describe()) for p in parts.probes)
    executor = parts.executor
    where = Named("here") if executor is None else Named(executor.name, executor.options.describe())
    does: Does = "queries" if isinstance(asked, Asked) else "search and train" if again else "search"
    return Recipe(
        does, grammar, command, strategy=strategy, search=asdict(parts.search), train=train,
        probes=probes, executor=where, **named, **more,
    )  # fmt: skip
