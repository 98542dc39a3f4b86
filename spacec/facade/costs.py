"""The costs of architectures and of the supernet, told without building either."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from spacec.facade.form import Form
from spacec.ir.dims import Dim, Symbol
from spacec.ir.flat import FlatOp
from spacec.ir.graph import CallNode, OpNode
from spacec.ir.naming import is_frozen
from spacec.ir.sizes import evaluate, largest_of
from spacec.space.applications import CostFunction, function_cost
from spacec.space.architecture import Architecture
from spacec.space.cost import cost, expected_cost
from spacec.space.depth import Counted, depth, depth_bounds
from spacec.space.expectation import mean_cost
from spacec.space.extremes import End, extreme
from spacec.space.factorised import Probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Costs(Form):
    """What networks cost."""

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

    def costs(self, archs: Iterable[Architecture], name: str, **sizes: int) -> NDArray[Any]:
        """A cost of many architectures (best: a :class:`Batch`), exactly; shape [architectures].

        int64; object (Python integers) beyond it; float64 milliseconds for a latency. Raises as :meth:`cost` does.
        """
        from spacec.space.batch import Batch
        from spacec.space.cost_batch import costs_of  # numpy is not needed to check or describe a space

        return costs_of(self.table, Batch.of(self.table, archs), name, sizes)

    def with_cost(self, name: str, function: CostFunction, **sizes: int) -> Self:
        """The space with one more cost, the sum over ops of what ``function(op, attributes, shapes)`` returns.

        It is given the op's name, a dict of its attributes and the shapes of its inputs without the batch (a tuple
        of tuples), once for each distinct application. The cost is one as ``params`` is: for :meth:`cost`,
        :meth:`costs`, :meth:`extreme`, expectations, and ``where``, in which it is called ``name``. ``sizes``
        are those of the inputs, where they are free. Raises ``ValueError`` for a name that is taken.
        """
        made = self.make_costed(name, function, sizes)
        assert isinstance(made, type(self))
        return made

    def latency(self, arch: Architecture, function: CostFunction, **sizes: int) -> float:
        """What a function tells of the ops of one architecture, added up; see :meth:`with_cost`.

        Sizes that follow which elements are picked are no obstacle here. Raises :class:`SpacecError`: E0512 for a
        missing size, E0534 where the function gives no number.
        """
        return float(function_cost(self.flat, self.table, arch, "latency", function, sizes))

    def depth(self, arch: Architecture, counted: Counted = "ops") -> int:
        """Ops on the longest way from an input to an output of the network of ``arch``; ``"layers"``: of those that
        multiply, which are convolutions and linear maps. See :mod:`spacec.space.depth`."""
        return depth(self.graph, arch.values, counted)

    def depth_bounds(self, counted: Counted = "ops") -> tuple[int, int]:
        """Bounds of the depths of all architectures, constraints apart; some space has none that reaches them."""
        return depth_bounds(self.graph, counted)

    def peak_activations(self, arch: Architecture, **sizes: int) -> int:
        """The most numbers that are held at a time while the network of ``arch`` runs on one sample, op by op.

        A value is held from the op that makes it to the last op that reads it, inputs included. Raises
        :class:`SpacecError`: E0512 for a missing size, E0905 where an output is absent.
        """
        from spacec.lower.memory import peak_activations  # what runs, and in which order, the back end knows

        return peak_activations(self.flat, self.table, arch, sizes)

    def extreme(self, name: str, end: End = "min", where: bool = True, **sizes: int) -> Architecture:
        """A valid architecture whose cost is the least (``"min"``) or the largest (``"max"``) of all, exactly.

        Raises :class:`SpacecError`: E0510 where that takes more than a bounded amount of work, E0511 where there is
        no valid architecture, E0512 as :meth:`cost` does.
        """
        return extreme(self.table, name, end, where, sizes=sizes)

    def expected_cost(self, mask: Mapping[str, Any], name: str, **sizes: int) -> Any:
        """The cost expected under independent soft masks; tensors pass through, so it is differentiable in them."""
        return expected_cost(self.table, mask, name, sizes)

    def mean_cost(self, name: str, probabilities: Probabilities | None = None, **sizes: int) -> Any:
        """The cost expected where every active decision is drawn by its own ``probabilities``, constraints apart.

        They are given by id. A vector is of the candidates in order, or of the elements of a subset (coins, given
        that its bounds are met); a decision without one is uniform. Exact, and differentiable in tensors. See
        :mod:`spacec.space.expectation`.
        """
        return mean_cost(self.table, name, probabilities, sizes)

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
