"""Ops as they are applied: each with every combination of sizes that decisions can give it, and when.

Assumes a graph written out with guards that say all that leads to a node. What an op costs by a user's own
function, or by what was measured, is a sum over these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import isfinite
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.conditions import Cond, Is, both
from spacec.ir.dims import Dim, Poly, Symbol, symbols
from spacec.ir.flat import FlatGraph, FlatOp
from spacec.ir.ops import AttrValue
from spacec.ir.sizes import assignments, evaluate
from spacec.space.activity import ConditionPool
from spacec.space.architecture import Architecture
from spacec.space.decisions import CostTerm, Decision, DecisionTable
from spacec.space.values import Number, symbol_number

CostFunction = Callable[[str, Mapping[str, Any], tuple[tuple[int, ...], ...]], float]
"""A user's cost of one op: its name, its attributes, and the shapes of its inputs without the batch."""

MAX_CASES = 10_000
"""Combinations of sizes of one op."""


class OpenSizes(Exception):
    """An op depends on sizes of inputs that are not given: ``names``."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


class TooManySizes(Exception):
    """An op has over :data:`MAX_CASES` combinations of sizes, or sizes that follow which elements are picked."""


def cases_of(
    graph: FlatGraph, decisions: Mapping[str, Decision], node: FlatOp, sizes: Mapping[str, int]
) -> Iterator[tuple[Cond, dict[str, Number]]]:
    """Each combination of sizes of an op, by their symbols' keys, and when the op is there with it.

    ``sizes`` are those of the inputs. Raises :class:`OpenSizes` and :class:`TooManySizes`.
    """
    free = _symbols_of(graph, node)
    decided = frozenset(s for s in free if s.name not in sizes)
    unknown = sorted({s.name for s in decided if s.name not in decisions})
    if unknown:
        raise OpenSizes(unknown)
    cases = assignments(decided, MAX_CASES)
    if cases is None or any(s.part is not None for s in decided):
        raise TooManySizes
    for case in cases:
        when = [Is(s.name, frozenset((decisions[s.name].values.index(v),))) for s, v in case.items()]
        yield both(node.guard, *when), {**sizes, **{s.key: v for s, v in case.items()}}


def function_terms(
    graph: FlatGraph, decisions: Mapping[str, Decision], name: str, function: CostFunction, sizes: Mapping[str, int]
) -> tuple[CostTerm, ...]:
    """The terms of a cost that a user's function tells op by op; it is called once for each distinct application.

    Raises :class:`SpacecError` (E0512) where an input's size is missing, E0534 where the function
    gives no number or an op has too many sizes.
    """
    priced = Priced(name, function)
    sums: dict[Cond, Number] = {}
    for node in graph.nodes:
        if not isinstance(node, FlatOp):
            continue
        try:
            for when, values in cases_of(graph, decisions, node, sizes):
                sums[when] = sums.get(when, 0) + priced(graph, node, values)
        except OpenSizes as error:
            raise SpacecError(missing_sizes(name, error.names)) from None
        except TooManySizes:
            headline = f"`{node.spec.name}` has too many sizes here to ask {name} for each of them"
            raise SpacecError(Diagnostic("E0534", headline, node.span)) from None
    return tuple(CostTerm(when, _amount(n)) for when, n in sums.items() if n)


def function_cost(
    graph: FlatGraph,
    table: DecisionTable,
    arch: Architecture,
    name: str,
    function: CostFunction,
    sizes: Mapping[str, int],
) -> Number:
    """What a user's function tells of the ops of one architecture, added up. Raises as :func:`function_terms` does."""
    priced = Priced(name, function)
    return sum((priced(graph, node, values) for node, values in applied(graph, table, arch, name, sizes)), 0)


def applied(
    graph: FlatGraph, table: DecisionTable, arch: Architecture, name: str, sizes: Mapping[str, int]
) -> Iterator[tuple[FlatOp, dict[str, Number]]]:
    """The ops of an architecture, each with the sizes that it mentions; ``name`` is what asks for them.

    Raises :class:`SpacecError` (E0512) where an input's size is missing.
    """
    pool, truths = ConditionPool(), list[bool]()
    ops = [(node, pool.add(node.guard)) for node in graph.nodes if isinstance(node, FlatOp)]
    pool.extend(truths, len(pool.nodes), arch.values)
    for node, place in ops:
        if not truths[place]:
            continue
        values: dict[str, Number] = dict(sizes)
        free = _symbols_of(graph, node)
        if unknown := sorted({s.name for s in free if s.name not in table.by_id and s.name not in sizes}):
            raise SpacecError(missing_sizes(name, unknown))
        for s in free:
            if s.name in table.by_id:
                values[s.key] = symbol_number(table.by_id[s.name], arch.get(s.name), s.part)
        yield node, values


class Priced:
    """A user's function as one of ops at given sizes; what it said once is remembered."""

    def __init__(self, name: str, function: CostFunction) -> None:
        self.name, self.function = name, function
        self.known: dict[tuple[object, ...], Number] = {}

    def __call__(self, graph: FlatGraph, node: FlatOp, values: Mapping[str, Number]) -> Number:
        attributes = {name: plain(value, values) for name, value in node.attrs.items()}
        shapes = tuple(tuple(_whole(d, values) for d in graph.nodes[i].type.dims) for i in node.inputs)
        key = (node.spec.name, shapes, *attributes.items())
        if key not in self.known:
            self.known[key] = self.checked(self.function(node.spec.name, attributes, shapes), node, shapes)
        return self.known[key]

    def checked(self, given: object, node: FlatOp, shapes: tuple[tuple[int, ...], ...]) -> Number:
        """The number as it is added up: a decimal number as it is written, not its nearest binary fraction."""
        if isinstance(given, Fraction | int):
            return given.numerator if given.denominator == 1 else given
        try:
            number = float(given)  # type: ignore[arg-type]  # whatever can be made a number is one
        except (TypeError, ValueError):
            number = float("nan")
        if not isfinite(number):
            shape = "+".join("x".join(map(str, s)) for s in shapes)
            headline = f"{self.name} of `{node.spec.name}` on {shape} is {given!r}, not a finite number"
            raise SpacecError(Diagnostic("E0534", headline, node.span))
        exact = Fraction(str(number))
        return exact.numerator if exact.denominator == 1 else exact


def plain(value: AttrValue, values: Mapping[str, Number]) -> Any:
    """An attribute with numbers for sizes."""
    if isinstance(value, tuple):
        return tuple(plain(v, values) for v in value)
    return _whole(value, values) if isinstance(value, Poly) else value


def _whole(dim: Dim, values: Mapping[str, Number]) -> int:
    return int(evaluate(dim, lambda s: values[s.key]))


def _amount(number: Number) -> Dim:
    return number if isinstance(number, int) else Poly((((), number),))


def missing_sizes(name: str, sizes: list[str]) -> Diagnostic:
    """E0512: what is asked for depends on these sizes of inputs."""
    headline = f"{name} depends on the size{'s' * (len(sizes) > 1)} {', '.join(sizes)}"
    return Diagnostic("E0512", headline, notes=(f"give it: {sizes[0]} = 64",))


def _symbols_of(graph: FlatGraph, node: FlatOp) -> frozenset[Symbol]:
    types = (graph.nodes[i].type.symbols for i in node.inputs)
    return frozenset[Symbol]().union(*types, *(_symbols(v) for v in node.attrs.values()))


def _symbols(value: AttrValue) -> frozenset[Symbol]:
    if isinstance(value, Poly):
        return symbols(value)
    return frozenset[Symbol]().union(*map(_symbols, value)) if isinstance(value, tuple) else frozenset()
