"""Optimised forms of a supernet's graph: specialised to the candidates that run, rewritten by a schedule's passes.

Forms run on the plain supernet's own modules, so weights, state and their names are the same. A form is made when
its candidates first run, and the most recent are kept. Masks under which few candidates run, as when single paths are
sampled, take the plain graph: making a form for each of them would cost more than it saves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from spacec.lower.blueprint import Blueprint, check_untraced, make_blueprint
from spacec.lower.fitted import ElasticLayers
from spacec.lower.joined import channels_joined
from spacec.lower.kernels.chosen import kernels_of
from spacec.lower.layers import Call
from spacec.lower.layout import foreign_ops
from spacec.lower.machine import Machine
from spacec.lower.masks import Selection
from spacec.lower.regions import Compiler, Regions
from spacec.lower.schedule import PLAIN, Schedule
from spacec.passes.base import run
from spacec.passes.specialise import Specialise, UnfitError

FORMS_KEPT = 8
"""Forms cached per supernet: training and evaluation, taps and the stages of a search need few."""


def make_machine(
    blueprint: Blueprint,
    modules: Mapping[str, nn.Module],
    schedule: Schedule = PLAIN,
    compiler: Compiler | None = None,
) -> Machine:
    """What runs the nodes of ``blueprint`` on ``modules``, by parameter key, in the layout and by the kernels of
    ``schedule``; its regions by ``compiler``, where one is given."""
    calls = {i: found.bind() for i, found in blueprint.lowered.items() if isinstance(found, Call)}
    if schedule.passes:
        concats = (i for i in calls if isinstance(c := blueprint.lowered[i], Call) and c.style == "concat")
        calls.update(dict.fromkeys(concats, channels_joined))
    foreign = frozenset() if schedule.layout == "contiguous" else foreign_ops(blueprint)
    kernels = kernels_of(schedule)
    return Machine(
        blueprint,
        _Shared(calls),
        modules,
        ElasticLayers(blueprint, modules),
        kernels,
        schedule.layout,
        foreign,
        schedule.generated,
        None if compiler is None else Regions(blueprint, modules, compiler, kernels is not None),
    )


@dataclass
class Optimised:
    """The forms of one supernet, by what runs and what is kept."""

    plain: Machine
    """Runs the plain graph, by the schedule's kernels."""
    schedule: Schedule
    compiler: Compiler | None = None
    """Compiles the regions of every form, where the schedule asks for it."""
    forms: OrderedDict[tuple[object, ...], Machine] = field(default_factory=OrderedDict)

    def form(self, selections: Mapping[tuple[str, str], Selection], keep: frozenset[str]) -> Machine:
        """The machine for these selections; the plain one where no form pays, or none can be made."""
        chooses = self.plain.blueprint.chooses.values()
        running = tuple(selections[c.slot, c.instance].run for c in chooses)
        key = (running, keep)
        found = self.forms.get(key)
        if found is None:
            check_untraced()
            found = self.forms[key] = self._make(running, keep)
            if len(self.forms) > FORMS_KEPT:
                self.forms.popitem(last=False)
        else:
            self.forms.move_to_end(key)
        return found

    def _make(self, running: tuple[tuple[int, ...], ...], keep: frozenset[str]) -> Machine:
        blueprint = self.plain.blueprint
        try:
            flat = Specialise(running).apply(blueprint.flat)
        except UnfitError:
            return self.plain
        flat = run(flat, self.schedule.pipeline(), keep)
        made = make_blueprint(flat, blueprint.table, blueprint.slots, keep)
        return make_machine(made, self.plain.modules, self.schedule, self.compiler)


def mixes_many(blueprint: Blueprint, selections: Mapping[tuple[str, str], Selection]) -> bool:
    """Whether a mask runs so many candidates that its structure will come again.

    Every candidate of every choice, or at least half of what there is beyond one path and three of some choice: two
    sampled paths are no such mask.
    """
    beyond = most = every = 0
    for choice in blueprint.chooses.values():
        selection = selections[choice.slot, choice.instance]
        if selection.added is not None:
            return False
        beyond += max(0, len(selection.run) - 1)
        every += selection.size - 1
        most = max(most, len(selection.run))
    return beyond > 0 and (beyond == every or (most > 2 and 2 * beyond >= every))


class _Shared(dict[int, Any]):
    """Functions without state, by node: copies of a supernet share them."""

    def __deepcopy__(self, memo: dict[int, object]) -> _Shared:
        return self
