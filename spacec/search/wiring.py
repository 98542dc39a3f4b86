"""Between a task's names and a space's: inputs in order, outputs by name, auxiliary heads apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from spacec.ir.dims import Dim, symbols
from spacec.ir.flat import LOSS_PREFIX, FlatGraph, FlatInput
from spacec.ir.sizes import evaluate
from spacec.ir.types import TensorType, Type
from spacec.search.task import Batch, OutLike, Output, Task, match_ports


def input_types(flat: FlatGraph) -> dict[str, Type]:
    """Input name to type, in order."""
    nodes: dict[str, Type] = {node.name: node.type for node in flat.nodes if isinstance(node, FlatInput)}
    return {name: nodes[name] for name in flat.inputs}


def output_types(flat: FlatGraph) -> dict[str, Type]:
    """Output name to type, in order."""
    return {name: flat.nodes[index].type for name, index in flat.outputs.items()}


def free_sizes(flat: FlatGraph, wiring: Wiring, batch: Batch) -> dict[str, int]:
    """The values of free input sizes for which the inputs have the shape of ``batch``.

    Read from the axes that mention one size (``8*H``); a size that none of them decides is left out.
    """
    found: dict[str, int] = {}
    for type_, tensor in zip(input_types(flat).values(), wiring.batch_arguments(batch), strict=True):
        assert isinstance(type_, TensorType), "the inputs of a network are tensors"
        if type_.kind == "graph":
            continue  # its nodes are counted by nobody's type
        axes = type_.dims if type_.kind == "dense" else type_.space
        for dim, actual in zip(axes, tensor.shape[1:], strict=False):
            if len(symbols(dim)) == 1:
                (symbol,) = symbols(dim)
                found.update((symbol.name, n) for n in range(1, actual + 1) if _at(dim, n) == actual)
    return found


def _at(dim: Dim, size: int) -> int:
    return int(evaluate(dim, lambda _: size))


@dataclass(frozen=True)
class Wiring:
    """``inputs``: the task's names in the order the network takes them. ``outputs``: the task's name to the
    space's. ``auxiliary``: outputs of the space that the task does not name (training heads)."""

    inputs: tuple[str, ...]
    outputs: Mapping[str, str]
    auxiliary: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    @staticmethod
    def of(task: Task, flat: FlatGraph) -> Wiring:
        """For a task that was adapted to the space (:meth:`Task.adapt`)."""
        to_space = match_ports(task.inputs, flat.inputs)
        to_task = {theirs: mine for mine, theirs in to_space.items()}
        outputs = match_ports(task.outputs, tuple(flat.outputs))
        auxiliary = tuple(name for name in flat.outputs if name not in outputs.values())
        return Wiring(tuple(to_task[name] for name in flat.inputs), outputs, auxiliary, tuple(flat.outputs))

    def arguments(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Positional arguments of the network."""
        return tuple(inputs[name] for name in self.inputs)

    def batch_arguments(self, batch: Batch) -> tuple[Tensor, ...]:
        return self.arguments(batch.inputs)

    def rename(self, out: Any) -> OutLike:
        """A supernet's output (a frozen dataclass of the shape of :class:`OutLike`) under the task's names.

        Whatever else it holds is kept, so that it still serves ``gate_gradients``; auxiliary heads keep their names.
        """
        outputs = self._named(out.outputs)
        renamed: OutLike = replace(out, prediction=next(iter(outputs.values())), outputs=outputs)
        return renamed

    def wrap(self, value: Any) -> OutLike:
        """What a stand-alone network returned: a tensor, or a dict of outputs and of losses under ``loss:NAME``."""
        found = {self.order[0]: value} if isinstance(value, Tensor) else dict(value)
        outputs = self._named(found)
        losses = {name.removeprefix(LOSS_PREFIX): t for name, t in found.items() if name.startswith(LOSS_PREFIX)}
        return Output(next(iter(outputs.values())), outputs, losses=losses)

    def heads(self, out: OutLike) -> tuple[OutLike, ...]:
        """One output per auxiliary head, standing in for the prediction."""
        first = next(iter(self.outputs))
        present = [out.outputs[name] for name in self.auxiliary if name in out.outputs]
        return tuple(Output(head, {**out.outputs, first: head}, out.taps) for head in present)

    def _named(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        own = {mine: found[theirs] for mine, theirs in self.outputs.items()}
        return {**own, **{name: found[name] for name in self.auxiliary if name in found}}
