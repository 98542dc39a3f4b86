"""``job.json``: all that a run needs to go on or to be repeated, and nothing that runs code.

A job names what is installed (a task, a strategy, probes, an executor, a benchmark) and states every option of it; it
holds the text of the space and of all files that it uses. What only code can give is named and no more: files of ops,
and data that a Python module defines; whoever resumes the run names them again.

Assumes nothing of a file that is read: whatever is not of the form of a :class:`Recipe` is E0842.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search import files
from spacec.source import Kept, SourceFile

VERSION = 1
"""Of the form of ``job.json``."""

Does = Literal["search", "search and train", "queries", "train"]


@dataclass(frozen=True)
class Grammar:
    """A form of a space, in texts. ``name`` is what messages call its file, ``digest`` that of the space it gives.

    ``files``, ``uses`` and ``tables`` are those of :class:`spacec.source.Kept`, as JSON can say it: each file with
    its ``name`` and ``text``, each use as ``[user, what stands there, file]``.
    """

    name: str
    text: str
    header: Mapping[str, Any]
    digest: str
    where: Sequence[str] = ()
    files: Sequence[Mapping[str, str]] = ()
    uses: Sequence[Sequence[int | str]] = ()
    tables: Mapping[str, int] = field(default_factory=dict)
    ops: Sequence[str] = ()
    """Python files of ops: their paths, never their text."""

    def kept(self) -> Kept:
        """The files. Raises ``LookupError``, ``TypeError`` or ``ValueError`` where they do not fit together."""
        texts = tuple(SourceFile(str(f["name"]), str(f["text"])) for f in self.files)
        uses = {(int(user), str(path)): int(place) for user, path, place in self.uses}
        if not all(0 <= place < len(texts) for place in (*uses.values(), *self.tables.values())):
            raise ValueError("a use leads to no file")
        return Kept(texts, uses, dict(self.tables))


@dataclass(frozen=True)
class Named:
    """Something installed, with its options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskNamed(Named):
    """A task; ``data`` says that ``name`` is a folder of images, or an object in Python code (``module:attr``)."""

    data: bool = False

    @property
    def is_code(self) -> bool:
        return self.data and ":" in self.name and not Path(self.name).is_dir()


@dataclass(frozen=True)
class Asked:
    """What is asked of a benchmark in each of ``runs`` searches. ``path`` is that of the file it reads, if any."""

    name: str
    which: Mapping[str, str] = field(default_factory=dict)
    metric: str = ""
    path: str | None = None
    runs: int = 1


@dataclass(frozen=True)
class Recipe:
    """What one command line does. A training has an ``architecture`` and ``train``, a search all else."""

    does: Does
    grammar: Grammar
    command: str = ""
    """The command line that started it, and on lines of their own those that gave it more trials or runs."""
    task: TaskNamed | None = None
    benchmark: Asked | None = None
    strategy: Named | None = None
    search: Mapping[str, Any] | None = None
    train: Mapping[str, Any] | None = None
    compare: bool = True
    probes: Sequence[Named] = ()
    executor: Named = Named("here")
    architecture: str = ""
    version: int = VERSION


def write_job(run_dir: Path, job: Recipe) -> None:
    """Keep ``job`` in a directory that is there."""
    files.write_json(run_dir / files.JOB, asdict(job))


def read_job(run_dir: Path) -> Recipe | None:
    """The job of a run directory; ``None`` where none was kept, as by a spacec of before.

    Raises :class:`SpacecError`: E0842 for a file that is not one, E0843 for one of a spacec to come.
    """
    path = run_dir / files.JOB
    if not path.is_file():
        return None
    with files.storage_errors(path, "read"):
        size = path.stat().st_size
    if size > MAX_BYTES:
        raise _damaged(path, f"it has more than {MAX_BYTES // 1_000_000} MB")
    told = files.read_json(path)
    if isinstance(told, dict) and isinstance(told.get("version"), int) and told["version"] > VERSION:
        headline = f"'{path}' is of version {told['version']}, this spacec reads version {VERSION}"
        raise SpacecError(Diagnostic("E0843", headline, help="resume the run with the spacec that started it"))
    try:
        job: Recipe = _read(Recipe, told, "the job")
        job.grammar.kept()
        _check(job)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    return job


MAX_BYTES = 100_000_000
"""The most that a job is: the space's text and the files it uses, which have limits of their own."""


def _damaged(path: Path, why: str) -> SpacecError:
    return SpacecError(Diagnostic("E0842", f"'{path}' is not what a run wrote", notes=(why,)))


def _check(job: Recipe) -> None:
    """A job has what its kind needs."""
    needed = {
        "search": ("task", "strategy", "search", "train"),
        "search and train": ("task", "strategy", "search", "train"),
        "queries": ("benchmark", "strategy", "search"),
        "train": ("task", "train", "architecture"),
    }[job.does]
    for name in needed:
        if not getattr(job, name):
            raise ValueError(f"a job that does '{job.does}' has no {name}")


def _read(hint: Any, value: Any, what: str) -> Any:
    """``value``, as JSON gives it, as a value of ``hint``; ``ValueError`` says what it is not."""
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and hasattr(hint, "__dataclass_fields__"):
        return _object(hint, value, what)
    if hint is Any:
        return value
    if origin in (Union, UnionType):
        return _either(arguments, value, what)
    if origin is Literal:
        if value in arguments:
            return value
    elif hint in (int, float, str, bool):
        if type(value) is hint:
            return value
    elif origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if isinstance(value, dict):
            return {name: _read(arguments[1], v, f"'{name}' of {what}") for name, v in value.items()}
    elif isinstance(value, list):
        return tuple(_read(arguments[0], v, f"a part of {what}") for v in value)
    raise ValueError(f"{what} is {_shown(value)}")


def _object(cls: Any, value: Any, what: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {_shown(value)}")
    hints = get_type_hints(cls)
    known = {f.name for f in fields(cls)}
    if unknown := sorted(set(value) - known):
        raise ValueError(f"{what} has '{unknown[0]}', which no job has")
    return cls(**{name: _read(hints[name], v, f"'{name}' of {what}") for name, v in value.items()})


def _either(hints: Sequence[Any], value: Any, what: str) -> Any:
    if value is None and type(None) in hints:
        return None
    wanted = [hint for hint in hints if hint is not type(None)]
    if len(wanted) == 1:
        return _read(wanted[0], value, what)
    for hint in wanted:
        if type(value) is hint:
            return value
    raise ValueError(f"{what} is {_shown(value)}")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:57]}..."
