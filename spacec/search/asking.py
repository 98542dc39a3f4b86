"""What a strategy asks for, checked before it is recorded: a plugin's mistake is told of by its name, not recorded.

Guarantees trials that the record gives back as they were, so that a search that resumes can compare them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.strategy import Trial
from spacec.space.architecture import Architecture

_MOST = 2**31 - 1
"""What any store keeps as an integer."""


def checked(strategy: str, digest: str, proposed: object, room: int, first: int) -> list[Trial]:
    """The trials that ``strategy`` proposed for ``room`` places, the first of which is number ``first``.

    ``digest`` is that of the space.
    Tags are then as they read back from JSON. Raises E0824 for whatever is no such proposal.
    """
    if not isinstance(proposed, Sequence):
        raise _wrong(strategy, f"{type(proposed).__name__} in the place of a list of trials")
    if len(proposed) > room:
        raise _wrong(strategy, f"{len(proposed)} trials where there is room for {room}")
    return [_checked(strategy, digest, trial, first + place) for place, trial in enumerate(proposed)]


def _checked(strategy: str, digest: str, trial: Any, number: int) -> Trial:
    if not isinstance(trial, Trial):
        raise _wrong(strategy, f"trial {number} is no Trial: it is of type {type(trial).__name__}")
    if not isinstance(trial.arch, Architecture):
        raise _wrong(strategy, f"arch of trial {number} is no Architecture: it is of type {type(trial.arch).__name__}")
    if trial.arch.digest != digest:
        raise _wrong(strategy, f"arch of trial {number} is of another space: {trial.arch.text()}")
    for name in ("budget", "batches"):
        _integer(strategy, f"{name} of trial {number}", getattr(trial, name), _MOST)
    _integer(strategy, f"resume of trial {number}, an earlier trial,", trial.resume, number - 1)
    for name, value in (("weights", trial.weights), ("split", trial.split)):
        if not isinstance(value, str):
            raise _wrong(strategy, f"{name} of trial {number} is no text")
    try:
        tag = json.loads(json.dumps(trial.tag, allow_nan=False))  # a NaN is not equal to itself
    except (TypeError, ValueError, RecursionError) as error:
        raise _wrong(strategy, f"tag of trial {number} is not JSON: {error}") from error
    return replace(trial, keep=bool(trial.keep), tag=tag)


def _integer(strategy: str, what: str, value: object, most: int) -> None:
    if value is not None and not (isinstance(value, int) and 0 <= value <= most):
        raise _wrong(strategy, f"{what} is {value!r}")


def _wrong(strategy: str, what: str) -> SpacecError:
    headline = f"strategy '{strategy}' asks for what is no trial"
    return SpacecError(Diagnostic("E0824", headline, notes=(what[:300],)))
