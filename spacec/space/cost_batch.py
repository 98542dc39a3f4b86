"""Costs of many architectures at once, exactly.

Assumes a batch that is consistent with its table (:class:`spacec.space.batch.Batch`). Guarantees what
:func:`spacec.space.cost.cost` gives, one by one: sums are made in int64 where no partial sum can pass it, in
Python's own numbers elsewhere. This module imports numpy, so it is imported by the functions that need it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.dims import Atom, Cases, Poly, Symbol, poly, symbols
from spacec.ir.sizes import evaluate
from spacec.space.batch import Batch
from spacec.space.constraints import Linear, LinearLimit, linear_parts
from spacec.space.cost import CompiledCost, check_sizes, compiled_cost, grouped
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.truths import has_element, has_taken, truths_of
from spacec.space.values import Number, number

WORK = 1 << 25
"""Truth values that are held at a time."""

_LARGEST = 2**63 - 1
_Column = NDArray[Any]


def costs_of(table: DecisionTable, batch: Batch, name: str, sizes: Mapping[str, int] | None = None) -> NDArray[Any]:
    """The cost ``name`` of every architecture of a batch, shape [architectures].

    int64; object (Python integers) where a sum may pass int64; float64 where the cost adds up measurements.
    ``sizes`` are those of the inputs. Raises :class:`SpacecError` (E0512) as :func:`spacec.space.cost.cost` does.
    """
    check_sizes(table, name, sizes or {})
    compiled = compiled_cost(table, name)
    rows = max(1, min(1 << 14, WORK // (len(compiled.pool.nodes) + 1)))
    parts = [
        _Chunk(table, batch.codes[k : k + rows], sizes or {}).total(compiled, name) for k in range(0, len(batch), rows)
    ]
    kind = np.dtype(float if compiled.measured else np.int64)
    return np.concatenate(parts) if parts else np.zeros(0, kind)


def satisfying(batch: Batch, limits: Sequence[LinearLimit]) -> NDArray[np.bool_]:
    """Which architectures satisfy all of these sums of conditional amounts, shape [architectures]."""
    compiled = {id(part): grouped(part.terms) for limit in limits for part in linear_parts(limit)}
    rows = max(1, min(1 << 14, WORK // (1 + max((len(c.pool.nodes) for c in compiled.values()), default=0))))
    parts = [np.zeros(0, bool)]
    for k in range(0, len(batch), rows):
        chunk = _Chunk(batch.table, batch.codes[k : k + rows], {})
        truth = np.ones(chunk.length, bool)
        for limit in limits:
            truth &= chunk.satisfy(limit, compiled)
        parts.append(truth)
    return np.concatenate(parts)


class _Chunk:
    """Some rows of a batch, by columns."""

    def __init__(self, table: DecisionTable, codes: NDArray[Any], sizes: Mapping[str, int]) -> None:
        self.table, self.sizes, self.length = table, sizes, len(codes)
        self.place = {d.id: k for k, d in enumerate(table.decisions)}
        self.codes = np.ascontiguousarray(codes.T)
        self.known: dict[str, _Column] = {}
        """Numbers of symbols, by key."""
        self.placed: dict[str, NDArray[np.int64]] = {}
        self.settled: dict[Cases, _Column] = {}

    def code(self, decision: Decision) -> _Column:
        column: _Column = self.codes[self.place[decision.id]]
        return column if decision.kind == "subset" else column.astype(np.int64, copy=False)

    def total(self, compiled: CompiledCost, name: str) -> NDArray[Any]:
        scale = _scale(compiled)
        return _finished(self.scaled(compiled, scale), scale, compiled.measured, name)

    def scaled(self, compiled: CompiledCost, scale: int) -> NDArray[Any]:
        """The sums times ``scale``, which makes every coefficient a whole number."""
        truths = truths_of(compiled.pool, self.table, self.code, self.length)
        bound, additions = 0, list[tuple[NDArray[np.bool_], int | _Column]]()
        for place, constant, polys in compiled.groups:
            if constant:
                additions.append((truths[place], constant * scale))
                bound += abs(constant) * scale
            for amount in polys:
                for there, value, most in self.monomials(truths[place], amount, scale):
                    additions.append((there, value))
                    bound += most
        exact = bound <= _LARGEST
        total = np.zeros(self.length, np.int64 if exact else object)
        for there, value in additions:
            if isinstance(value, np.ndarray):
                total += np.where(there, value if exact else value.astype(object), 0)
            else:
                total += there * value if exact else there.astype(object) * value
        return total

    def satisfy(self, limit: LinearLimit, compiled: Mapping[int, CompiledCost]) -> NDArray[np.bool_]:
        """In which rows a limit holds; a comparison that names an inactive decision does."""
        if not isinstance(limit, Linear):
            truth = np.full(self.length, limit.conjunction)
            for part in limit.parts:
                join = np.logical_and if limit.conjunction else np.logical_or
                join(truth, self.satisfy(part, compiled), out=truth)
            return truth
        terms = compiled[id(limit)]
        total = self.scaled(terms, _scale(terms))  # a positive factor changes no comparison with zero
        compare = {"<=": np.less_equal, "<": np.less, "==": np.equal, "!=": np.not_equal}[limit.op]
        truth = np.asarray(compare(total, 0), bool)
        for name in limit.mentioned:
            truth |= (self.code(self.table.by_id[name]) < 0).astype(bool)
        return truth

    # ------------------------------------------------------------ amounts

    def monomials(
        self, there: NDArray[np.bool_], amount: Poly, scale: int
    ) -> list[tuple[NDArray[np.bool_], _Column | int, int]]:
        """Where an amount counts, the values of its terms times ``scale``, and the most that each can be."""
        for symbol in amount.symbols:
            if symbol.part is None and symbol.name in self.place:
                there = there & (self.code(self.table.by_id[symbol.name]) >= 0).astype(bool)
        found: list[tuple[NDArray[np.bool_], _Column | int, int]] = []
        for monomial, coefficient in amount.terms:
            value: _Column | int = int(coefficient * scale)
            most = largest = abs(int(coefficient * scale))
            for atom, power in monomial:
                column = self.numbers(atom, there)
                most *= _most(column) ** power
                largest = max(largest, most)
                value = value * (column.astype(object) if largest > _LARGEST else column) ** power
            found.append((there, value, largest))
        return found

    def numbers(self, atom: Atom, there: NDArray[np.bool_]) -> _Column:
        """The number of an atom in each row (anything where it is not there)."""
        if isinstance(atom, Symbol):
            return self.symbol(atom)
        if isinstance(atom, Cases):
            return self.cases(atom)
        inside = sorted(symbols(poly(atom)), key=lambda s: s.key)
        columns = np.array([np.where(there, self.symbol(s), 0) for s in inside]).T
        cases, where = _distinct(columns)
        values: list[Number] = []
        for case, used in zip(cases, np.bincount(where[there], minlength=len(cases)), strict=True):
            given = dict(zip(inside, case, strict=True))
            values.append(evaluate(poly(atom), given.__getitem__) if used else 0)
        return _column(values)[where]

    def cases(self, diagram: Cases) -> _Column:
        """The number that a diagram has in each row: all rows go down it together, level by level."""
        if diagram not in self.settled:
            leaves = [n for n in diagram.nodes if not isinstance(n, tuple)]
            width = 1 + max((len(s.domain or ()) for s in diagram.symbols), default=0)
            branches = np.zeros((len(diagram.nodes), width), np.int64)
            levels = np.full(len(diagram.nodes), -1)
            number_of = np.zeros(len(diagram.nodes), np.int64)
            for k, node in enumerate(diagram.nodes):
                if isinstance(node, tuple):
                    levels[k], branches[k, : len(node) - 1] = node[0], node[1:]
                else:
                    number_of[k] = leaves.index(node)
            at = np.full(self.length, len(diagram.nodes) - 1)
            for level, symbol in enumerate(diagram.symbols):
                (here,) = np.nonzero(levels[at] == level)
                at[here] = branches[at[here], self.places(symbol)[here]]
            self.settled[diagram] = _column(leaves)[number_of[at]]
        return self.settled[diagram]

    def places(self, symbol: Symbol) -> NDArray[np.int64]:
        """Where the numbers of a symbol stand in its domain; what is not in it is not there, so it may be anywhere."""
        if symbol.key not in self.placed:
            of_value = {value: k for k, value in enumerate(symbol.domain or ())}
            values, where = np.unique(self.symbol(symbol), return_inverse=True)
            self.placed[symbol.key] = np.array([of_value.get(v, 0) for v in values.tolist()])[where.reshape(-1)]
        return self.placed[symbol.key]

    def symbol(self, symbol: Symbol) -> _Column:
        if symbol.key not in self.known:
            self.known[symbol.key] = self.symbol_numbers(symbol)
        return self.known[symbol.key]

    def symbol_numbers(self, symbol: Symbol) -> _Column:
        decision = self.table.by_id.get(symbol.name)
        if decision is None:
            return np.full(self.length, self.sizes[symbol.name])
        if symbol.part is not None:
            codes, part = self.code(decision), symbol.part
            subset = decision.kind == "subset"
            picked = has_element(codes, part) if subset else has_taken(codes, len(decision.labels), (part,))
            return picked.astype(np.int64)
        if decision.kind == "subset":
            return np.array([int(code).bit_count() if code >= 0 else 0 for code in self.code(decision).tolist()])
        return _column([number(decision, k) for k in range(len(decision.labels))] + [0])[self.code(decision)]


def _distinct(columns: NDArray[Any]) -> tuple[list[list[Any]], NDArray[np.intp]]:
    """The distinct rows, and the place of each row among them."""
    if columns.dtype == object:
        places: dict[tuple[Any, ...], int] = {}
        where = np.array([places.setdefault(tuple(row), len(places)) for row in columns], np.intp)
        return [list(row) for row in places], where
    rows, where = np.unique(columns, axis=0, return_inverse=True)
    return rows.tolist(), where.reshape(-1)


def _column(values: list[Number]) -> _Column:
    """Numbers as an array: int64 where they fit."""
    whole = all(isinstance(v, int) and abs(v) <= _LARGEST for v in values)
    return np.array(values, np.int64 if whole else object)


def _most(column: _Column) -> int:
    """A whole number that no entry passes, in size."""
    return max(ceil(abs(column.min())), ceil(abs(column.max()))) if len(column) else 0


def _whole(value: Number) -> Number:
    return value.numerator if isinstance(value, Fraction) and value.denominator == 1 else value


def _scale(compiled: CompiledCost) -> int:
    """What makes every coefficient a whole number."""
    coefficients = (c for _, _, polys in compiled.groups for amount in polys for _, c in amount.terms)
    return lcm(1, *(c.denominator for c in coefficients if isinstance(c, Fraction)))


def _finished(total: NDArray[Any], scale: int, measured: bool, name: str) -> NDArray[Any]:
    """The sums without their scale, in the type that they have one by one."""
    if measured:
        exact = total.dtype != object and (not len(total) or int(np.abs(total).max()) < 2**53) and scale < 2**53
        return total / scale if exact else np.array([float(Fraction(int(t), scale)) for t in total.tolist()])
    if scale > 1 or any(isinstance(t, Fraction) for t in (total if total.dtype == object else ())):
        shares = [_whole(Fraction(t) / scale) for t in total.tolist()]
        broken = next((s for s in shares if isinstance(s, Fraction)), None)
        if broken is not None:
            raise SpacecError(Diagnostic("E0512", f"{name} is no whole number ({broken}) under these sizes"))
        return _column(shares)
    return total
