"""Costs: of an architecture, exactly, and expected under the soft masks of a supernet.

A cost is a sum of amounts over the conditions that hold. A term that mentions an inactive decision
adds nothing. An amount may contain sizes of inputs (``H``, ``W``), which are given with the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.dims import Dim, Poly
from spacec.ir.sizes import evaluate
from spacec.space.activity import ConditionPool
from spacec.space.architecture import Architecture
from spacec.space.decisions import CostTerm, DecisionTable
from spacec.space.relaxation import Relaxation
from spacec.space.values import Number, Value, symbol_number


@dataclass(frozen=True)
class CompiledCost:
    """Terms grouped by condition: node of the pool, the constant part, and the amounts with symbols."""

    pool: ConditionPool
    groups: tuple[tuple[int, int, tuple[Poly, ...]], ...]
    measured: bool
    """Some amounts are no whole numbers by themselves."""


def cost(table: DecisionTable, arch: Architecture, name: str, sizes: Mapping[str, int] | None = None) -> int | float:
    """The cost ``name`` (``"params"``: weights, ``"macs"``: multiplies per sample) of an architecture.

    A whole number, unless it adds up measurements (milliseconds of a latency table).

    ``sizes`` gives the input sizes that the cost is a polynomial of. Raises :class:`SpacecError`
    (E0512) where there is no such cost, a size is missing, or the sizes do not fit the network.
    """
    check_sizes(table, name, sizes or {})
    total = evaluate_cost(table, name, arch.values, sizes)
    if not isinstance(total, int) and compiled_cost(table, name).measured:
        return float(total)
    if not isinstance(total, int):
        raise SpacecError(Diagnostic("E0512", f"{name} is no whole number ({total}) under these sizes"))
    return total


def evaluate_cost(
    table: DecisionTable, name: str, chosen: Mapping[str, Value], sizes: Mapping[str, int] | None = None
) -> Number:
    """The cost under an assignment of the active decisions; every size must be given."""
    compiled = compiled_cost(table, name)
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
                known = symbol.part is not None or symbol.name in chosen
                if known and symbol.key not in numbers:
                    value = chosen.get(symbol.name)
                    numbers[symbol.key] = symbol_number(table.by_id[symbol.name], value, symbol.part)
            if all(s.key in numbers for s in amount.symbols):
                total += evaluate(amount, lambda s: numbers[s.key])
    return total


def expected_cost(
    table: DecisionTable, masks: Mapping[str, Any], name: str, sizes: Mapping[str, int] | None = None
) -> Any:
    """The cost expected when every slot takes a candidate by its mask, independently of the others.

    A mask is a vector of weights that sum to one (a tensor's gradient flows through), an index, or
    ``None`` where the slot has none; a slot without a mask is uniform. This is the relaxation that a
    supernet computes: an element of a pick is present by its slot alone, whatever the pick's
    bounds, and certainly where its slot has no *absent*. Under the index masks of an architecture it
    is that architecture's cost. Raises :class:`SpacecError` (E0512) as :func:`cost` does, and E0607
    where a mask does not fit its slot.
    """
    check_sizes(table, name, sizes or {})
    compiled = compiled_cost(table, name)
    relaxation = Relaxation(table, masks, sizes or {})
    events = relaxation.events(compiled.pool)
    total: Any = 0.0
    for place, constant, polys in compiled.groups:
        if constant:
            total = total + relaxation.distribution.probability(events[place]) * float(constant)
        for amount in polys:
            total = total + relaxation.expected(events[place], amount)
    return total


def free_sizes(table: DecisionTable, name: str) -> tuple[str, ...]:
    """Names of the input sizes that a cost depends on."""
    key = ("free sizes", name)
    found: tuple[str, ...] | None = table.memo.get(key)
    if found is None:
        _check_name(table, name)
        amounts = [t.amount for t in table.costs[name] if not isinstance(t.amount, int)]
        free = {s.name for amount in amounts for s in amount.symbols} - table.by_id.keys()
        found = table.memo[key] = tuple(sorted(free))
    return found


def check_sizes(table: DecisionTable, name: str, sizes: Mapping[str, int]) -> None:
    """Raise E0512 where there is no such cost, or a size that it depends on is missing."""
    missing = [s for s in free_sizes(table, name) if s not in sizes]
    if missing:
        raise SpacecError(
            Diagnostic(
                "E0512",
                f"{name} depends on the size{'s' * (len(missing) > 1)} {', '.join(missing)}",
                notes=(f"give {'them' if len(missing) > 1 else 'it'}: {name}({missing[0]} = 64)",),
            )
        )


_NO_SUMS = ("depth", "peak_activations")
"""What a space tells of an architecture without adding it up over its ops."""


def _check_name(table: DecisionTable, name: str) -> None:
    if name not in table.costs:
        known = ", ".join(sorted(table.costs)) or "none"
        told = f"there is no cost {name!r}: the costs of {table.space} are {known}"
        help = f"`space.{name}` tells it: it is no sum over ops" if name in _NO_SUMS else ""
        if name.startswith("latency"):
            help = "a latency is a cost once a `where` names its table: `--where 'latency(\"FILE.csv\") <= 1000ms'`"
        raise SpacecError(Diagnostic("E0512", told, help=help))


def compiled_cost(table: DecisionTable, name: str) -> CompiledCost:
    """The terms of a cost, grouped once. Raises E0512 where there is no such cost."""
    key = ("cost", name)
    found: CompiledCost | None = table.memo.get(key)
    if found is not None:
        return found
    _check_name(table, name)
    found = table.memo[key] = grouped(table.costs[name])
    return found


def grouped(terms: Iterable[CostTerm]) -> CompiledCost:
    """Terms by their conditions."""
    pool, constants, polys, measured = ConditionPool(), dict[int, int](), dict[int, list[Poly]](), False
    for term in terms:
        place = pool.add(term.when)
        amount: Dim = term.amount
        constants.setdefault(place, 0)
        if isinstance(amount, int):
            constants[place] += amount
        else:
            polys.setdefault(place, []).append(amount)
            measured |= not amount.symbols
    groups = tuple((place, constant, tuple(polys.get(place, ()))) for place, constant in constants.items())
    return CompiledCost(pool, groups, measured)
