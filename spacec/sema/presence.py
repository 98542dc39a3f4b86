"""When a value is there: conditions of sums and choices, simplified by what decisions guarantee, and as numbers."""

from __future__ import annotations

from collections.abc import Iterable

from spacec.ir import cases
from spacec.ir.conditions import ALWAYS, All, Any, Cond, Has, Is, both, conjuncts, either
from spacec.ir.dims import Dim, Symbol, poly, symbols
from spacec.ir.graph import DecisionDecl, DecisionRef, Mention, Region
from spacec.ir.quotients import extreme
from spacec.ir.settled import as_cases, as_dim
from spacec.ir.sizes import Counterexample
from spacec.sema.builder import Builder
from spacec.sema.machine import Machine
from spacec.sema.values import ABSENT, Picked, Tensor, Value, leaves


def present_any(conditions: Iterable[Cond]) -> Cond:
    """The disjunction, true where a decision cannot avoid all of its parts.

    A choice always takes one candidate; a pick of at least k of n elements always has one of any
    n - k + 1 of them.
    """
    result = either(*conditions)
    parts = result.parts if isinstance(result, Any) else frozenset((result,))
    picked: dict[DecisionRef, set[int]] = {}
    for part in parts:
        if isinstance(part, Is) and isinstance(part.decision, DecisionRef):
            if len(part.candidates) == len(part.decision.decision.labels):
                return ALWAYS
        elif isinstance(part, Has) and isinstance(part.decision, DecisionRef):
            picked.setdefault(part.decision, set()).add(part.element)
    for ref, elements in picked.items():
        if len(elements) > ref.decision.size - ref.decision.low:
            return ALWAYS
    return result


def factored(conditions: list[Cond]) -> Cond:
    """:func:`present_any` after taking out what all conditions share."""
    if not conditions:
        return Any(frozenset())
    return both(*_common(conditions), present_any(apart(conditions)))


def apart(conditions: list[Cond]) -> list[Cond]:
    """The conditions without what all of them share."""
    common = _common(conditions)
    return [both(*(conjuncts(c) - common)) for c in conditions]


def _common(conditions: list[Cond]) -> frozenset[Cond]:
    return frozenset.intersection(*map(conjuncts, conditions))


def presence_of(value: Value) -> Cond:
    """When a value, or every tensor of a pack, is there."""
    return both(*(leaf.presence for leaf in leaves(value) if isinstance(leaf, Tensor)))


# ------------------------------------------------------------------ presence as a number


def presence_size(m: Machine, builder: Builder, value: Value) -> Dim:
    """1 where a value is there, else 0."""
    if value is ABSENT:
        return 0
    return indicator(m, builder, value.presence) if isinstance(value, Tensor | Picked) else 1


def indicator(m: Machine, builder: Builder, condition: Cond) -> Dim:
    """1 where a condition of the region at hand holds, else 0. Raises :class:`spacec.ir.cases.TooManyCases`."""
    known = builder.indicators.get(condition)
    if known is None:
        known = builder.indicators[condition] = _indicator(m, builder, condition)
    return known


def _indicator(m: Machine, builder: Builder, condition: Cond) -> Dim:
    match condition:
        case Has(decision=DecisionRef() as ref):
            return poly(_presence_symbol(m, builder, ref, condition.element))
        case Is(decision=DecisionRef() as ref):
            taken = [poly(_presence_symbol(m, builder, ref, k)) for k in sorted(condition.candidates)]
            return extreme("max", tuple(taken))  # not their sum: a soft mask runs several of them
        case All() | Any():
            parts = sorted((indicator(m, builder, p) for p in condition.parts), key=str)
            known = [c for p in parts if (c := as_cases(p)) is not None]
            fn, found = (min, 1) if isinstance(condition, All) else (max, 0)
            return as_dim(cases.fold(fn, [found, *known]))
    raise TypeError(f"{condition} is about no decision of a region")


def literals(m: Machine, builder: Builder, condition: Cond) -> dict[Symbol, int]:
    """Presence symbols that are 1 wherever a condition holds."""
    picked = [c for c in conjuncts(condition) if isinstance(c, Has) and isinstance(c.decision, DecisionRef)]
    return {s: 1 for c in picked for s in symbols(indicator(m, builder, c))}


def _presence_symbol(m: Machine, builder: Builder, ref: DecisionRef, part: int) -> Symbol:
    """The symbol that is 1 where a decision takes its candidate ``part``, or its subset has that element."""
    region = ref.calls[-1].region if ref.calls else builder.region
    mention = m.mentioned.get(ref)
    if mention is None:
        mention = m.mentioned[ref] = Mention(ref, _name(region, ref.decision), len(m.mentioned) + 1)
    if not any(known is mention for known in builder.region.mentions):
        builder.region.mentions.append(mention)
    builder.own = builder.region.singles = True
    d = ref.decision
    limits = (d.size, d.low, d.high) if d.kind == "subset" else (len(d.labels), 1, 1)
    return Symbol(mention.name, (0, 1), mention, part, limits, mention.order)


def _name(region: Region, decision: DecisionDecl) -> str:
    """The last step of its id, for messages."""
    step, before = decision.step, 0
    for other in region.decisions:
        if other is decision:
            break
        before += other.step.name == step.name and other.step.parent is step.parent
    return f"{step.name}[{before}]" if step.name else region.name


def example_text(found: Counterexample) -> str:
    """An architecture in which something goes wrong, by its decisions."""
    parts: dict[str, list[str]] = {}
    for symbol, value in found.items():
        if symbol.part is None:
            parts[symbol.name] = [str(value)]
        else:
            taken = parts.setdefault(symbol.name, [])
            if value:
                taken.append(_taken(symbol))
    texts = [f"{name} = {' and '.join(taken) if taken else 'none of these'}" for name, taken in parts.items()]
    return ", ".join(texts)


def _taken(symbol: Symbol) -> str:
    ref = symbol.ref
    if isinstance(ref, Mention) and ref.ref.decision.kind != "subset" and symbol.part is not None:
        return ref.ref.decision.labels[symbol.part]
    return f"element {symbol.part}"


def mark_sized(dims: Iterable[Dim]) -> None:
    """Note on the decisions whose presence enters these sizes that only an index settles them."""
    for dim in dims:
        for symbol in symbols(dim):
            if symbol.part is not None and isinstance(symbol.ref, Mention):
                symbol.ref.ref.decision.sized = True
