"""The compiled space as users, strategies and commands see it.

Joins the space algebra with the back end, which is imported (with torch) only by the methods that
build a network. Everything that can be told without torch is told without it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacec.diagnostics.model import Diagnostic
from spacec.ir.dims import Dim, Symbol
from spacec.ir.flat import FlatGraph, FlatOp
from spacec.ir.flatten import flatten
from spacec.ir.graph import CallNode, OpNode, SpaceGraph
from spacec.ir.naming import is_frozen
from spacec.ir.ops import Precondition
from spacec.ir.sizes import evaluate, largest_of
from spacec.ir.types import TensorType
from spacec.memory import no_collection
from spacec.space import algebra, codec, variation
from spacec.space.architecture import Architecture
from spacec.space.cost import cost, expected_cost
from spacec.space.decisions import Decision, DecisionTable, Slot
from spacec.space.derive import derive
from spacec.space.feasible import infeasible, violated
from spacec.space.sample import sample
from spacec.space.validate import validate

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spacec.lower.masks import Mask
    from spacec.lower.network import Network
    from spacec.lower.supernet import Supernet


@dataclass(frozen=True, eq=False, repr=False)
class Space:
    """One form of a space: its decisions, its sizes, and the networks that can be built from it.

    Made by :func:`spacec.load` and :func:`spacec.loads`. Two forms with one :attr:`digest` share architectures.
    """

    name: str
    text: str
    """The grammar."""
    header: Mapping[str, Any]
    """Values of the header parameters of this form."""
    presets: tuple[str, ...]
    graph: SpaceGraph = field(repr=False)
    make_table: Callable[[], DecisionTable] = field(repr=False)
    """Makes :attr:`table`; called once."""
    limited: bool = False
    """Whether the space has constraints."""
    warnings: tuple[Diagnostic, ...] = ()

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.header.items())
        return f"<Space {self.name}({given}) {self.digest}: {len(self.decisions)} decisions>"

    # what it is

    @cached_property
    def table(self) -> DecisionTable:
        """Decisions, slots and costs under their global names."""
        with no_collection():
            return self.make_table()

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that name the decisions of this space, whatever its header parameters."""
        return self.table.digest

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What an architecture decides, in order."""
        return self.table.decisions

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The mask slots of the supernet."""
        return self.table.slots

    @property
    def inputs(self) -> dict[str, TensorType]:
        """Input names and types, without the batch axis."""
        return {port.name: port.type for port in self.graph.inputs}

    @property
    def outputs(self) -> dict[str, TensorType]:
        """Output names and types, without the batch axis."""
        return {port.name: port.type for port in self.graph.outputs}

    @property
    def preconditions(self) -> tuple[Precondition, ...]:
        """What the sizes of the inputs must satisfy; networks check it at their entry."""
        return self.graph.root.preconditions

    @cached_property
    def flat(self) -> FlatGraph:
        """The expanded graph that the back end reads."""
        with no_collection():
            return flatten(self.graph)

    # architectures

    def count(self, owner: str | None = None, where: bool = True) -> int:
        """Exact number of valid architectures; of one owner's part; or, with ``where=False``, before constraints.

        Raises :class:`SpacecError` (E0510) where the constraints couple too much to count.
        """
        return algebra.count(self.table, owner, where)

    def sample(self, n: int = 1, seed: int = 0) -> list[Architecture]:
        """``n`` valid architectures, uniform and independent; the same seed gives the same ones."""
        return sample(self.table, n, seed)

    def enumerate(self, where: bool = True) -> Iterator[Architecture]:
        """Every valid architecture, one after the other."""
        return algebra.enumerate_architectures(self.table, where)

    def architecture(self, spec: str | Path | Mapping[str, Any]) -> Architecture:
        """An architecture from its one-line text, from JSON (data or a file's name), or ``random:SEED``.

        Raises :class:`SpacecError` where it does not belong to this space, naming what differs.
        """
        return codec.read_architecture(self.table, spec)

    def to_json(self, arch: Architecture) -> dict[str, Any]:
        """An architecture as plain data; :meth:`architecture` reads it back."""
        data: dict[str, Any] = json.loads(codec.to_json(arch))
        return data

    def validate(self, arch: Architecture, where: bool = True) -> None:
        """Raise :class:`SpacecError` where ``arch`` is no valid architecture of this form."""
        validate(self.table, arch, where)

    def infeasible(self) -> Diagnostic | None:
        """A warning (W0511) where the constraints are known, after bounded work, to leave no architecture."""
        return infeasible(self.table) if self.limited else None

    def violated(self, arch: Architecture) -> tuple[Diagnostic, ...]:
        """Warnings (W0606) for the constraints that ``arch`` does not satisfy: it is built all the same."""
        return violated(self.table, arch.values)

    def mutate(self, arch: Architecture, seed: int = 0) -> Architecture:
        """A valid architecture that differs in one decision (and what that makes active)."""
        return variation.mutate(self.table, arch, seed)

    def crossover(self, a: Architecture, b: Architecture, seed: int = 0) -> Architecture:
        """A valid architecture that takes each decision from one of two parents."""
        return variation.crossover(self.table, a, b, seed)

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Every valid architecture one decision away."""
        return variation.neighbours(self.table, arch)

    def derive(self, probabilities: Mapping[str, Sequence[float]]) -> Architecture:
        """The architecture that slot probabilities stand for (language, rule 7)."""
        return derive(self.table, probabilities)

    # costs

    def params(self, arch: Architecture) -> int:
        """Number of weights of the network of ``arch``."""
        return int(self.cost(arch, "params"))

    def macs(self, arch: Architecture, **sizes: int) -> int:
        """Multiplies of convolutions and linear maps for one sample; ``sizes`` gives free input sizes (``H=64``)."""
        return int(self.cost(arch, "macs", **sizes))

    def cost(self, arch: Architecture, name: str, **sizes: int) -> int | float:
        """A cost by name, exactly (a latency: in milliseconds).

        Raises :class:`SpacecError` (E0512) for an unknown one or a missing size.
        """
        return cost(self.table, arch, name, sizes)

    def expected_cost(self, mask: Mapping[str, Any], name: str, **sizes: int) -> Any:
        """The cost expected under independent soft masks; tensors pass through, so it is differentiable in them."""
        return expected_cost(self.table, mask, name, sizes)

    def supernet_params(self) -> int:
        """Number of weights of the supernet, without building it."""
        return sum(self._largest(term.amount) for term in self.table.costs["params"])

    def frozen_params(self) -> int:
        """How many of the supernet's weights the space does not train, without building it."""
        nodes = (node for region in self.graph.regions() for node in region.nodes)
        if not any(is_frozen(n.step) for n in nodes if isinstance(n, OpNode | CallNode)):
            return 0
        ops = {op.key: op for op in self.flat.nodes if isinstance(op, FlatOp) and op.frozen}
        found = (op.spec.rule(op.attrs, tuple(self.flat.nodes[i].type for i in op.inputs)) for op in ops.values())
        return sum(self._largest(result.params) for result in found)

    def _largest(self, amount: Dim) -> int:
        """An amount where every size in it is largest."""

        def value(symbol: Symbol) -> int:
            smallest = self.table.by_id[symbol.name].grows is False
            return (min if smallest else max)(symbol.domain or (0,))

        return int(evaluate(largest_of(amount, {}), value))

    # networks

    def supernet(self, seed: int | None = None) -> Supernet:
        """All architectures in one ``nn.Module`` with shared weights; ``None`` draws from torch's generator."""
        from spacec.lower.supernet import Supernet

        return Supernet(self.flat, self.table, seed)

    def network(
        self,
        arch: Architecture | str,
        seed: int | None = None,
        *,
        weights: Supernet | None = None,
        prune: bool = False,
    ) -> Network:
        """One architecture as an ``nn.Module``.

        ``weights`` copies those of a supernet; ``prune`` leaves out layers whose result nothing reads.
        """
        from spacec.lower.network import Network, transfer

        network = Network(self.flat, self.table, self._valid(arch), seed, prune)
        if weights is not None:
            transfer(weights, network)
        return network

    def source(self, arch: Architecture | str, *, facts: Iterable[str] = (), prune: bool = False) -> str:
        """Stand-alone Python source of one network; it imports torch only. ``facts`` are lines for its docstring."""
        from spacec.lower.emit import emit_source

        return emit_source(self.flat, self.table, self._valid(arch), facts, prune)

    def mask(self, arch: Architecture) -> Mask:
        """The mask under which a supernet runs exactly ``arch``."""
        from spacec.lower.masks import architecture_mask

        return architecture_mask(self.table, arch)

    def recalibrate_norm(
        self, model: nn.Module, batches: Iterable[tuple[Tensor, ...]], mask: Mask | None = None
    ) -> None:
        """Re-estimate the running statistics of norms on ``batches``; ``mask`` for a supernet."""
        from spacec.lower.norms import recalibrate_norm

        recalibrate_norm(model, batches, None if mask is None else lambda batch: model(*batch, mask=mask))

    def _valid(self, arch: Architecture | str) -> Architecture:
        if isinstance(arch, str):
            return self.architecture(arch)
        self.validate(arch, where=False)
        return arch
