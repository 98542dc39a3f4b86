"""Conditions over what an architecture chooses: tabulated over the decisions that they mention.

A comparison that sizes and value choices leave open is settled for every assignment of their
decisions, so what comes out is exact; sizes that the input decides stay undecided.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

from spacec.ir.conditions import ALWAYS, NEVER, Cond, Is, both, conjuncts, decisions, either, holds
from spacec.ir.dims import Dim, Poly, Symbol, poly, symbols
from spacec.ir.graph import DecisionDecl, DecisionRef
from spacec.ir.sizes import evaluate, substitute
from spacec.ir.types import TensorType
from spacec.sema.values import Options, Pack, Tensor, Test, TypeView, Value

MAX_CASES = 4_096
"""Assignments that one condition is tabulated over."""

Case = Mapping[DecisionRef, int]
"""Decisions to the candidates that they take."""

Pick = tuple[int, ...]
"""The candidates that some decisions take, in their order."""


def variables_of(*values: Value) -> tuple[DecisionRef, ...]:
    """The value decisions that some data depends on, in a stable order."""
    found: dict[DecisionRef, None] = {}
    for value in values:
        match value:
            case Test():
                found.update(dict.fromkeys(value.decisions))
            case Options():
                found[value.decision] = None
                found.update(dict.fromkeys(variables_of(*value.values)))
            case Pack():
                found.update(dict.fromkeys(variables_of(*value.items)))
            case Tensor() | TypeView():
                found.update(dict.fromkeys(r for d in value.type.dims for r in _chosen(d)))
            case Poly():
                found.update(dict.fromkeys(_chosen(value)))
            case _:
                pass
    return tuple(found)


def _chosen(dim: Dim) -> list[DecisionRef]:
    """The decisions of a size whose candidates are the values of its symbol."""
    refs = (_decision(s) for s in sorted(symbols(dim), key=lambda s: s.name))
    return [ref for ref in refs if ref is not None]


def _decision(symbol: Symbol) -> DecisionRef | None:
    declared = symbol.ref
    if isinstance(declared, DecisionDecl) and declared.kind == "value" and declared.single and symbol.part is None:
        return DecisionRef((), declared)
    return None


def cases(over: Sequence[DecisionRef]) -> Iterator[dict[DecisionRef, int]] | None:
    """Every assignment, or ``None`` where there are too many."""
    picks = _picks(over)
    return None if picks is None else (dict(zip(over, pick, strict=True)) for pick in picks)


def combinations(*values: Value) -> int:
    """How many cases a condition over some data is tabulated over, at most :data:`MAX_CASES`."""
    found = variables_of(*values)
    return min(MAX_CASES, prod(len(ref.decision.labels) for ref in found)) if found else 0


def _picks(over: Sequence[DecisionRef]) -> Iterator[Pick] | None:
    sizes = [len(ref.decision.labels) for ref in over]
    return itertools.product(*map(range, sizes)) if prod(sizes) <= MAX_CASES else None


def under(value: Value, case: Case) -> Value:
    """Data with the decisions of ``case`` taken."""
    match value:
        case Options() if value.decision in case:
            return under(value.values[case[value.decision]], case)
        case Options():
            return replace(value, values=tuple(under(v, case) for v in value.values))
        case Pack():
            return Pack(tuple(under(v, case) for v in value.items))
        case Tensor() | TypeView():
            return TypeView(type_under(value.type, case))
        case Poly():
            return size_under(value, case)
        case Test():
            return tuple(case[d] for d in value.decisions) in value.holds
        case _:
            return value


def size_under(dim: Dim, case: Case) -> Dim:
    def taken(symbol: Symbol) -> Dim:
        ref = _decision(symbol)
        if ref is None or ref not in case:
            return poly(symbol)
        return (symbol.domain or ())[case[ref]]

    return substitute(dim, taken)


def type_under(type: TensorType, case: Case) -> TensorType:
    if not type.symbols:
        return type
    return TensorType(size_under(type.channels, case), tuple(size_under(d, case) for d in type.space), type.kind)


def tabulate(values: Sequence[Value], verdict: Callable[[Sequence[Value]], bool | None]) -> Test | bool | None:
    """A condition over decisions; ``None`` where it is not decided by them, or where they have too many cases."""
    mentioned = variables_of(*values)
    picks = _picks(mentioned)
    if not mentioned or picks is None:
        return None
    readers = [_reader(v, mentioned) for v in values]
    true: set[Pick] = set()
    count = 0
    for pick in picks:
        count += 1
        found = verdict([read(pick) for read in readers])
        if found is None:
            return None
        if found:
            true.add(pick)
    if len(true) in (0, count):
        return bool(true)
    return Test(mentioned, frozenset(true))


def _reader(value: Value, over: Sequence[DecisionRef]) -> Callable[[Pick], Value]:
    """:func:`under` for one value and many picks of the same decisions; numbers are read without making sizes."""
    match value:
        case int() | float() | str():
            return lambda pick: value
        case Poly():
            places = {s: over.index(ref) for s in value.symbols if (ref := _decision(s)) in over and ref is not None}
            if len(places) == len(value.symbols):
                return _size_reader(value, places)
        case Test():
            own = [over.index(ref) for ref in value.decisions]
            return lambda pick: tuple(pick[k] for k in own) in value.holds
        case _:
            pass
    return lambda pick: under(value, dict(zip(over, pick, strict=True)))


def _size_reader(size: Poly, places: Mapping[Symbol, int]) -> Callable[[Pick], Value]:
    """The number that a size is, by the picks of its symbols."""
    if len(places) == 1 and size == poly(next(iter(places))):
        ((symbol, place),) = places.items()
        domain = symbol.domain or ()
        return lambda pick: domain[pick[place]]

    def read(pick: Pick) -> Value:
        number = evaluate(size, lambda s: (s.domain or ())[pick[places[s]]])
        return number if isinstance(number, int) else Poly((((), number),))

    return read


def negation(test: Test) -> Test:
    """The test that holds where this one does not."""
    every = itertools.product(*(range(len(ref.decision.labels)) for ref in test.decisions))
    return Test(test.decisions, frozenset(every) - test.holds)


def condition_of(test: Test) -> Cond:
    """The test in the normal form of conditions: told apart decision by decision, equal cases together."""
    return _split(test.decisions, test.holds)


def _split(over: tuple[DecisionRef, ...], rows_left: frozenset[tuple[int, ...]]) -> Cond:
    if not over:
        return ALWAYS if rows_left else NEVER
    rest: dict[int, set[tuple[int, ...]]] = {}
    for row in rows_left:
        rest.setdefault(row[0], set()).add(row[1:])
    groups: dict[frozenset[tuple[int, ...]], list[int]] = {}
    for candidate in sorted(rest):
        groups.setdefault(frozenset(rest[candidate]), []).append(candidate)
    size = len(over[0].decision.labels)
    parts: list[Cond] = []
    for rows, candidates in groups.items():
        first = ALWAYS if len(candidates) == size else Is(over[0], frozenset(candidates))
        parts.append(both(first, _split(over[1:], rows)))
    return either(*parts)


def excludes(guard: Cond, decision: DecisionRef, candidate: int) -> bool:
    """Whether a conjunction visibly rules out that a decision takes a candidate."""
    return any(isinstance(p, Is) and p.decision == decision and candidate not in p.candidates for p in conjuncts(guard))


def rules_out(guard: Cond, case: Case) -> bool:
    """Whether some part of a conjunction that the case decides does not hold in it."""
    known = (p for p in conjuncts(guard) if decisions(p) <= case.keys())
    return any(not holds(p, lambda d: case[d] if isinstance(d, DecisionRef) else None) for p in known)


def possible(value: Value, guard: Cond) -> Value:
    """Data that is handed on under a guard, with the options that the guard rules out."""
    if isinstance(value, Pack):
        return Pack(tuple(possible(v, guard) for v in value.items))
    if not isinstance(value, Options):
        return value
    ruled_out = frozenset(k for k in range(len(value.values)) if excludes(guard, value.decision, k))
    return replace(value, values=tuple(possible(v, guard) for v in value.values), ruled_out=value.ruled_out | ruled_out)


def holds_in(test: Test | bool, case: Case) -> bool:
    """Whether a test holds in a case that assigns all its decisions."""
    return test if isinstance(test, bool) else tuple(case[d] for d in test.decisions) in test.holds


def equal_where(a: Dim, b: Dim, test: Test) -> bool:
    """Whether two sizes are equal in every case in which the test holds."""
    return a == b or difference_where(a, b, test) is None


def difference_where(a: Dim, b: Dim, test: Test) -> Case | None:
    """A case in which the test holds and two sizes differ; the empty one where nobody can tell."""
    over = tuple(dict.fromkeys((*test.decisions, *_chosen(a), *_chosen(b))))
    picks = _picks(over)
    if picks is None:
        return {}
    holds_at, left, right = _reader(test, over), _reader(a, over), _reader(b, over)
    for pick in picks:
        if holds_at(pick) and left(pick) != right(pick):
            return dict(zip(over, pick, strict=True))
    return None


def case_text(case: Case) -> str:
    """``w = 8, k = 3``, for the note of a diagnostic."""
    return ", ".join(f"{ref.decision.name} = {ref.decision.labels[k]}" for ref, k in case.items())
