"""Decision tables for the tests: random small ones, published ones, and a brute-force oracle.

The oracle shares nothing with the algebra but the definition: it lists all assignments by trying
every value, and evaluates conditions, costs and constraints as written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import combinations
from math import prod
from random import Random

from hypothesis import strategies as st

from spacec.ir.conditions import ALWAYS, NEVER, Cond, Has, Is, both, either, holds
from spacec.ir.dims import Dim, Symbol, poly, symbols
from spacec.ir.graph import DecisionKind
from spacec.ir.quotients import ceil_div, extreme
from spacec.ir.sizes import evaluate
from spacec.space.decisions import Constraint, CostTerm, Decision, DecisionTable, Forbidden, Junction, Limit, Slot

Values = dict[str, "int | tuple[int, ...]"]

OWNERS = ("net", "cell", "walk[0, 1]")
DARTS_OPS = ("max3", "avg3", "skip", "sep3", "sep5", "dil3", "dil5")
TABULAR = (8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 384, 512)


# published spaces


def darts(owners: tuple[str, ...] = ("normal", "reduce"), where: tuple[Constraint, ...] = ()) -> DecisionTable:
    """Two cells of four picks of 2, each element with seven operations."""
    found: list[Decision] = []
    slots: list[Slot] = []
    for owner in owners:
        for node in range(4):
            pick = f"{owner}.pick[{node}]"
            found.append(Decision(pick, owner, "subset", low=2, high=2, size=node + 2))
            for e in range(node + 2):
                edge = f"{pick}.edge[{e}]"
                found.append(Decision(edge, owner, "op", DARTS_OPS, active=Has(pick, e)))
                slots.append(Slot(edge, ("absent", *DARTS_OPS), edge, pick, e, absent=True))
    digests = {o: f"{i:08x}" for i, o in enumerate(owners, 1)}
    costs = {"params": tuple(CostTerm(Is(d.id, frozenset({k})), 7 * k * k) for d in found[1:] for k in range(3, 7))}
    return DecisionTable("darts", "9c41e07a", tuple(found), tuple(slots), costs, where, digests)


def nas_bench_201() -> DecisionTable:
    ops = ("none", "skip", "conv1", "conv3", "pool")
    found = tuple(Decision(f"cell.edge[{i}]", "cell", "op", ops) for i in range(6))
    return DecisionTable("nas_bench_201", "00000201", found, tuple(Slot(d.id, ops, d.id) for d in found))


def clearer() -> DecisionTable:
    ops = ("parallel", "fusion")
    found = tuple(Decision(f"net.column[{i}]", "net", "op", ops) for i in range(12))
    return DecisionTable("clearer", "0000c1ea", found, tuple(Slot(d.id, ops, d.id) for d in found))


def tabular(limit: int = 41153) -> DecisionTable:
    """Three widths; the weights of four dense layers with biases on 1027 features."""
    labels = tuple(map(str, TABULAR))
    found = tuple(Decision(f"net.linear[{i}].out", "net", "value", labels, TABULAR, elastic=True) for i in range(3))
    a, b, c = (poly(Symbol(d.id, TABULAR, "decision")) for d in found)
    params = a * 1027 + a + a * b + b + b * c + c + c + 1
    where = (Constraint(poly(cost_symbol("params")), "<=", limit, f"params <= {limit}"),)
    slots = tuple(Slot(d.id, labels, d.id) for d in found)
    return DecisionTable("tabular", "07ab07ab", found, slots, {"params": (CostTerm(ALWAYS, params),)}, where)


def cost_symbol(name: str) -> Symbol:
    return Symbol(name, None, "cost")


# the oracle


def all_values(decision: Decision) -> list[int | tuple[int, ...]]:
    if decision.kind != "subset":
        return list(range(len(decision.labels)))
    return [c for k in range(decision.low, decision.high + 1) for c in combinations(range(decision.size), k)]


def brute_force(table: DecisionTable, where: bool = True) -> list[Values]:
    """All valid assignments of the active decisions."""
    found: list[Values] = [{}]
    for decision in table.decisions:
        after: list[Values] = []
        for chosen in found:
            if holds(decision.active, chosen.get):
                after += [{**chosen, decision.id: v} for v in all_values(decision)]
            else:
                after.append(chosen)
        found = after
    return [c for c in found if not where or all(brute_holds(table, k, c) for k in table.constraints)]


def size_of(table: DecisionTable, chosen: Mapping[str, int | tuple[int, ...]], name: str) -> int | Fraction | None:
    value = chosen.get(name)
    if value is None or isinstance(value, tuple):
        return None if value is None else len(value)
    return table.by_id[name].values[value]  # type: ignore[return-value]  # tables here have numbers only


def brute_cost(table: DecisionTable, name: str, chosen: Mapping[str, int | tuple[int, ...]]) -> int | Fraction:
    total: int | Fraction = 0
    for term in table.costs[name]:
        sizes = {s: size_of(table, chosen, s.name) for s in symbols(term.amount)}
        if holds(term.when, chosen.get) and None not in sizes.values():
            total += evaluate(term.amount, sizes.__getitem__)  # type: ignore[arg-type]  # no None is left
    return total


def brute_holds(table: DecisionTable, limit: Limit, chosen: Mapping[str, int | tuple[int, ...]]) -> bool:
    if isinstance(limit, Junction):
        verdicts = [brute_holds(table, part, chosen) for part in limit.parts]
        return (False not in verdicts) if limit.conjunction else (True in verdicts)
    if isinstance(limit, Forbidden):
        return not holds(limit.when, chosen.get)
    return brute_compares(table, limit, chosen)


def brute_compares(table: DecisionTable, constraint: Constraint, chosen: Mapping[str, int | tuple[int, ...]]) -> bool:
    used = symbols(constraint.left) | symbols(constraint.right)
    sizes = {s: brute_cost(table, s.name, chosen) if s.ref == "cost" else size_of(table, chosen, s.name) for s in used}
    if None in sizes.values():
        return True
    left, right = (evaluate(d, sizes.__getitem__) for d in (constraint.left, constraint.right))  # type: ignore[arg-type]
    return bool(eval(f"left {constraint.op} right", {"left": left, "right": right}))


# random tables


def tables(constrained: bool | None = None) -> st.SearchStrategy[DecisionTable]:
    """Random tables; ``constrained``: with constraints, without, or (``None``) either.

    Built from a seed, which is many times faster than drawing every part; failures shrink by size.
    """
    seeds = st.integers(0, 2**32 - 1)
    return st.builds(random_table, st.integers(1, 7), seeds, st.just(constrained))


def random_table(size: int, seed: int, constrained: bool | None = None) -> DecisionTable:
    """A few decisions of all kinds (at most about 800 assignments), nested conditions, elastic costs, constraints."""
    rng = Random(seed)
    found: list[Decision] = []
    for i in range(size):
        found.append(random_decision(rng, f"d{i}", found))
        if prod(d.cardinality for d in found) > 100:
            break
    numbered = [d for d in found if d.kind != "op"]
    costs = {
        name: tuple(
            CostTerm(random_condition(rng, found), random_amount(rng, numbered)) for _ in range(rng.randrange(7))
        )
        for name in ("params", "macs")
    }
    least = 0 if constrained is None else 1
    limits = 0 if constrained is False else rng.randint(least, 2)
    where = tuple(random_limit(rng, found, numbered) for _ in range(limits))
    owners = {o: f"{i:08x}" for i, o in enumerate(dict.fromkeys(d.owner for d in found))}
    return DecisionTable("random", "abcdef01", tuple(found), random_slots(rng, found), costs, where, owners)


def random_decision(rng: Random, name: str, earlier: list[Decision]) -> Decision:
    kind: DecisionKind = rng.choice(("op", "subset", "value", "depth"))
    owner = rng.choice(OWNERS)
    active = random_condition(rng, earlier)
    if kind == "subset":
        size = rng.randint(0, 3)
        low = rng.randint(0, size)
        return Decision(name, owner, kind, low=low, high=rng.randint(low, size), size=size, active=active)
    count = rng.randint(1, 3)
    if kind == "op":
        labels = rng.choice((("a", "b", "c"), ("sep 3", "sep-3", "x"), ("conv(3)", "skip", "1")))
        return Decision(name, owner, kind, labels[:count], active=active)
    values = tuple(rng.sample(range(6), count))
    return Decision(name, owner, kind, tuple(map(str, values)), values, elastic=True, active=active)


def random_condition(rng: Random, earlier: list[Decision], leaves: int = 4) -> Cond:
    usable = [d for d in earlier if d.labels or d.size]
    if leaves == 4 and (not usable or rng.random() < 0.3):
        return NEVER if rng.random() < 0.1 else ALWAYS
    if leaves >= 2 and rng.random() < 0.5:
        parts = [random_condition(rng, earlier, leaves // 2) for _ in range(rng.randint(2, 3))]
        return rng.choice((both, either))(*parts)
    d = rng.choice(usable)
    if d.kind == "subset":
        return Has(d.id, rng.randrange(d.size))
    return Is(d.id, frozenset(rng.sample(range(len(d.labels)), rng.randint(1, len(d.labels)))))


def random_amount(rng: Random, numbered: list[Decision]) -> Dim:
    if not numbered or rng.random() < 0.3:
        return rng.randint(-3, 9)
    a, b = (poly(Symbol(rng.choice(numbered).id, None, "decision")) for _ in range(2))
    k = rng.randint(-2, 3)
    return rng.choice((a * k, a * b + b * k + k, extreme("max", (a, b)) + ceil_div(a, 2) * b))


def random_limit(rng: Random, found: list[Decision], numbered: list[Decision], parts: int = 4) -> Limit:
    """A comparison, a forbidden condition, or an *and* or *or* of a few of these."""
    if parts >= 2 and rng.random() < 0.4:
        inner = (random_limit(rng, found, numbered, parts // 2) for _ in range(rng.randint(0, 3)))
        return Junction(rng.random() < 0.5, tuple(inner))
    if rng.random() < 0.2:
        return Forbidden(random_condition(rng, found))
    return random_constraint(rng, numbered)


def random_constraint(rng: Random, numbered: list[Decision]) -> Constraint:
    """About a cost, a size, or both, with a bound near what occurs."""
    left: Dim = poly(cost_symbol(rng.choice(("params", "macs"))))
    if numbered:
        symbol = poly(Symbol(rng.choice(numbered).id, None, "decision"))
        left = rng.choice((left, left, symbol, left * symbol, left * 2 + symbol))
    right = rng.choice((rng.randint(-5, 30), random_amount(rng, numbered)))
    return Constraint(left, rng.choice(("<=", ">=", "==", "!=", "<", ">")), right)


def random_slots(rng: Random, found: list[Decision]) -> tuple[Slot, ...]:
    """A slot per choice; an element of a pick has one of its own, or shares that of a choice inside it."""
    slots: list[Slot] = []
    inside: set[str] = set()
    for d in found:
        if d.kind != "subset":
            continue
        absent = rng.random() < 0.5
        first = ("absent",) if absent else ()
        for e in range(d.size):
            body = next((b for b in found if b.active == Has(d.id, e) and b.kind == "op" and b.id not in inside), None)
            if body is None:
                slots.append(Slot(f"{d.id}#{e}", (*first, "present"), None, d.id, e, absent))
            else:
                inside.add(body.id)
                slots.append(Slot(f"{d.id}#{e}", (*first, *body.labels), body.id, d.id, e, absent))
        if d.size > 1 and rng.random() < 0.3:
            labels = tuple(map(str, range(d.size)))
            slots.append(Slot(f"{d.id}#edges", labels, edges=True, weighs=d.id))
    slots += [Slot(d.id, d.labels, d.id) for d in found if d.kind != "subset" and d.id not in inside]
    return tuple(slots)


def masks(table: DecisionTable, seed: int) -> dict[str, tuple[float, ...]]:
    """Random positive weights per slot that sum to one."""
    rng = Random(seed)
    drawn = {s.id: [rng.randint(1, 9) for _ in range(s.size)] for s in table.slots}
    return {name: tuple(w / sum(weights) for w in weights) for name, weights in drawn.items()}


def chosen_by(table: DecisionTable, indices: Mapping[str, int]) -> Iterator[tuple[str, int | tuple[int, ...]]]:
    """What slot indices select, conditions aside: candidates of decisions, present elements of picks."""
    for d in table.decisions:
        own = [s for s in table.slots if s.pick == d.id] if d.kind == "subset" else []
        if d.kind == "subset":
            yield d.id, tuple(sorted(s.element for s in own if indices[s.id] >= s.absent))
            continue
        slot = next(s for s in table.slots if s.decision == d.id)
        if indices[slot.id] >= slot.absent:
            yield d.id, indices[slot.id] - slot.absent
