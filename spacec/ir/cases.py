"""Numbers that decisions settle, exactly: reduced ordered decision diagrams over symbols with finite domains.

Two diagrams are equal iff they are the same function, so arithmetic that has no normal form as a
polynomial (quotients, remainders, extremes, comparisons) is exact here. Work is bounded by the size
of the diagrams, not by the number of assignments; beyond :data:`MAX_NODES` it is given up.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, partial, reduce

from spacec.ir.symbol import Symbol

Number = int | Fraction

Branch = tuple[int, ...]
"""A level (a place in the symbols), then the place of a node for each value of its symbol's domain."""

MAX_NODES = 50_000
"""Of one diagram."""

_SHOWN = 6


class TooManyCases(Exception):
    """A diagram passed :data:`MAX_NODES`."""


@dataclass(frozen=True)
class Cases:
    """A diagram over ``symbols``, in order: ``nodes`` with children before parents, the root last."""

    symbols: tuple[Symbol, ...]
    nodes: tuple[Number | Branch, ...]

    @cached_property
    def _shape(self) -> int:
        """A hash of whole numbers alone, so that it is the same in every run."""
        return hash(self.nodes)

    @cached_property
    def _hash(self) -> int:
        return hash((self.symbols, self._shape))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def values(self) -> tuple[Number, ...]:
        """Every number that it can be, ascending."""
        return tuple(sorted(n for n in self.nodes if not isinstance(n, tuple)))

    @cached_property
    def key(self) -> str:
        """A text that tells different diagrams apart, the same in every run."""
        return f"cases {self._shape} {' '.join(s.key for s in self.symbols)}"

    def __str__(self) -> str:
        if len(self.values) > _SHOWN:
            return f"{{{self.values[0]} … {self.values[-1]}}}"
        return "{" + ", ".join(map(str, self.values)) + "}"

    def at(self, value: Callable[[Symbol], Number]) -> Number:
        """The number under an assignment."""
        node = self.nodes[-1]
        while isinstance(node, tuple):
            symbol = self.symbols[node[0]]
            node = self.nodes[node[1 + _place(symbol, value(symbol))]]
        return node

    def reachable(self, known: Mapping[str, Number]) -> set[Number]:
        """The numbers that are left once the symbols in ``known`` (by key) are settled."""
        places = [_place(s, known[s.key]) if s.key in known else None for s in self.symbols]
        numbers, seen, stack = set[Number](), set[int](), [len(self.nodes) - 1]
        while stack:
            at = stack.pop()
            if at in seen:
                continue
            seen.add(at)
            node = self.nodes[at]
            if not isinstance(node, tuple):
                numbers.add(node)
            elif (place := places[node[0]]) is not None:
                stack.append(node[1 + place])
            else:
                stack.extend(node[1:])
        return numbers


def _place(symbol: Symbol, value: Number) -> int:
    return (symbol.domain or ()).index(int(value))


def order_of(symbol: Symbol) -> tuple[int, str, int]:
    """The order of symbols in every diagram: decisions as they were met, their parts together."""
    return symbol.order, symbol.name, -1 if symbol.part is None else symbol.part


@dataclass(frozen=True)
class Unless:
    """The first number, or ``otherwise`` where the second is 0."""

    otherwise: Number

    def __call__(self, number: Number, there: Number) -> Number:
        return number if there else self.otherwise


def truths(a: Number, b: Number) -> int:
    """1 where neither is 0."""
    return int(bool(a and b))


class _Table:
    """Nodes of a diagram in the making; equal nodes are one."""

    def __init__(self) -> None:
        self.nodes: list[Number | Branch] = []
        self.known: dict[Number | Branch, int] = {}

    def branch(self, level: int, children: list[int]) -> int:
        """The place of a branch; of its child where all children are one."""
        first = children[0]
        return first if children.count(first) == len(children) else self.put((level, *children))

    def put(self, node: Number | Branch) -> int:
        place = self.known.get(node)
        if place is None:
            place = self.known[node] = len(self.nodes)
            if place >= MAX_NODES:
                raise TooManyCases
            self.nodes.append(node)
        return place

    def finish(self, symbols: tuple[Symbol, ...]) -> Cases | Number:
        """The diagram whose root was reached last, without the symbols that do not matter."""
        root = self.nodes[-1]
        if not isinstance(root, tuple):
            return root
        used = sorted({n[0] for n in self.nodes if isinstance(n, tuple)})
        if len(used) == len(symbols):
            return Cases(symbols, tuple(self.nodes))
        level = {old: new for new, old in enumerate(used)}
        nodes = [(level[n[0]], *n[1:]) if isinstance(n, tuple) else n for n in self.nodes]
        return Cases(tuple(symbols[k] for k in used), tuple(nodes))


def of_symbol(symbol: Symbol) -> Cases | Number:
    """The value of a symbol with a finite domain."""
    domain = symbol.domain or ()
    return Cases((symbol,), (*domain, (0, *range(len(domain))))) if len(domain) > 1 else domain[0]


Operation = Callable[[Number, Number], Number]

_Nodes = tuple[Number | Branch, ...]
_Kept = tuple[tuple[int, ...], _Nodes] | Number
"""A result without its symbols: the levels that it keeps, and its nodes."""

KEPT = 200_000
"""Nodes of results that a memory holds before it takes no more."""


@dataclass
class _Memory:
    """Results by the structure of what they were made of: symbols enter by their order alone."""

    found: dict[object, tuple[list[_Nodes], _Kept]] = field(default_factory=dict)
    room: int = KEPT

    def recall(
        self, what: object, operands: tuple[Cases | Number, ...], make: Callable[[], Cases | Number]
    ) -> Cases | Number:
        """What ``make`` gives, which must depend on ``what`` and on the structure of the operands alone."""
        diagrams = [x for x in operands if isinstance(x, Cases)]
        symbols = _joined(diagrams)
        level = {s: k for k, s in enumerate(symbols)}
        shapes = [(x._shape, *[level[s] for s in x.symbols]) if isinstance(x, Cases) else x for x in operands]
        key, nodes = (what, *shapes), [d.nodes for d in diagrams]
        known = self.found.get(key)
        if known is not None and known[0] == nodes:
            kept = known[1]
            return Cases(tuple([symbols[k] for k in kept[0]]), kept[1]) if isinstance(kept, tuple) else kept
        found = make()
        size = len(found.nodes) if isinstance(found, Cases) else 1
        if size <= self.room:
            self.room -= size
            kept = (tuple([level[s] for s in found.symbols]), found.nodes) if isinstance(found, Cases) else found
            self.found[key] = nodes, kept
        return found


_memory: ContextVar[_Memory | None] = ContextVar("memory of merged diagrams", default=None)


@contextmanager
def remembered() -> Iterator[None]:
    """Within it, merging diagrams of the same structure is done once.

    Every use of a definition computes the same numbers over decisions of its own.
    """
    token = _memory.set(_Memory())
    try:
        yield
    finally:
        _memory.reset(token)


def merge(fn: Operation, a: Cases | Number, b: Cases | Number, zero: bool = False) -> Cases | Number:
    """``fn(a, b)``, case by case; ``zero``: it is 0 wherever ``b`` is. Raises :class:`TooManyCases`.

    Under :func:`remembered` a result is found again for an equal ``fn``: one of a module, not one made on the way.
    """
    memory = _memory.get()
    if memory is None or not (isinstance(a, Cases) or isinstance(b, Cases)):
        return _merge(fn, a, b, zero)
    return memory.recall((fn, zero), (a, b), lambda: _merge(fn, a, b, zero))


def fold(fn: Operation, items: Sequence[Cases | Number]) -> Cases | Number:
    """``fn`` over one or more numbers, from the left, case by case. Raises :class:`TooManyCases`."""
    return reduce(partial(merge, fn), items)


def _joined(diagrams: list[Cases]) -> tuple[Symbol, ...]:
    """The symbols of diagrams, in order."""
    first = diagrams[0].symbols
    if all(d.symbols == first for d in diagrams):
        return first
    return tuple(sorted({s for d in diagrams for s in d.symbols}, key=order_of))


def _merge(fn: Operation, a: Cases | Number, b: Cases | Number, zero: bool) -> Cases | Number:
    if not isinstance(a, Cases):
        return _mapped(lambda y: fn(a, y), b) if isinstance(b, Cases) else fn(a, b)
    if not isinstance(b, Cases):
        return _mapped(lambda x: fn(x, b), a)
    left, right = a.nodes, b.nodes
    symbols = _joined([a, b])
    at_left, at_right = _levels(a, symbols), _levels(b, symbols)
    last, width = len(symbols), len(right)
    table, known = _Table(), dict[int, int]()
    put = table.put

    def visit(i: int, j: int) -> int:
        key = i * width + j
        found = known.get(key)
        if found is not None:
            return found
        p, q = at_left[i], at_right[j]
        if q == last and zero and right[j] == 0:
            found = put(0)
        elif p == last and q == last:
            found = put(fn(left[i], right[j]))  # type: ignore[arg-type]  # both are leaves
        else:
            x, y = left[i], right[j]
            below: list[int] = []
            for k in range(1, len(x if p <= q else y)):  # type: ignore[arg-type]  # a branch, as it has a level
                below.append(visit(x[k] if p <= q else i, y[k] if q <= p else j))  # type: ignore[index]  # as above
            first = below[0]
            found = first if below.count(first) == len(below) else put((p if p < q else q, *below))
        known[key] = found
        return found

    visit(len(left) - 1, len(right) - 1)
    return table.finish(symbols)


def _levels(cases: Cases, symbols: tuple[Symbol, ...]) -> list[int]:
    """The level of every node among ``symbols``; leaves are below all."""
    level = {s: k for k, s in enumerate(symbols)}
    own = [level[s] for s in cases.symbols]
    return [own[n[0]] if isinstance(n, tuple) else len(symbols) for n in cases.nodes]


def _mapped(fn: Callable[[Number], Number], cases: Cases) -> Cases | Number:
    """``fn`` of the number, case by case."""
    table = _Table()
    place: list[int] = []
    for node in cases.nodes:
        place.append(
            table.branch(node[0], [place[c] for c in node[1:]]) if isinstance(node, tuple) else table.put(fn(node))
        )
    return table.finish(cases.symbols)


def renamed(cases: Cases, name: Callable[[Symbol], Symbol]) -> Cases:
    """With other symbols in place of its own, which keep their order."""
    return Cases(tuple(map(name, cases.symbols)), cases.nodes)


def settled(cases: Cases, known: Mapping[Symbol, int]) -> Cases | Number:
    """With some symbols settled."""
    ways = tuple([_place(s, known[s]) if s in known else None for s in cases.symbols])
    memory = _memory.get()
    if memory is None:
        return _settled(cases, ways)
    return memory.recall(("settled", ways), (cases,), lambda: _settled(cases, ways))


def _settled(cases: Cases, ways: tuple[int | None, ...]) -> Cases | Number:
    """With symbols settled; ``ways`` has the place of each one's value, or ``None``."""
    table, place = _Table(), dict[int, int]()

    def visit(i: int) -> int:
        if i not in place:
            node = cases.nodes[i]
            if not isinstance(node, tuple):
                place[i] = table.put(node)
            elif (way := ways[node[0]]) is not None:
                place[i] = visit(node[1 + way])
            else:
                place[i] = table.branch(node[0], [visit(c) for c in node[1:]])
        return place[i]

    visit(len(cases.nodes) - 1)
    return table.finish(cases.symbols)


def possible(symbols: Iterable[Symbol]) -> Cases | Number:
    """1 for the assignments that decisions can give: a subset of the right size, one candidate of a choice."""
    groups: dict[tuple[str, object], list[Symbol]] = {}
    for symbol in sorted(symbols, key=order_of):
        if symbol.part is not None:
            groups.setdefault((symbol.name, symbol.ref), []).append(symbol)
    care: Cases | Number = 1
    for parts in groups.values():
        size, low, high = parts[0].limits
        least, most = low - (size - len(parts)), high
        if least <= 0 and most >= len(parts):
            continue
        count: Cases | Number = 0
        for part in parts:
            count = merge(operator.add, count, of_symbol(part))
        inside = merge(lambda a, b, bounds=(least, most): int(bounds[0] <= a <= bounds[1]), count, 0)  # type: ignore[misc]  # bound now
        care = merge(operator.mul, care, inside)
    return care


def example(cases: Cases | Number) -> dict[Symbol, int] | None:
    """An assignment under which it is not zero (of the symbols that matter for it), or ``None``."""
    if not isinstance(cases, Cases):
        return {} if cases else None
    found: dict[Symbol, int] = {}
    node = cases.nodes[-1]
    zero = next((k for k, n in enumerate(cases.nodes) if n == 0), -1)
    while isinstance(node, tuple):
        place = next(k for k, child in enumerate(node[1:]) if child != zero)
        symbol = cases.symbols[node[0]]
        found[symbol] = (symbol.domain or ())[place]
        node = cases.nodes[node[1 + place]]
    return found
