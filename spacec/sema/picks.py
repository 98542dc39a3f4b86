"""``from s: f`` and ``pick k from s: f``: mapping over elements, choosing a subset of them."""

from __future__ import annotations

from spacec.ir.conditions import ALWAYS, Cond, Has, both
from spacec.ir.dims import Poly
from spacec.ir.graph import DecisionDecl, DecisionRef, Ref, SlotDecl
from spacec.sema.builder import Cx, PickContext
from spacec.sema.classify import is_network
from spacec.sema.machine import MAX_ELEMENTS, Machine
from spacec.sema.values import ABSENT, UNKNOWN, Env, Pack, Picked, Tensor, Value, Want, describe, leaves, wants_of
from spacec.source import Span
from spacec.syntax import ast


def evaluate_from(m: Machine, cx: Cx, expr: ast.From, env: Env, want: Want | None) -> Value:
    """One value for each element; under a pick, elements that are not chosen are absent."""
    source = m.evaluate(m, cx.inside(), expr.source, env)
    if isinstance(expr.source, ast.Range) and source is UNKNOWN:
        return UNKNOWN
    if source is UNKNOWN:
        return UNKNOWN
    elements = source.items if isinstance(source, Pack) else (source,)
    if expr.count is None:
        wants = wants_of(want, len(elements)) if want is not None and want.scales else (want,) * len(elements)
        mapped = [_mapped(m, cx.inside(), expr, env, e, w) for e, w in zip(elements, wants, strict=True)]
        return UNKNOWN if any(v is UNKNOWN for v in mapped) else m.packed(mapped, expr.span)
    bounds = _bounds(m, cx.inside(), expr, env, len(elements))
    if bounds is None:
        return UNKNOWN
    if len(elements) > MAX_ELEMENTS:
        return m.fail("E0408", expr.source.span, f"a pick among {len(elements):,}", f"at most {MAX_ELEMENTS:,}")
    return _pick(m, cx.inside().enter("pick"), expr, env, want, elements, bounds)


def _mapped(m: Machine, cx: Cx, expr: ast.From, env: Env, element: Value, want: Want | None) -> Value:
    """The body on one element; on an element of a pick of numbers, present where that is."""
    if not isinstance(element, Picked):
        return _body(m, cx, expr, env, element, want)
    value = _body(m, cx.under(element.presence), expr, env, element.value, want)
    return _lent(m, cx, expr, value, element)


def _lent(m: Machine, cx: Cx, expr: ast.From, value: Value, element: Picked) -> Value:
    """What an element of a pick of numbers lets in: tensors behind its gates, numbers with its presence."""
    match value:
        case Pack():
            parts = [_lent(m, cx, expr, v, element) for v in value.items]
            return UNKNOWN if any(p is UNKNOWN for p in parts) else Pack(tuple(parts))
        case Tensor():
            for slot in element.gates:
                value = _through(cx, slot, value, both(value.presence, element.presence), expr.span)
            return value
        case Picked():
            return Picked(value.value, both(value.presence, element.presence), (*element.gates, *value.gates))
        case int() | float() | Poly():
            return Picked(value, element.presence, element.gates)
        case _ if value is UNKNOWN or value is ABSENT:
            return value
    return m.fail("E0203", expr.body.span, f"what a pick lets in is a tensor or a number, found {describe(value)}")


def _body(m: Machine, cx: Cx, expr: ast.From, env: Env, element: Value, want: Want | None) -> Value:
    if expr.name is not None:
        scope = env.nest({expr.name: element})
        if is_network(expr.body, scope):
            return m.fail(
                "E0203", expr.body.span, "the body gives a network, not a value", help=f"write `{expr.name} >> …`"
            )
        return m.evaluate(m, cx, expr.body, scope, want)
    if not is_network(expr.body, env):
        return m.fail(
            "E0203", expr.body.span, "the body is data, not a network", help="name the element: `from x in s: …`"
        )
    return m.apply(m, cx, expr.body, env, element, want)


def _bounds(m: Machine, cx: Cx, expr: ast.From, env: Env, size: int) -> tuple[int, int] | None:
    if expr.count == "any":
        return 0, size
    count = expr.count
    if count is None or isinstance(count, str):
        return None
    parts = (count.low, count.high) if isinstance(count, ast.Range) else (count, count)
    values = [m.evaluate(m, cx, p, env) for p in parts]
    if any(v is UNKNOWN for v in values):
        return None
    low, high = values
    if isinstance(low, bool) or not isinstance(low, int) or not isinstance(high, int) or low < 0 or high < low:
        m.fail("E0402", count.span, f"a pick takes a number or a range of numbers, found {describe(low)}")
        return None
    if high > size:
        m.fail(
            "E0402",
            count.span,
            f"pick {high} from {size}",
            f"only {size} here",
            help=f"write `min({high}, len(…))`",
        )
        return None
    return low, high


def _pick(
    m: Machine,
    cx: Cx,
    expr: ast.From,
    env: Env,
    want: Want | None,
    elements: tuple[Value, ...],
    bounds: tuple[int, int],
) -> Value:
    low, high = bounds
    size = len(elements)
    decision: DecisionDecl | None = None
    if not low == high == size:
        decision = DecisionDecl("subset", cx.step, low=low, high=high, size=size, condition=cx.guard, span=expr.span)
        cx.builder.decide(decision)
    reset = m.reset("pick", "absent", expr.span)
    absent = reset is None or bool(reset)
    chosen: list[Value] = []
    slots: list[SlotDecl] = []
    for index, element in enumerate(elements):
        branch = cx.inside()
        if decision is not None:
            branch = branch.under(Has(DecisionRef((), decision), index))
        context = PickContext(decision, index, absent, cx.step)
        chosen.append(_element(m, branch, expr, env, want, element, context))
        slots += context.taken
    if m.reset("pick", "edges", expr.span) and len(slots) > 1:
        _weigh_edges(cx, decision, slots, size)
    return UNKNOWN if any(v is UNKNOWN for v in chosen) else Pack(tuple(chosen))


def _weigh_edges(cx: Cx, decision: DecisionDecl | None, slots: list[SlotDecl], size: int) -> None:
    """One slot more, over the elements. Its step is the pick's last, so that those inside keep their ordinals."""
    labels = tuple(map(str, range(size)))
    step = cx.inside().enter("edges").step
    edges = cx.builder.slot(SlotDecl(step, labels, edge_weights=True, weighs=decision))
    for slot in slots:
        slot.edges = edges


def _element(
    m: Machine, cx: Cx, expr: ast.From, env: Env, want: Want | None, element: Value, pick: PickContext
) -> Value:
    """The body on one element, in the pick's slot: the body's own choice, or a gate of presence."""
    value = _mapped(m, cx.lend(pick), expr, env, element, want)
    if value is UNKNOWN or value is ABSENT:
        return value
    numeric = isinstance(value, int | float | Poly | Picked) and not isinstance(value, bool)
    if not numeric and not all(isinstance(v, Tensor) for v in leaves(value)):
        found = "a text" if isinstance(value, str) else describe(value)
        return m.fail("E0203", expr.body.span, f"a pick chooses among tensors or numbers, found {found}")
    if pick.taken:
        return _with_presence(value, pick)
    if numeric and pick.decision is None:
        return value
    labels = ("absent", "present") if pick.absent else ("present",)
    slot = cx.builder.slot(SlotDecl(cx.enter("gate").step, labels, None, pick.decision, pick.element, pick.absent))
    if not numeric:
        pick.taken.append(slot)
        return _gated(cx, slot, value, expr.span, pick)
    before, gates = (value.presence, value.gates) if isinstance(value, Picked) else (ALWAYS, ())
    number = value.value if isinstance(value, Picked) else value
    if pick.decision is not None:
        cx.builder.name_once(pick.decision)
    return Picked(number, both(before, _picked(pick)), (*gates, slot))


def _picked(pick: PickContext) -> Cond:
    return ALWAYS if pick.decision is None else Has(DecisionRef((), pick.decision), pick.element)


def _has(value: Tensor, pick: PickContext) -> Tensor:
    return Tensor(value.ref, value.type, both(value.presence, _picked(pick)), value.span)


def _with_presence(value: Value, pick: PickContext) -> Value:
    if isinstance(value, Pack):
        return Pack(tuple(_with_presence(v, pick) for v in value.items))
    return _has(value, pick) if isinstance(value, Tensor) else value


def _gated(cx: Cx, slot: SlotDecl, value: Value, span: Span, pick: PickContext) -> Value:
    if isinstance(value, Pack):
        return Pack(tuple(_gated(cx, slot, v, span, pick) for v in value.items))
    if not isinstance(value, Tensor):
        return value
    return _through(cx, slot, value, both(value.presence, _picked(pick)), span)


def _through(cx: Cx, slot: SlotDecl, value: Tensor, presence: Cond, span: Span) -> Tensor:
    """A tensor behind a gate."""
    lead: tuple[Ref | None, ...] = (None,) if slot.absent else ()
    ref = cx.builder.choose(slot, (*lead, value.ref), value.type, both(cx.guard, presence), span)
    return Tensor(ref, value.type, presence, span)
