"""One architecture as a plain module: the selected nodes, run by generated straight-line code.

Assumes a verified flat graph, and an architecture that is valid for its table. Guarantees: parameter
keys are the supernet's; only nodes that exist in the architecture have layers, and only those that an
output needs run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from spacec.ir.flat import FlatChoose, FlatGraph, FlatOp, FlatSwitch
from spacec.lower import errors, helpers, sizes
from spacec.lower.blueprint import add_layer, check_keys, head_keys
from spacec.lower.layers import Call, Layer, build_layers, lower
from spacec.lower.masks import architecture_mask
from spacec.lower.modules import attach, keep_frozen
from spacec.lower.plan import make_plan
from spacec.lower.program import Program, make_program
from spacec.lower.slices import make_slices
from spacec.lower.supernet import Supernet
from spacec.lower.switches import Switches
from spacec.space.activity import ConditionPool
from spacec.space.architecture import Architecture
from spacec.space.decisions import DecisionTable


@dataclass(frozen=True, eq=False)
class Design:
    """Everything about a network but its weights: layers by key, its forward pass, and where it came from."""

    space: str
    architecture: Architecture
    layers: Mapping[str, Layer]
    program: Program
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    heads: frozenset[str]
    sizes: Mapping[str, sizes.Size]

    def __deepcopy__(self, memo: dict[int, Any]) -> Design:
        return self


def make_design(flat: FlatGraph, table: DecisionTable, architecture: Architecture, prune: bool = False) -> Design:
    """Select the nodes of ``architecture`` and write its forward pass.

    Code whose result nothing reads keeps its layers (published parameter counts include it) unless
    ``prune`` is set, which also drops zero terms of sums. Raises :class:`SpacecError` where an output is absent or an
    op cannot be lowered.
    """
    chosen = architecture_mask(table, architecture)
    given = sizes.architecture_sizes(table, architecture)
    switched = Switches.of(flat, table).taken(dict(architecture.choices))

    def running(node: int) -> tuple[int, ...]:
        choice = flat.nodes[node]
        if isinstance(choice, FlatSwitch):
            return switched[node]
        assert isinstance(choice, FlatChoose), "only choices select"
        k = chosen.get(choice.slot)
        return () if k is None else (k,)

    plan = make_plan(flat, running, prune)
    existing = plan.nodes if prune else plan.nodes | _guarded(flat, architecture)
    lowered: dict[int, Layer | Call] = {}
    layers: dict[str, Layer] = {}
    for index in sorted(existing):
        op = flat.nodes[index]
        if isinstance(op, FlatOp) and (op.key or index in plan.nodes):
            found = lowered[index] = lower(op, sizes.site(flat, index, given))
            if isinstance(found, Layer):
                add_layer(layers, op, found)
    check_keys(layers)
    return Design(
        flat.name,
        architecture,
        layers,
        make_program(flat, plan, lowered, given),
        flat.inputs,
        tuple(flat.outputs),
        head_keys(flat, lowered),
        given,
    )


def _guarded(flat: FlatGraph, architecture: Architecture) -> frozenset[int]:
    """Ops with state that exist in the architecture, read or not."""
    pool = ConditionPool()
    roots = {i: pool.add(n.guard) for i, n in enumerate(flat.nodes) if isinstance(n, FlatOp) and n.key}
    truths: list[bool] = []
    pool.extend(truths, len(pool.nodes), dict(architecture.choices))
    return frozenset(i for i, root in roots.items() if truths[root])


class Network(nn.Module):
    """The network of one architecture.

    ``net(image)`` takes its inputs by position or by name and returns a tensor, or a dict of tensors
    where the space has several outputs. ``seed``: as for :class:`spacec.lower.supernet.Supernet`.
    """

    def __init__(
        self,
        flat: FlatGraph,
        table: DecisionTable,
        architecture: Architecture,
        seed: int | None = None,
        prune: bool = False,
    ) -> None:
        super().__init__()
        self.design = make_design(flat, table, architecture, prune)
        for key, layer in build_layers(self.design.layers, seed).items():
            attach(self, key, layer)
        self._run = self.design.program.compile()

    def forward(self, *inputs: helpers.Input, **named_inputs: helpers.Input) -> Tensor | dict[str, Tensor]:
        """The generated code (``print(net.design.program.text())``). Raises :class:`ValueError` for unfit inputs."""
        result: Tensor | dict[str, Tensor] = self._run(self, *inputs, **named_inputs)
        return result

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation; frozen layers stay in evaluation."""
        super().train(mode)
        keep_frozen(self)
        return self

    def set_drop_path(self, rate: float) -> None:
        """The rate of every stochastic-depth stage."""
        helpers.set_drop_path(self, rate)

    def parameters_of(self, *kinds: helpers.ParameterKind) -> dict[str, nn.Parameter]:
        """Parameters of the given kinds, by name; see :data:`spacec.lower.helpers.ParameterKind`."""
        return helpers.parameters_of(self, kinds, self.design.heads)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_run"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        self._run = self.design.program.compile()


def transfer(supernet: Supernet, network: Network) -> None:
    """Copy the supernet's weights and running statistics into ``network``, slices of them where sizes are elastic.

    Raises :class:`SpacecError` (E0907) where the two are of different forms; nothing is copied then.
    """
    blueprint, source = supernet.blueprint, supernet.state_dict()
    elastic_nodes = {
        op.key: index
        for index in sorted(blueprint.elastic.symbols, reverse=True)
        if isinstance(op := blueprint.flat.nodes[index], FlatOp) and op.key
    }
    target, parts = network.state_dict(), {}
    for key, layer in network.design.layers.items():
        slices = make_slices(blueprint, elastic_nodes[key], network.design.sizes) if key in elastic_nodes else None
        for full in [name for name in target if name.startswith(f"{key}.")]:
            if full not in source:
                raise errors.lowering_error(errors.FORM, f"the supernet has no `{full}`")
            tensor = source[full]
            parts[full] = slices.take(full.removeprefix(f"{key}."), tensor) if slices else tensor
            if parts[full].shape != target[full].shape:
                raise errors.lowering_error(
                    errors.FORM,
                    f"`{full}` is {list(parts[full].shape)} in the supernet, {list(target[full].shape)} in the network",
                    notes=(f"the network's layer is {layer.text()}",),
                    help="build both in the same form of the space",
                )
    with torch.no_grad():
        for name, part in parts.items():
            target[name].copy_(part)
