"""Optuna's samplers and pruners by name, with options as text: ``n_startup_trials=5,multivariate=true``.

An option is a keyword of the class's constructor. Its value is a number, ``true``, ``false``, ``none`` or a text.
``seed`` is the search's.
"""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.search.seeds import stable_seed

SAMPLERS = {
    "tpe": "TPESampler",
    "gp": "GPSampler",
    "cma-es": "CmaEsSampler",
    "nsga-ii": "NSGAIISampler",
    "nsga-iii": "NSGAIIISampler",
    "qmc": "QMCSampler",
    "random": "RandomSampler",
    "brute-force": "BruteForceSampler",
}
PRUNERS = {
    "none": "NopPruner",
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "successive-halving": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
    "threshold": "ThresholdPruner",
    "patient": "PatientPruner",
    "wilcoxon": "WilcoxonPruner",
}
SINGLE = ("cma-es",)
"""Samplers of one objective only."""
_OWN = ("seed", "independent_sampler")


def sampler(name: str, options: Mapping[str, Any], seed: int, number: int) -> BaseSampler:
    """The sampler of trial ``number``. It is made anew for each, so that all that it knows is the study.

    A quasi-random sequence is one sequence: its seed is the search's, and only what it does not cover is drawn with
    the trial's own.
    """
    cls = getattr(optuna.samplers, SAMPLERS[name])
    own = stable_seed(seed, "optuna", number) % (1 << 32)
    more: dict[str, Any] = {"seed": own}
    if name == "qmc":
        shared = stable_seed(seed, "optuna") % (1 << 32)
        more = {"seed": shared, "independent_sampler": optuna.samplers.RandomSampler(seed=own)}
    return _made("sampler", name, cls, {**more, **options})  # type: ignore[no-any-return]  # of the class named


def pruner(name: str, options: Mapping[str, Any]) -> BasePruner:
    """A pruner that has seen nothing: it judges by the study alone."""
    given = {"wrapped_pruner": None, **options} if name == "patient" else dict(options)
    return _made("pruner", name, getattr(optuna.pruners, PRUNERS[name]), given)  # type: ignore[no-any-return]  # as above


def parsed(kind: str, name: str, text: str) -> dict[str, Any]:
    """``a=1,b=true`` as keywords of a sampler or pruner; E0865 for one that it does not have, or no ``name=value``."""
    cls = getattr(optuna.samplers, SAMPLERS[name]) if kind == "sampler" else getattr(optuna.pruners, PRUNERS[name])
    known = [p for p in inspect.signature(cls.__init__).parameters if p not in ("self", "args", "kwargs", *_OWN)]
    found: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        option, sign, value = (p.strip() for p in part.partition("="))
        if not sign:
            raise SpacecError(Diagnostic("E0865", f"'{part}' of the {kind} '{name}' is not of the form name=value"))
        if option not in known:
            near, note = nearest(option, known), f"its options are {', '.join(known)}" if known else "it has none"
            headline = f"the {kind} '{name}' has no option '{option}'"
            mend = f"did you mean '{near}'?" if near else ""
            raise SpacecError(Diagnostic("E0865", headline, notes=(note,), help=mend))
        found[option] = _value(value)
    return found


def _value(text: str) -> Any:
    if text.lower() == "none":
        return None
    try:
        return json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except ValueError:
        return text


def _made(kind: str, name: str, cls: Any, options: Mapping[str, Any]) -> Any:
    try:
        with quiet():
            return cls(**options)
    except (TypeError, ValueError) as error:
        raise SpacecError(Diagnostic("E0865", f"the {kind} '{name}' refuses its options: {error}")) from error
    except ImportError as error:
        headline = f"the {kind} '{name}' of Optuna needs a package that is not installed"
        note, mend = str(error).strip().splitlines()[0], 'pip install "spacec-optuna[samplers]"'
        raise SpacecError(Diagnostic("E0720", headline, notes=(note,), help=mend)) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's notes that a class is new, and its log of studies made; a search says what it does itself."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
