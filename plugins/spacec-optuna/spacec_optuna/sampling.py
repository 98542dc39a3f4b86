"""The study that samplers and pruners see: in memory, and a function of the seed and of what was told.

Each trial is suggested by a sampler made anew with a seed of its own (:func:`spacec_optuna.named.sampler`), and each
question whether to prune goes to a pruner made anew. So the study is all there is to know, and one that is restored
goes on bit for bit. CMA-ES keeps its state pickled in the study, and a pickle can run code: it is left out of what is
saved, and computed again from the trials in the order in which they were asked and told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from spacec.search.seeds import stable_seed
from spacec.space.architecture import Architecture
from spacec_optuna import named
from spacec_optuna.parameters import Parameters

NAME = "search"
_PICKLED = "cma:"
_FIXED = "fixed_params"


class _Study(optuna.Study):
    """Notes that a sampler has nothing left to suggest, which Optuna's own loop would obey."""

    ended = False

    def stop(self) -> None:
        self.ended = True


class Sampling:
    """``sampler`` and ``pruner``: a name, and keywords of its class."""

    def __init__(
        self,
        parameters: Parameters,
        sampler: tuple[str, Mapping[str, Any]],
        pruner: tuple[str, Mapping[str, Any]],
        directions: Sequence[str],
        seed: int,
    ) -> None:
        self.parameters = parameters
        self.sampler = sampler
        self.pruner = pruner
        self.directions = [StudyDirection.MAXIMIZE if d == "max" else StudyDirection.MINIMIZE for d in directions]
        self.seed = seed
        self._begin()

    def _begin(self) -> None:
        self.storage = InMemoryStorage()
        with named.quiet():
            self.id = self.storage.create_new_study(self.directions, NAME)
            self.study = _Study(NAME, self.storage, self._sampler(0), named.pruner(*self.pruner))
        self.count = 0
        self.events: list[int] = []
        """``n`` where trial ``n`` was asked for, ``-1 - n`` where it was told."""

    @property
    def ended(self) -> bool:
        """Whether the sampler has suggested all there is."""
        return self.study.ended

    def ask(self) -> tuple[int, Architecture]:
        """The number of a new trial and its architecture.

        A suggestion that is not valid is told as failed, and the next trial is the valid architecture nearest to it.
        """
        number, chosen = self._asked()
        found = self.parameters.valid(chosen)
        if found is None:
            self.tell(number, None)
            found = self.parameters.repaired(chosen, Random(stable_seed(self.seed, "repair", number)))
            number, _ = self._asked(self.parameters.params(found))
        return number, found

    def report(self, number: int, step: int, value: float) -> bool:
        """Note a value on the way; whether to stop the trial there."""
        trial = self.storage.get_trial_id_from_study_id_trial_number(self.id, number)
        self.storage.set_trial_intermediate_value(trial, step, value)
        self.study.pruner = named.pruner(*self.pruner)
        with named.quiet():
            return self.study.pruner.prune(self.study, self.storage.get_trial(trial))

    def tell(self, number: int, values: Sequence[float] | None, pruned: bool = False) -> None:
        """End a trial: with its values, pruned, or (neither) failed."""
        state = TrialState.PRUNED if pruned else TrialState.FAIL if values is None else TrialState.COMPLETE
        self.study.sampler = self._sampler(number)
        with named.quiet():
            self.study.tell(number, values, state)
        self.events.append(-1 - number)

    def state(self) -> dict[str, Any]:
        """All of the study, without what is pickled."""
        rows = [
            {
                "state": int(t.state),
                "values": t.values,
                "params": dict(t.params),
                "reported": dict(t.intermediate_values),
                "attributes": {k: v for k, v in t.system_attrs.items() if not k.startswith(_PICKLED)},
            }
            for t in self.storage.get_all_trials(self.id, deepcopy=False)
        ]
        attributes = dict(self.storage.get_study_system_attrs(self.id))
        return {"trials": rows, "attributes": attributes, "events": list(self.events), "ended": self.ended}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a :meth:`state`."""
        self._begin()
        if self.sampler[0] == "cma-es":
            self._replay(state)
        else:
            for row in state["trials"]:
                self.storage.create_new_trial(self.id, self._trial(row))
            for name, value in state["attributes"].items():
                self.storage.set_study_system_attr(self.id, name, value)
        self.count, self.events = len(state["trials"]), list(state["events"])
        self.study.ended = bool(state["ended"])

    def _replay(self, state: Mapping[str, Any]) -> None:
        rows = state["trials"]
        for event in state["events"]:
            if event >= 0:
                self._asked(rows[event]["attributes"].get(_FIXED))
                continue
            row, number = rows[-1 - event], -1 - event
            trial = self.storage.get_trial_id_from_study_id_trial_number(self.id, number)
            for step, value in row["reported"].items():
                self.storage.set_trial_intermediate_value(trial, step, value)
            pruned = row["state"] == TrialState.PRUNED
            self.tell(number, None if pruned else row["values"], pruned)
        for number, row in enumerate(rows):
            if row["state"] == TrialState.RUNNING:
                trial = self.storage.get_trial_id_from_study_id_trial_number(self.id, number)
                for step, value in row["reported"].items():
                    self.storage.set_trial_intermediate_value(trial, step, value)

    def _asked(self, fixed: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        number = self.count
        self.study.sampler = self._sampler(number)
        with named.quiet():
            if fixed is not None:
                self.study.enqueue_trial(dict(fixed))
            trial = self.study.ask()
            if fixed is not None:
                _ = trial.relative_params  # a sampler counts a trial as of its generation when it samples for it
            chosen = self.parameters.suggest(trial)
        assert trial.number == number, "the study is this search's alone"
        self.count += 1
        self.events.append(number)
        return number, chosen

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        return named.sampler(self.sampler[0], self.sampler[1], self.seed, number)

    def _trial(self, row: Mapping[str, Any]) -> optuna.trial.FrozenTrial:
        known = {name: d for own in self.parameters.distributions.values() for name, d in own.items()}
        return create_trial(
            state=TrialState(row["state"]),
            values=row["values"],
            params=dict(row["params"]),
            distributions={name: known[name] for name in row["params"]},
            system_attrs=dict(row["attributes"]),
            intermediate_values=dict(row["reported"]),
        )
