"""Data that a user names on the command line: a folder of images, or an object of a module or file.

``--task ./photos`` is a folder; ``--task package.module:attr`` and ``--task ./file.py:attr`` name a torch
``Dataset``, a pair of them (training, test), a :class:`~spacec.search.task.Task` class or value, or a function
without arguments that returns one of these.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from types import ModuleType

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.options import parse_options
from spacec.search.task import Task
from spacec.search.tasks.dataset import dataset_task
from spacec.search.tasks.folder import folder_task


def names_data(text: str) -> bool:
    """Whether ``text`` is of a form that :func:`task_from` takes, rather than the name of an installed task."""
    return ":" in text or "/" in text or "\\" in text or Path(text).is_dir()


def task_from(text: str, options: Mapping[str, object] | None = None) -> Task:
    """The task over the data that ``text`` names.

    Raises :class:`SpacecError` (E0722) where there is no such thing, or nothing that can be a task.
    """
    if Path(text).is_dir():
        return folder_task(Path(text), options)
    place, colon, attribute = text.rpartition(":")
    if not colon or not attribute.isidentifier():
        raise _unusable(f"'{text}' is neither a folder nor of the form 'module:attr' or 'file.py:attr'")
    module = _from_file(Path(place)) if place.endswith(".py") else _import(place)
    if not hasattr(module, attribute):
        near = get_close_matches(attribute, dir(module), 1)
        raise _unusable(f"'{place}' has no '{attribute}'", f"did you mean '{near[0]}'?" if near else "")
    return _as_task(text, getattr(module, attribute), options)


def _as_task(text: str, found: object, options: Mapping[str, object] | None, call: bool = True) -> Task:
    if isinstance(found, Task):
        checked = parse_options(found.Options, {**found.options.describe(), **(options or {})}, f"task '{found.name}'")
        return found.replace_options(**checked.describe()) if options else found
    if isinstance(found, type) and issubclass(found, Task):
        return found(options)
    if hasattr(found, "__getitem__") and hasattr(found, "__len__") and not isinstance(found, type | str):
        train, test = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
        return dataset_task(train, test, options)
    if callable(found) and call:
        return _as_task(text, _call(text, found), options, call=False)
    kind = f"the class {found.__name__}" if isinstance(found, type) else f"of type {type(found).__name__}"
    raise _unusable(f"'{text}' is {kind}, not a data set, a pair of data sets or a task")


def _call(text: str, function: Callable[[], object]) -> object:
    try:
        return function()
    except Exception as error:  # a user's function may raise anything; the report must name it
        raise _unusable(f"'{text}' cannot be called", note=f"{type(error).__name__}: {error}") from error


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # a user's module may raise anything; the report must name it
        raise _unusable(f"'{name}' cannot be imported", note=f"{type(error).__name__}: {error}") from error


def _from_file(path: Path) -> ModuleType:
    """The module of a file, under a name of its own, so that loader workers can find its classes."""
    if not path.is_file():
        raise _unusable(f"there is no file '{path}'")
    name = f"spacec_task_{path.stem}_{blake2b(str(path.resolve()).encode(), digest_size=4).hexdigest()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise _unusable(f"'{path}' is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's file may raise anything; the report must name it
        del sys.modules[name]
        raise _unusable(f"'{path}' cannot be run", note=f"{type(error).__name__}: {error}") from error
    return module


def _unusable(headline: str, help: str = "", note: str = "") -> SpacecError:
    return SpacecError(Diagnostic("E0722", headline, notes=(note,) if note else (), help=help))
