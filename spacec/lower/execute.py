"""One forward pass of a supernet, node by node along a plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from spacec.ir.entries import reaches
from spacec.ir.flat import FlatChoose, FlatMeet, FlatMix, FlatOp, Gate, Term
from spacec.lower.elastic import ElasticMask
from spacec.lower.gates import GateRecord, MeetRecord, Trace, shares, watch
from spacec.lower.joined import JoinedConv
from spacec.lower.kernels.dispatch import hooked
from spacec.lower.kernels.library import library_conv
from spacec.lower.kernels.mix import Normed
from spacec.lower.kernels.norm import Whitened
from spacec.lower.kernels.recompute import Recomputed
from spacec.lower.kernels.statistics import read_norm
from spacec.lower.layers import Layer
from spacec.lower.layout import Foreign
from spacec.lower.machine import Machine
from spacec.lower.masks import Selection
from spacec.lower.mixing import mixed
from spacec.lower.modules import add_losses, interleaved
from spacec.lower.modules_graph import Graph
from spacec.lower.pieces import OpStep
from spacec.lower.plan import ChooseStep, Plan, Step
from spacec.lower.pooled import Pooled
from spacec.lower.regions import Regions, form_of, mix_text
from spacec.lower.sizes import number
from spacec.lower.stacked import run_mix
from spacec.lower.superkernels import superkernel
from spacec.lower.switches import fitted
from spacec.passes.superkernels import SUPERKERNEL, gates_of


@dataclass
class Pass:
    """The state of one forward pass.

    ``selections`` by (slot, instance), ``switched`` by node of a switch; ``taps``: nodes whose value is kept.
    """

    machine: Machine
    selections: Mapping[tuple[str, str], Selection]
    switched: Mapping[int, Selection]
    elastic: ElasticMask | None
    taps: Collection[int] = ()
    trace: Trace | None = None
    values: dict[int, Tensor] = field(default_factory=dict)
    tapped: dict[int, Tensor] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)
    graph: Graph | None = None
    """The graph whose nodes the graph-typed values describe."""
    recomputed: Recomputed | None = None
    """Results that the backward pass makes again; made when there is one, which ``torch.compile`` never meets."""
    whitened: dict[int, dict[float, Whitened]] = field(default_factory=dict)
    """Values that several norms read, normalised: by node and eps, as long as the value is there."""
    _scalars: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)
    _reaches: list[tuple[Any, ...]] | None = None
    _pieces: dict[int, Tensor] = field(default_factory=dict)
    """Shares of channels that were taken with another and have not run yet."""
    _coefficients: dict[int, list[Tensor | None]] | None = None
    _joint: Pooled | None = None

    def __post_init__(self) -> None:
        self.hard = None if self.elastic is None or not self.elastic.hard else self.elastic.chosen
        """The sizes of elastic ops, where each has one."""
        weighed = self.trace is not None or any(s.weights is not None for s in self.selections.values())
        self.unweighed = not weighed
        """Nothing is weighed or recorded, so a choice of one option is that option."""

    @property
    def _pooled(self) -> Pooled:
        """The joined tensors of this pass. (A cached property takes a lock, which torch.compile cannot trace.)"""
        if self._joint is None:
            self._joint = Pooled(self.machine.blueprint.stacked.pools, self.machine.modules)
        return self._joint

    def run(self, plan: Plan, keep: bool) -> None:
        """Run every step; ``keep`` holds on to values that nothing in the plan reads any more."""
        regions = self.machine.regions
        if regions is not None and regions.compiler.running and not keep:
            self._by_regions(plan, regions)
        else:
            self._steps(plan.steps, plan.releases, keep)
        if self.machine.blueprint.stacked.pools.joints:
            self._pooled.finish()

    def _by_regions(self, plan: Plan, regions: Regions) -> None:
        """Every block as regions, where it has some and nobody asks for what is inside."""
        first = 0
        for root, count in plan.blocks:
            steps, releases = plan.steps[first : first + count], plan.releases[first : first + count]
            first += count
            piece = self.machine.blueprint.planner.pieces.get(root)
            if count == 1 or piece is None or any(s.node in self.taps for s in steps[:-1]):
                self._steps(steps, releases, keep=False)
                continue
            for part in regions.parts(piece):
                if isinstance(part, OpStep):
                    self._steps((part,), ((),), keep=False)
                    continue
                value = part.run(regions.compiler, [self.values[i] for i in part.sources])
                if value is None:
                    self._steps(part.steps, ((),) * len(part.steps), keep=False)
                else:
                    self.values[part.root] = value
            if root in self.taps:
                self.tapped[root] = self.values[root]
            for dead in releases:
                for node in dead:
                    self.values.pop(node, None)
                    self.whitened.pop(node, None)

    def _steps(self, steps: Sequence[Step], releases: Sequence[tuple[int, ...]], keep: bool) -> None:
        blueprint = self.machine.blueprint
        again = blueprint.recomputed if torch.is_grad_enabled() and not torch.compiler.is_compiling() else frozenset()
        if keep or again or self.taps or blueprint.mixes:
            self._watched_steps(steps, releases, keep, again)
            return
        values, direct, layers = self.values, self.machine.direct, self.machine.elastic
        hard, sized = self.hard or {}, self.machine.sized if self.hard else frozenset()
        unweighed = self.unweighed
        for step, dead in zip(steps, releases, strict=True):
            node = step.node
            run = layers.sized(node, hard) if node in sized else direct.get(node)
            if isinstance(step, ChooseStep):
                value = values[step.passes] if unweighed and step.passes is not None else self._choose(step)
            elif run is not None:
                read = step.inputs
                value = run(values[read[0]]) if len(read) == 1 else run(*[values[i] for i in read])
            else:
                value = self.apply(node, [values[i] for i in step.inputs])
            values[node] = value
            for unread in dead:
                del values[unread]

    def _watched_steps(
        self, steps: Sequence[Step], releases: Sequence[tuple[int, ...]], keep: bool, again: Collection[int]
    ) -> None:
        """Steps whose values are kept, tapped, made again in the backward pass, or normalised for several readers."""
        values, taps, whitened = self.values, self.taps, self.whitened
        for step, dead in zip(steps, releases, strict=True):
            node = step.node
            if node in again and isinstance(step, OpStep):
                value = self._recomputing(node, [values[i] for i in step.inputs])
            else:
                value = self._step(step)
            values[node] = value
            if node in taps:
                self.tapped[node] = value
            if not keep:
                for unread in dead:
                    del values[unread]
                    if whitened:
                        whitened.pop(unread, None)

    def _step(self, step: Step) -> Tensor:
        """The value of one step."""
        if isinstance(step, ChooseStep):
            return self._choose(step)
        node, machine = step.node, self.machine
        inputs = [self.values[i] for i in step.inputs]
        if (run := machine.direct.get(node)) is not None:
            return run(*inputs)
        if self.hard is not None and node in machine.sized:
            value: Tensor = machine.elastic.sized(node, self.hard)(*inputs)
            return value
        return self.apply(node, inputs)

    def _recomputing(self, node: int, inputs: list[Tensor]) -> Tensor:
        """An op whose result is made again in the backward pass, or one that reads such a result."""
        blueprint, direct = self.machine.blueprint, self.machine.direct
        self.recomputed = recomputed = self.recomputed or Recomputed()
        run = direct[node] if node in direct else lambda *tensors: self.apply(node, list(tensors))
        op = blueprint.flat.nodes[node]
        if not isinstance(op, FlatOp) or not op.recompute or node in blueprint.elastic.symbols:
            return recomputed.reading(run, inputs)
        if not op.key:
            return recomputed.making(run, inputs)
        module = self.machine.modules[op.key]
        if not isinstance(module, _BatchNorm) or hooked(module):
            return recomputed.reading(run, inputs)
        norm = Normed(read_norm(module), self.machine.generated)
        return recomputed.making(norm, inputs, norm.again)

    def apply(self, node: int, inputs: list[Tensor], spare: bool = False) -> Tensor:
        """An op on its present inputs; ``spare`` leaves buffers (running statistics) and losses as they are."""
        blueprint = self.machine.blueprint
        if (mix := blueprint.mixes.get(node)) is not None:
            return self._mixed(mix) if node not in blueprint.stacked.mixes else self._stacked(node)
        if node in blueprint.stacked.splits:
            return self._split(node, inputs[0])
        if node in blueprint.joined:
            return self._joined(node, inputs[0])
        if node in self.machine.foreign:
            return Foreign(lambda *tensors: self._lowered(node, tensors, spare), self.machine.layout)(*inputs)
        return self._lowered(node, inputs, spare)

    def _lowered(self, node: int, inputs: Sequence[Tensor], spare: bool) -> Tensor:
        """An op by its own code."""
        blueprint = self.machine.blueprint
        layer = blueprint.lowered[node]
        given: list[Any] = [*inputs, self.graph] if layer.graph else [*inputs]
        sizes = self.elastic if node in blueprint.elastic.symbols else None
        if not isinstance(layer, Layer):
            if sizes is not None:
                value: Tensor = self.machine.elastic.run(node, given, sizes)
                return value
            return self.machine.functions[node](*given)
        op = blueprint.flat.nodes[node]
        assert isinstance(op, FlatOp), "only ops are lowered"
        module = self.machine.modules[op.key]
        if sizes is not None:
            result = self.machine.elastic.run(node, given, sizes, spare)
        elif spare:
            buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
            result = torch.func.functional_call(module, buffers, tuple(given))
        else:
            result = module(*given)
        if not layer.emits:
            value = result
            return value
        value, losses = result
        if not spare:
            add_losses(self.losses, losses)
        return value

    @property
    def recorder(self) -> Trace | None:
        """Where choices and meetings record their values; with watched weights nobody asks for them."""
        return None if self.trace is None or self.trace.weights else self.trace

    def selection(self, node: int) -> Selection:
        """What runs of a choice or a switch."""
        if node in self.switched:
            return self.switched[node]
        choice = self.machine.blueprint.chooses[node]
        return self.selections[choice.slot, choice.instance]

    def alternatives(self, node: int) -> tuple[int | None, ...]:
        """Nodes of the candidates of a choice or a switch."""
        blueprint = self.machine.blueprint
        return (
            blueprint.switches.nodes[node].alternatives
            if node in self.switched
            else blueprint.chooses[node].alternatives
        )

    def _choose(self, step: ChooseStep) -> Tensor:
        node = self.machine.blueprint.flat.nodes[step.node]
        if isinstance(node, FlatMeet):
            return self._meet(step, node)
        options = [(position, self.values[node]) for position, node in step.options]
        selection = self.selection(step.node)
        if step.node in self.switched:
            return self.switch(step.node, selection, options)
        choice = self.machine.blueprint.chooses[step.node]
        value = self.mix(selection, options)
        if (trace := self.recorder) is not None:
            value = watch(value, selection.weights is not None)
            candidates = {selection.run[position]: tensor for position, tensor in options}
            record = GateRecord(choice.slot, choice.instance, selection.size, step.node, value, candidates)
            trace.records.append(record)
        if choice.bypass is not None:
            value = interleaved(value, self.bypass(step.node, choice, selection))
        weight = self.edge_weight(choice, value)
        if weight is None or choice.edge is None:
            return value
        weighed = weight * value
        if (trace := self.recorder) is not None:
            weighed = watch(weighed, True)
            edge, size = choice.edge, self.selections[choice.edge.slot, choice.edge.instance].size
            alone = {edge.element: value}
            trace.edges.append(GateRecord(edge.slot, edge.instance, size, step.node, weighed, alone))
        return weighed

    def bypass(self, node: int, choice: FlatChoose, selection: Selection) -> Tensor:
        """The channels that the candidates leave out, times the sum of their weights."""
        assert choice.bypass is not None, "only a narrowed choice has one"
        alone = self.values[choice.bypass]
        value = bypass_value(alone, selection)
        if (trace := self.recorder) is not None:
            value = watch(value, selection.weights is not None)
            every = dict.fromkeys(selection.run, alone)
            trace.bypasses.append(GateRecord(choice.slot, choice.instance, selection.size, node, value, every))
        return value

    def edge_weight(self, choice: FlatChoose, like: Tensor) -> Tensor | None:
        """The weight of a picked element; ``None`` where edges are not weighed, or the mask leaves them alone."""
        if choice.edge is None:
            return None
        selection = self.selections[choice.edge.slot, choice.edge.instance]
        return selection.vector(like)[choice.edge.element] if selection.run else None

    def switch(self, node: int, selection: Selection, options: list[tuple[int, Tensor]]) -> Tensor:
        """:meth:`mix`, of candidates whose sizes may agree only where they count."""
        if selection.weights is not None and self.elastic is not None:
            channels = number(self.machine.blueprint.switches.nodes[node].type.channels, self.elastic.chosen)
            options = [(position, fitted(value, channels)) for position, value in options]
        return self.mix(selection, options)

    def _meet(self, step: ChooseStep, node: FlatMeet) -> Tensor:
        options = {call: self.values[source] for call, source in step.options}
        value = self.meet(node.entry, options)
        if (trace := self.recorder) is not None:
            value = watch(value, len(options) > 1)
            trace.meetings.append(MeetRecord(node.entry, step.node, value, options))
        return value

    def meet(self, entry: int, options: Mapping[int, Tensor]) -> Tensor:
        """The mean of what the calls give, weighted by their reach; the only one as it is."""
        if len(options) == 1:
            return next(iter(options.values()))
        weights = shares([self.reaches[entry][call] for call in options])
        parts = [weight * tensor for weight, tensor in zip(weights, options.values(), strict=True)]
        value: Tensor = parts[0]
        for other in parts[1:]:
            value = value + other
        return value

    @property
    def reaches(self) -> list[tuple[Any, ...]]:
        """The reach of every call of every entry under the masks of this pass."""
        if self._reaches is None:
            self._reaches = reaches(self.machine.blueprint.flat.entries, self._weigh)
        return self._reaches

    def _weigh(self, slot: str, instance: str, candidates: Collection[int]) -> Any:
        selection = self.selections[slot, instance]
        asked = [p for p, k in enumerate(selection.run) if k in candidates]
        return float(len(asked)) if selection.weights is None else sum((selection.weights[p] for p in asked), 0.0)

    def _joined(self, node: int, x: Tensor) -> Tensor:
        """An op whose weights and state are those of several layers."""
        machine, kernels = self.machine, self.machine.kernels
        op = machine.blueprint.flat.nodes[node]
        assert isinstance(op, FlatOp), "only ops are joined"
        convolve = library_conv if kernels is None else partial(kernels.conv, node)
        modules = [machine.modules[key] for key in op.parts]
        joined = machine.blueprint.joined[node]
        if op.spec == SUPERKERNEL and isinstance(joined, JoinedConv):
            factors = [self.coefficient(Term(node, gates)) for gates in gates_of(op)]
            return joined.run(x, *superkernel(op, modules, factors, joined.places), convolve)
        return joined(modules, self._pooled.of(node), x, convolve)

    def _split(self, node: int, x: Tensor) -> Tensor:
        """A share of the channels of ``x``; its siblings are taken by the same call."""
        if node not in self._pieces:
            shares = self.machine.blueprint.stacked.splits[node]
            widths = [number(self.machine.blueprint.flat.nodes[i].type.channels, {}) for i in shares]
            self._pieces.update(zip(shares, x.split_with_sizes(widths, 1), strict=True))
        return self._pieces.pop(node)

    def _stacked(self, node: int) -> Tensor:
        """A mix of blocks of stacks."""
        stacked = self.machine.blueprint.stacked
        strips = stacked.mixes[node]
        if self._coefficients is None:
            self._coefficients = stacked.coefficients(self.selections, self.values[strips[0].source])
        return run_mix(node, strips, stacked.widths[node], self.values, self._pooled, self._coefficients[node])

    def _mixed(self, mix: FlatMix) -> Tensor:
        """The sum of its terms, each normalised and weighed: by compiled code where no norm is among them."""
        regions = self.machine.regions
        if regions is None or not regions.compiler.running or any(t.norm for t in mix.terms):
            return mixed(self, mix)
        terms = []
        for term in mix.terms:
            value = self.values[term.source]
            if value.shape[1] != mix.type.channels and isinstance(mix.type.channels, int):
                value = value.narrow(1, term.first, mix.type.channels)
            terms.append(value)
        return self._sum(terms, [self.coefficient(term) for term in mix.terms])

    def _sum(self, terms: Sequence[Tensor], weights: Sequence[Tensor | None]) -> Tensor:
        """The sum of the terms, each times its weight where it has one."""
        regions = self.machine.regions
        if regions is not None and regions.compiler.running and len(terms) > 1:
            numbers = [w for w in weights if w is not None]
            given = (*terms, *numbers)
            found = regions.compiler.run(mix_text([w is not None for w in weights]), given, form_of(given))
            if found is not None:
                return found
        total: Tensor | None = None
        for term, weight in zip(terms, weights, strict=True):
            value = term if weight is None else weight * term
            total = value if total is None else total + value
        assert total is not None, "a sum has terms"
        return total

    def coefficient(self, term: Term) -> Tensor | None:
        """The product of a term's gates; ``None`` where the mask leaves it alone."""
        product: Tensor | None = None
        for gate in term.gates:
            factor = self._factor(gate)
            product = factor if product is None else product if factor is None else product * factor
        return product

    def _factor(self, gate: Gate) -> Tensor | None:
        selection = self.selections[gate.slot, gate.instance]
        if gate.candidate is None:
            return None if selection.weights is None else selection.weights.sum()
        if selection.weights is None:
            if not selection.run or gate.candidate in selection.run:
                return None
            return torch.zeros((), device=next(iter(self.values.values())).device)
        if gate.candidate not in selection.run:
            return selection.weights.new_zeros(())
        return self._unbound(selection)[selection.run.index(gate.candidate)]

    def _unbound(self, selection: Selection) -> tuple[Tensor, ...]:
        assert selection.weights is not None, "only a weighted selection has weights"
        scalars = self._scalars.get(id(selection))
        if scalars is None:
            scalars = self._scalars[id(selection)] = selection.weights.unbind()
        return scalars

    def mix(self, selection: Selection, options: list[tuple[int, Tensor]]) -> Tensor:
        """The weighted sum of present candidates, or the only one."""
        if selection.weights is None:
            ((_, value),) = options
            return value
        scalars = self._unbound(selection)
        value = self._sum([tensor for _, tensor in options], [scalars[position] for position, _ in options])
        return value if selection.added is None else value + selection.added


def bypass_value(bypass: Tensor, selection: Selection) -> Tensor:
    """What bypasses a choice, times the sum of the weights of its candidates."""
    return bypass if selection.weights is None else selection.weights.sum() * bypass
