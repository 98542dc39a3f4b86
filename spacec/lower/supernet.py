"""The supernet in its plain form: every candidate of every choice, weighed or selected by a mask.

Assumes a verified flat graph and its decision table. Guarantees: state-dict names are the graph's
parameter keys, so they are those of every network of the space; with one architecture selected by
index it computes what that network computes, bit for bit, in eval and in train mode.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import decisions
from spacec.ir.flat import FlatGraph
from spacec.lower import errors, helpers, sizes
from spacec.lower.blueprint import Blueprint, check_untraced, make_blueprint
from spacec.lower.elastic import read_elastic
from spacec.lower.execute import Pass
from spacec.lower.gates import Trace, gate_gradients, watch_masks, watch_weights
from spacec.lower.kernels.table import OpSite
from spacec.lower.layers import build_layers
from spacec.lower.layout import laid_out, lay_weights
from spacec.lower.machine import Machine
from spacec.lower.masks import Mask, Out, Selection, architecture_mask, read_mask
from spacec.lower.modules import attach, keep_frozen
from spacec.lower.modules_graph import Graph
from spacec.lower.optimised import Optimised, make_machine, mixes_many
from spacec.lower.plan import Plan
from spacec.lower.program import entry_function
from spacec.lower.regions import Compiler
from spacec.lower.schedule import PLAIN, Goal, Schedule, named
from spacec.lower.spared import run_spared
from spacec.lower.tuning.tune import SECONDS, Effort, Told, tuned
from spacec.space.architecture import Architecture
from spacec.space.decisions import DecisionTable


@dataclass(frozen=True)
class Snapshot:
    """Parameters and buffers at one moment, by name."""

    tensors: Mapping[str, Tensor]


class Supernet(nn.Module):
    """All architectures of a space, sharing weights.

    ``seed`` decides the initial weights, layer by layer from (seed, key): a network of the same seed
    starts with the same layers, but for those it has in another size. ``None`` draws a seed from torch's generator.
    """

    def __init__(
        self, flat: FlatGraph, table: DecisionTable, seed: int | None = None, schedule: Schedule | str | None = None
    ) -> None:
        super().__init__()
        self.blueprint = make_blueprint(flat, table)
        layers = build_layers(self.blueprint.layers, seed)
        for key, layer in layers.items():
            attach(self, key, layer)
        self._machine = make_machine(self.blueprint, layers)
        self._entry = entry_function(flat, sizes.largest(table))
        self._optimised: Optimised | None = None
        self.use(schedule)

    def forward(
        self,
        *inputs: helpers.Input | Mapping[str, helpers.Input] | Architecture | None,
        mask: Mask | Architecture | None = None,
        taps: Iterable[str] = (),
        weights: Mapping[str, Tensor] | None = None,
        gates: bool | Literal["all"] = False,
        **named_inputs: helpers.Input,
    ) -> Out:
        """Run the candidates that ``mask`` selects (see :mod:`spacec.lower.masks`; ``None``: uniform and soft).

        Inputs by position, by name, or as one mapping (also those named like an option here). ``taps`` names
        tensors to return: parameter keys, instances of choices, inputs or outputs; those that did not run
        are left out, a key with several uses gives a tuple. ``weights`` replaces parameters and buffers by
        name for this pass (gradients flow into the given tensors). ``gates`` keeps what
        :meth:`gate_gradients` needs, ``"all"`` also for candidates that do not run.

        ``torch.compile(net, fullgraph=True)`` traces it whole, once it has run under a mask of that structure: values
        of soft masks are inputs of what is compiled, indices are constants (so sampled paths want compiled regions).

        Raises :class:`ValueError` for inputs of another shape, :class:`TypeError` for missing ones, and
        :class:`SpacecError` for a mask, tap or weight that does not fit (E0904, E0908) and for an absent
        output (E0905).
        """
        if not self.blueprint.plans:
            check_untraced()
        tensors, mask = self._split(inputs, mask)
        if weights is not None:
            self._check_weights(weights)
            options = {"mask": mask, "taps": taps, "gates": gates, **named_inputs}
            out: Out = torch.func.functional_call(self, dict(weights), tensors, options)
            return out
        given = helpers.ordered_inputs(self.blueprint.flat.inputs, tensors, named_inputs)
        checked = self._entry(*given)
        graph = next((value for value in checked if isinstance(value, Graph)), None)
        features = [value.x if isinstance(value, Graph) else value for value in checked]
        selections = self._read_mask(mask)
        tapped = self._known(taps)
        machine = self._form(selections, frozenset(tapped), gates)
        blueprint = machine.blueprint
        trace = self._trace(selections, features) if gates else None
        if trace is not None and blueprint is not self.blueprint:
            selections = watch_weights(trace, selections, blueprint.gated, like=_numbers(features))
        elastic = read_elastic(blueprint, selections)
        decided = blueprint.switches.decided(selections)
        if trace is not None:
            decided = watch_masks(trace, elastic, decided, blueprint.switches.slots)
        switched = blueprint.switches.read(decided)
        plan = _plan(blueprint, selections, switched)
        features = [laid_out(x, machine.layout) for x in features]
        tap_nodes = {tap: blueprint.names.get(tap, ()) for tap in tapped}
        run = Pass(
            machine,
            selections,
            switched,
            elastic,
            frozenset(i for nodes in tap_nodes.values() for i in nodes),
            trace,
            dict(zip(blueprint.input_nodes, features, strict=True)),
            graph=graph,
        )
        run.tapped.update((i, v) for i, v in run.values.items() if i in run.taps)
        run.run(plan, keep=gates == "all")
        if gates == "all":
            run_spared(run)
        return self._out(run, tap_nodes)

    def _split(
        self, given: tuple[Any, ...], mask: Mask | Architecture | None
    ) -> tuple[tuple[helpers.Input | Mapping[str, helpers.Input], ...], Mask | Architecture | None]:
        """Inputs and mask: what stands after the last input (or after one mapping of inputs) is the mask."""
        count = 1 if given and isinstance(given[0], Mapping) else len(self.blueprint.flat.inputs)
        if len(given) != count + 1 or isinstance(given[-1], Tensor):
            return given, mask
        if mask is not None:
            raise TypeError("the mask is given twice, by position and by name")
        return given[:-1], given[-1]

    def complete(self, mask: Mask | Architecture | None) -> bool:
        """Whether all that must be present under ``mask`` is: absent candidates may leave nothing to an output, or
        to a term of a concat that every architecture has.

        Raises :class:`SpacecError` (E0904) for a mask that does not fit.
        """
        selections = self._read_mask(mask)
        try:
            _plan(self.blueprint, selections, self.blueprint.switches.read(self.blueprint.switches.decided(selections)))
        except SpacecError as error:
            if error.diagnostics[0].code == errors.ABSENT:
                return False
            raise
        return True

    def _form(
        self, selections: Mapping[tuple[str, str], Selection], keep: frozenset[str], gates: bool | Literal["all"]
    ) -> Machine:
        """What runs these selections: the plain graph, or an optimised form of it."""
        if self._optimised is None:
            return self._machine
        plain, blueprint = self._optimised.plain, self.blueprint
        if not mixes_many(blueprint, selections):
            return plain
        if gates and (
            gates == "all" or blueprint.flat.entries or blueprint.switches.nodes or blueprint.elastic.symbols
        ):
            return plain
        _plan(blueprint, selections, blueprint.switches.read(blueprint.switches.decided(selections)))
        return self._optimised.form(selections, keep)

    def _trace(self, selections: Mapping[tuple[str, str], Selection], inputs: list[Tensor]) -> Trace:
        like = _numbers(inputs)
        entries = self.blueprint.flat.entries
        asked = {name for entry in entries for call in entry.calls for name in decisions(call.gate)}
        gates = {n: s.vector(like) for n, s in selections.items() if n in asked}
        return Trace(entries=entries, gates=gates, activations=self.blueprint.activations)

    def _read_mask(self, mask: Mask | Architecture | None) -> dict[tuple[str, str], Selection]:
        if isinstance(mask, Architecture):
            mask = architecture_mask(self.blueprint.table, mask)
        return read_mask(self.blueprint.slots, mask)

    def _known(self, taps: Iterable[str]) -> tuple[str, ...]:
        names = self.blueprint.names
        for tap in (found := tuple(taps)):
            if tap not in names:
                raise errors.unknown_name(errors.NAME, "tensor", tap, names)
        return found

    def _check_weights(self, weights: Mapping[str, Tensor]) -> None:
        known = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        for name in weights:
            if name not in known:
                raise errors.unknown_name(errors.NAME, "parameter or buffer", name, known)

    def _out(self, run: Pass, tap_nodes: Mapping[str, tuple[int, ...]]) -> Out:
        outputs = {name: run.values[index] for name, index in run.machine.blueprint.flat.outputs.items()}
        prediction = next(iter(outputs.values()))
        taps: dict[str, Tensor | tuple[Tensor, ...]] = {}
        for name, nodes in tap_nodes.items():
            found = tuple(run.tapped[i] for i in nodes if i in run.tapped)
            if found:
                taps[name] = found[0] if len(self.blueprint.names[name]) == 1 else found
        gates: dict[str, Tensor] = {}
        if run.trace is not None:
            for r in (*run.trace.records, *run.trace.edges):
                gates[self.blueprint.activations[r.slot, r.instance]] = run.selections[r.slot, r.instance].vector(
                    r.output.detach()
                )
            for w in run.trace.weights:
                found_weights = w.selection.weights
                assert found_weights is not None, "watched weights are tensors"
                gates[self.blueprint.activations[w.slot, w.instance]] = w.selection.vector(found_weights)
            gates.update(run.trace.elastic)
        return Out(prediction, outputs, taps, run.losses, gates, run.trace)

    def gate_gradients(self, loss: Tensor, out: Out, per: Literal["slot", "instance"] = "slot") -> dict[str, Tensor]:
        """See :func:`spacec.lower.gates.gate_gradients`."""
        return gate_gradients(loss, out, per)

    @cached_property
    def instances(self) -> dict[str, tuple[str, ...]]:
        """By slot, the activations that may have masks of their own (:class:`spacec.lower.masks.PerInstance`).

        None for a slot that decides more than the candidates of one place: sizes, or what a switch takes.
        """
        sizing = {slot.id for slot, _ in self.blueprint.presences.values()}
        wide = {*self.blueprint.switches.slots.values(), *sizing}
        slots = self.blueprint.slots.items()
        return {name: () if name in wide else tuple(sorted(slot.instances)) for name, slot in slots}

    @property
    def compiler(self) -> Compiler | None:
        """What compiles regions, how many, in what time; ``None`` unless the schedule asks for it."""
        return None if self._optimised is None else self._optimised.compiler

    @property
    def schedule(self) -> Schedule | None:
        """How masks that mix many candidates run; ``None``: plainly."""
        return None if self._optimised is None else self._optimised.schedule

    def use(self, schedule: Schedule | Mapping[str, Any] | str | None, compiler: Compiler | None = None) -> None:
        """Run by ``schedule`` from now on: images take its memory layout; weights, state and their names stay.

        It may be given by its name, or as its ``to_json`` (:class:`ValueError` for what is none, :class:`TypeError` for
        anything else).
        ``compiler`` compiles its regions, where it asks for that; by default one of inductor, of this supernet alone.
        """
        if isinstance(schedule, str):
            schedule = named(schedule)
        elif isinstance(schedule, Mapping):
            schedule = Schedule.from_json(schedule)
        elif schedule is not None and not isinstance(schedule, Schedule):
            raise TypeError(f"a schedule, its name or its JSON is expected, not {type(schedule).__name__}")
        if "channels_last" in {known.layout for known in (self.schedule, schedule) if known is not None}:
            lay_weights(self._machine.modules.values(), PLAIN.layout if schedule is None else schedule.layout)
        self._optimised = None
        if schedule is not None:
            compiler = (compiler or Compiler()) if schedule.regions == "compiled" else None
            plain = make_machine(self.blueprint, self._machine.modules, schedule, compiler)
            self._optimised = Optimised(plain, schedule, compiler)

    def tune(
        self,
        *inputs: helpers.Input | Mapping[str, helpers.Input],
        mask: Mask | Architecture | None = None,
        goal: Goal = "fast",
        budget: float = SECONDS,
        fresh: bool = False,
        told: Told = lambda text: None,
    ) -> Schedule:
        """Choose a schedule by timing it on these inputs, here and now, and run by it from then on.

        ``mask`` is the kind of mask that will come (its candidates count, not its numbers; ``None``: uniform and
        soft). ``goal``: least time here, or fewest calls of the framework. ``budget``: about how many seconds
        measuring may take; what was measured before is taken from the user's cache, but where ``fresh``. ``told`` is
        told what is measured next. Weights, running statistics, gradients and random states stay as they are. What is
        chosen is never slower than the plain form by more than 5 %, as measured, unless few calls were asked for.

        Raises :class:`ValueError` for inputs of another shape or another goal, and :class:`SpacecError` (E0904,
        E0910) for a mask that this space does not run.
        """
        given = helpers.ordered_inputs(self.blueprint.flat.inputs, inputs, {})
        self._entry(*given)
        if isinstance(mask, Architecture):
            mask = architecture_mask(self.blueprint.table, mask)
        found = tuned(self, given, mask, goal, Effort(budget, fresh, told))
        self.use(found)
        return found

    def running(self, mask: Mask | None) -> dict[tuple[str, str], tuple[int, ...]]:
        """The candidates that run under a mask, by slot and instance. Raises :class:`SpacecError` (E0904)."""
        return {name: selection.run for name, selection in self._read_mask(mask).items()}

    def sites(self) -> Counter[OpSite]:
        """The op sites that its passes met since its schedule was set, and how often each is met in a pass."""
        machines = () if self._optimised is None else (self._optimised.plain, *self._optimised.forms.values())
        found: Counter[OpSite] = Counter()
        for machine in machines:
            for site, count in Counter(machine.kernels.sites if machine.kernels else ()).items():
                found[site] = max(found[site], count)
        return found

    # Parameters ------------------------------------------------------------------------------------

    def parameters_of(self, *kinds: helpers.ParameterKind) -> dict[str, nn.Parameter]:
        """Parameters of the given kinds, by name; see :data:`spacec.lower.helpers.ParameterKind`."""
        return helpers.parameters_of(self, kinds, self.blueprint.heads)

    def freeze(self, *kinds: helpers.ParameterKind, frozen: bool = True) -> None:
        """Stop (or resume) gradients of the given kinds; what the space froze stays so."""
        never = self.parameters_of("frozen")
        for name, parameter in self.parameters_of(*kinds).items():
            if name not in never:
                parameter.requires_grad_(not frozen)

    def snapshot(self) -> Snapshot:
        """Copies of all parameters and buffers."""
        return Snapshot({name: tensor.clone() for name, tensor in self.state_dict().items()})

    def restore(self, token: Snapshot) -> None:
        """Write a snapshot back, in place: optimisers keep their parameters."""
        with torch.no_grad():
            for name, tensor in self.state_dict().items():
                tensor.copy_(token.tensors[name])

    def clone(self) -> Supernet:
        """An independent copy with the same weights."""
        return copy.deepcopy(self)

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation; frozen layers stay in evaluation."""
        super().train(mode)
        keep_frozen(self)
        return self

    def set_drop_path(self, rate: float) -> None:
        """The rate of every stochastic-depth stage."""
        helpers.set_drop_path(self, rate)

    def set_skip_dropout(self, rate: float) -> None:
        """The rate of the dropouts behind skips, in a supernet that was built with ``skip_dropout``."""
        helpers.set_skip_dropout(self, rate)

    def without_noise(self) -> AbstractContextManager[None]:
        """Dropouts and stochastic depth off for the body of a ``with``."""
        return helpers.without_noise(self)


def _plan(
    blueprint: Blueprint, selections: Mapping[tuple[str, str], Selection], switched: Mapping[int, Selection]
) -> Plan:
    chosen = (selections[c.slot, c.instance].run for c in blueprint.chooses.values())
    return blueprint.plan((*chosen, *(s.run for s in switched.values())))


def _numbers(inputs: list[Tensor]) -> Tensor:
    """A tensor of the dtype and device in which the pass computes."""
    floating = (x for x in inputs if x.is_floating_point())
    return next(floating, torch.zeros((), device=inputs[0].device))
