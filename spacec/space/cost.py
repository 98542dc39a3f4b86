"""Costs of an architecture: sums of amounts over the conditions that hold.

A term that mentions a decision which is inactive adds nothing. An amount may still contain sizes of
inputs (``H``, ``W``); they are given with the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.dims import Dim, Poly, evaluate, symbols
from spacec.space.activity import ConditionPool
from spacec.space.architecture import Architecture
from spacec.space.decisions import DecisionTable
from spacec.space.values import Number, Value, number


@dataclass(frozen=True)
class _Compiled:
    """Terms grouped by condition: node of the pool, the constant part, and the amounts with symbols."""

    pool: ConditionPool
    groups: tuple[tuple[int, int, tuple[Poly, ...]], ...]
    free: tuple[str, ...]


def cost(table: DecisionTable, arch: Architecture, name: str, sizes: Mapping[str, int] | None = None) -> int:
    """The cost ``name`` (``"params"``: weights, ``"macs"``: multiplies per sample) of an architecture.

    ``sizes`` gives the input sizes that the cost is a polynomial of. Raises :class:`SpacecError`
    (E0512) where there is no such cost, a size is missing, or the sizes do not fit the network.
    """
    _check_name(table, name)
    missing = [s for s in free_sizes(table, name) if s not in (sizes or {})]
    if missing:
        raise SpacecError(
            Diagnostic(
                "E0512",
                f"{name} depends on the size{'s' * (len(missing) > 1)} {', '.join(missing)}",
                notes=(f"give {'them' if len(missing) > 1 else 'it'}: {name}({missing[0]} = 64)",),
            )
        )
    total = evaluate_cost(table, name, arch.values, sizes)
    if not isinstance(total, int):
        raise SpacecError(Diagnostic("E0512", f"{name} is no whole number ({total}) under these sizes"))
    return total


def evaluate_cost(
    table: DecisionTable, name: str, chosen: Mapping[str, Value], sizes: Mapping[str, int] | None = None
) -> Number:
    """The cost under an assignment of the active decisions; every size must be given."""
    compiled = _compiled(table, name)
    truths: list[bool] = []
    compiled.pool.extend(truths, len(compiled.pool.nodes), chosen)
    numbers: dict[str, Number] = dict(sizes or {})
    total: Number = 0
    for place, constant, polys in compiled.groups:
        if not truths[place]:
            continue
        total += constant
        for amount in polys:
            for symbol in amount.symbols:
                if symbol.name not in numbers and symbol.name in chosen:
                    numbers[symbol.name] = number(table.by_id[symbol.name], chosen[symbol.name])
            if all(s.name in numbers for s in amount.symbols):
                total += evaluate(amount, lambda s: numbers[s.name])
    return total


def free_sizes(table: DecisionTable, name: str) -> tuple[str, ...]:
    """Names of the input sizes that a cost depends on."""
    return _compiled(table, name).free


def _check_name(table: DecisionTable, name: str) -> None:
    if name not in table.costs:
        known = ", ".join(sorted(table.costs)) or "none"
        raise SpacecError(Diagnostic("E0512", f"there is no cost {name!r}: the costs of {table.space} are {known}"))


def _compiled(table: DecisionTable, name: str) -> _Compiled:
    key = ("cost", name)
    found: _Compiled | None = table.memo.get(key)
    if found is not None:
        return found
    pool, constants, polys, free = ConditionPool(), dict[int, int](), dict[int, list[Poly]](), set[str]()
    _check_name(table, name)
    for term in table.costs[name]:
        place = pool.add(term.when)
        amount: Dim = term.amount
        constants.setdefault(place, 0)
        if isinstance(amount, int):
            constants[place] += amount
        else:
            polys.setdefault(place, []).append(amount)
            free |= {s.name for s in symbols(amount)} - table.by_id.keys()
    groups = tuple((place, constant, tuple(polys.get(place, ()))) for place, constant in constants.items())
    found = table.memo[key] = _Compiled(pool, groups, tuple(sorted(free)))
    return found
