"""The study as people see it: a copy in an Optuna storage, which Optuna's dashboard and tools open.

The search reads nothing from it that it decides by, so nothing in a storage can change or break a search. A trial is
written when it is asked for, after each report and when it has ended, under the number that it has in the search;
writing again what is there changes nothing, so a run that was killed and goes on mends what it had not written. A trial
in the storage that the search, going on, does not have (another one took its number) is told as failed there, and its
number is added to the study's attribute ``abandoned``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search import files
from spacec_optuna import named

FILE = "optuna.sqlite3"
KEY = "optuna.json"
"""In the run directory: what tells this run's studies from those of others."""
_RUN, _NUMBER, _ABANDONED = "spacec run", "spacec trial", "abandoned"


class Mirror:
    """``name`` of the study in ``storage``; made if it is not there, and gone on with if it is this run's.

    Raises :class:`SpacecError`: E0866 for the study of another run, E0867 for a storage that refuses.
    """

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        directions: Sequence[StudyDirection],
        metrics: Sequence[str],
        key: str,
        about: Mapping[str, Any],
    ) -> None:
        self.storage = storage
        self.name = name
        with refusals():
            known = {s.study_name: s for s in storage.get_all_studies()}
            if name not in known:
                self.id = storage.create_new_study(directions, name)
                storage.set_study_system_attr(self.id, "study:metric_names", list(metrics))
                for attribute, value in {_RUN: key, **about}.items():
                    storage.set_study_user_attr(self.id, attribute, value)
            elif known[name].user_attrs.get(_RUN) == key:
                self.id = storage.get_study_id_from_name(name)
            else:
                raise _taken(name)
            trials = storage.get_all_trials(self.id, deepcopy=False)
        self.trials: dict[int, FrozenTrial] = {t.user_attrs[_NUMBER]: t for t in trials if _NUMBER in t.user_attrs}
        """What the storage has, by number in the search; of several, the last."""

    def start(self, number: int, params: Mapping[str, Any], found: Mapping[str, BaseDistribution], text: str) -> None:
        """A trial of the search runs."""
        there = self.trials.get(number)
        if there is not None and dict(there.params) == dict(params):
            return
        with refusals():
            if there is not None:
                self._abandon(there)
            trial = create_trial(
                state=TrialState.RUNNING,
                params=dict(params),
                distributions=dict(found),
                user_attrs={_NUMBER: number, "architecture": text},
            )
            self.trials[number] = self.storage.get_trial(self.storage.create_new_trial(self.id, trial))

    def report(self, number: int, step: int, value: float) -> None:
        """A value on the way."""
        trial = self.trials[number]
        if not trial.state.is_finished():
            with refusals():
                self.storage.set_trial_intermediate_value(trial._trial_id, step, value)

    def end(self, number: int, values: Sequence[float] | None, pruned: bool, error: str) -> None:
        """A trial has ended: with its values, pruned, or (neither) failed."""
        trial = self.trials[number]
        if trial.state.is_finished():
            return
        state = TrialState.PRUNED if pruned else TrialState.FAIL if values is None else TrialState.COMPLETE
        with refusals():
            if error:
                self.storage.set_trial_user_attr(trial._trial_id, "error", error)
            self.storage.set_trial_state_values(trial._trial_id, state, values)
            self.trials[number] = self.storage.get_trial(trial._trial_id)

    def _abandon(self, trial: FrozenTrial) -> None:
        if not trial.state.is_finished():
            self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        told = self.storage.get_study_user_attrs(self.id).get(_ABANDONED, [])
        self.storage.set_study_user_attr(self.id, _ABANDONED, [*told, trial.number])


def open_storage(where: str) -> BaseStorage:
    """A database by its SQLAlchemy URL, or a journal file by its path. Raises E0867 where it does not open."""
    if "://" not in where:
        with refusals():
            return JournalStorage(JournalFileBackend(where))
    with refusals():
        url = make_url(where)
        if url.password:
            raise SpacecError(
                Diagnostic(
                    "E0867",
                    "the storage's URL has a password, and a run keeps its options in its record",
                    help="leave it out, and give it by the database's own means (for PostgreSQL ~/.pgpass)",
                )
            )
        lite = url.get_backend_name() == "sqlite"
        return RDBStorage(where, engine_kwargs={"poolclass": NullPool} if lite else None)


def key_of(run_dir: Path | None) -> str:
    """What tells a run from others; of a run directory, always the same."""
    if run_dir is None:
        return uuid.uuid4().hex
    path = run_dir / KEY
    if not path.exists():
        files.write_json(path, {"run": uuid.uuid4().hex})
    return str(files.read_json(path)["run"])


@contextmanager
def refusals() -> Iterator[None]:
    """What a storage refuses in the body is E0867."""
    try:
        with named.quiet():
            yield
    except (OptunaError, SQLAlchemyError, OSError, ImportError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        first = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        raise files.StorageError(Diagnostic("E0867", f"Optuna's storage refused: {first}")) from error


def _taken(name: str) -> SpacecError:
    headline = f"the storage has a study '{name}' of another run"
    return SpacecError(Diagnostic("E0866", headline, help="choose another name: -o study=NAME"))
