"""Applying a primitive op: arguments, inferred attributes, the shape rule, absence."""

from __future__ import annotations

from dataclasses import replace

from spacec.diagnostics.model import Label
from spacec.ir.cases import MAX_NODES, Cases, TooManyCases
from spacec.ir.conditions import ALWAYS, Cond, Is, both
from spacec.ir.dims import Dim, Poly, symbols, weight
from spacec.ir.graph import CallNode, OpNode, Ref, Region
from spacec.ir.ops import AttrValue, Bound, OpResult, OpSpec, Precondition, RuleError
from spacec.ir.settled import as_cases
from spacec.ir.sizes import same, settle, settled, violation
from spacec.ir.types import TensorType
from spacec.sema.arguments import refuse_argument
from spacec.sema.attributes import read_attributes
from spacec.sema.builder import Cx
from spacec.sema.called import called_with_input, refuse_call
from spacec.sema.conditional import excludes, under
from spacec.sema.machine import Machine
from spacec.sema.presence import apart, example_text, factored, indicator, literals, mark_sized
from spacec.sema.stated import counterexample
from spacec.sema.value_choice import evaluate_braces
from spacec.sema.values import ABSENT, UNKNOWN, Closure, Env, Options, Tensor, Value, Want, describe, leaves
from spacec.source import Span
from spacec.std.checks import UNDECIDED, rounds
from spacec.syntax import ast

MAX_WEIGHT = 1_000
"""Symbols and functions of one size, written out."""


def call_primitive(
    m: Machine, cx: Cx, spec: OpSpec, args: tuple[ast.Arg, ...], env: Env, x: Value, want: Want | None, span: Span
) -> Value:
    """``spec(args)`` applied to ``x``; every argument that decides is a step named after its parameter."""
    inner = cx.inside().enter(spec.name)
    given: dict[str, Value] = {}
    positional = iter(spec.params)
    for arg in args:
        param = spec.param(arg.name) if arg.name else next(positional, None)
        if param is None:
            form = f"`(a, b) >> {spec.name}`, or `{spec.name}(a, b)` where a value is expected"
            help = f"its inputs are a tuple: {form}" if spec.inputs is None and not spec.params else ""
            refuse_argument(m, spec.name, [p.name for p in spec.params], arg, help)
            return UNKNOWN
        if param.name in given:
            return m.fail("E0204", arg.span, f"`{param.name}` of `{spec.name}` is given twice")
        literal = isinstance(arg.value, ast.Number)  # decides nothing: no step is needed
        at = inner if literal else inner.enter(param.name)
        given[param.name] = (
            evaluate_braces(m, at, arg.value, env, handed_on=False)
            if isinstance(arg.value, ast.Braces)
            else m.evaluate(m, at, arg.value, env)
        )
    return apply_primitive(m, inner, spec, given, x, want, span)


def apply_primitive(
    m: Machine, cx: Cx, spec: OpSpec, given: dict[str, Value], x: Value, want: Want | None, span: Span
) -> Value:
    """One application. A separate value choice among the arguments becomes one candidate for each value."""
    if any(v is UNKNOWN for v in given.values()):
        return UNKNOWN
    choice = next((v for v in given.values() if isinstance(v, Options)), None)
    if choice is not None:
        return _each_option(m, cx, spec, given, x, want, span, choice)
    inputs = [v for v in leaves(x) if v is not ABSENT]
    if any(v is UNKNOWN for v in inputs):
        return UNKNOWN
    wrong = next((v for v in inputs if not isinstance(v, Tensor)), None)
    if wrong is not None:
        called = called_with_input(wrong.expr, wrong.env) if isinstance(wrong, Closure) else None
        if called is not None:
            return refuse_call(m, *called)
        return m.fail("E0203", span, f"`{spec.name}` works on tensors, found {describe(wrong)}")
    tensors = tuple(v for v in inputs if isinstance(v, Tensor))
    if not tensors:
        return ABSENT
    if spec.inputs is not None and len(leaves(x)) != spec.inputs:
        return m.fail(
            "E0307",
            span,
            f"`{spec.name}` takes {_count(spec.inputs)}, found {len(leaves(x))}",
            "applied here",
            help="`sum` or `concat` makes one of several, `select(i)` takes one, `each(f)` maps over them"
            if spec.inputs == 1
            else "",
        )
    return _emit(m, cx, spec, given, tensors, want, span)


def _count(n: int) -> str:
    return "one tensor" if n == 1 else f"{n} tensors"


def _emit(
    m: Machine,
    cx: Cx,
    spec: OpSpec,
    given: dict[str, Value],
    tensors: tuple[Tensor, ...],
    want: Want | None,
    span: Span,
) -> Value:
    if not m.count_nodes(cx.builder, span):
        return UNKNOWN
    if spec.name == "sum":
        if _sum_disagrees(m, tensors, span):
            return UNKNOWN
        tensors = _without_zeros(cx, tensors)
    if spec.inputs is None:
        if len(tensors) == 1:
            return tensors[0]
        presence = factored([t.presence for t in tensors])
    else:
        presence = both(*(t.presence for t in tensors))
    attrs = read_attributes(m, spec, given, tensors, want, span)
    if attrs is None:
        return UNKNOWN
    result = _ruled(m, cx, spec, attrs, tensors, presence, span)
    if result is None:
        return UNKNOWN
    if open_sizes := sorted(s.name for s in symbols(result.params) if s.domain is None and s.ref is None):
        return m.fail(
            "E0302",
            span,
            f"`{spec.name}`: how many weights it has depends on the input size {', '.join(open_sizes)}",
            "applied here",
            notes=("weights are made before any input is seen: sizes of the input may vary in space only",),
        )
    for p in result.preconditions:
        m.preconditions.setdefault(p, span)
    if any(weight(d) > MAX_WEIGHT for d in result.type.dims):
        return m.fail("E0306", span, f"`{spec.name}`: a size of its result has over {MAX_WEIGHT:,} terms")
    if not _proved(m, cx, spec, result.bounds, presence, span):
        return UNKNOWN
    exact = _settled(m, result.type)
    if "present" in attrs:
        exact = _packed(m, cx, exact, presence)
    if exact is not result.type:
        result = replace(result, type=exact)
    mark_sized(_decisive(spec, attrs, tuple(t.type for t in tensors), exact))
    ref = cx.builder.op(spec, attrs, tuple(t.ref for t in tensors), result, cx.step, both(cx.guard, presence), span)
    return Tensor(ref, result.type, presence, span)


def _ruled(
    m: Machine,
    cx: Cx,
    spec: OpSpec,
    attrs: dict[str, AttrValue],
    tensors: tuple[Tensor, ...],
    presence: Cond,
    span: Span,
) -> OpResult | None:
    """What the op's rule answers; ``None`` (reported) where it refuses. A concat is told which terms are there."""
    try:
        if spec.name == "concat" and any(t.presence != presence for t in tensors):
            attrs["present"] = tuple(indicator(m, cx.builder, c) for c in apart([t.presence for t in tensors]))
        return spec.rule(attrs, tuple(t.type for t in tensors))
    except RuleError as error:
        found = (Label(t.span, f"this is {t.type}") for t in tensors[:3] if t.span.end > t.span.start)
        seen = tuple(dict.fromkeys(found))
        note = (error.note,) if error.note else ()
        m.fail(error.code, span, f"`{spec.name}`: {error.message}", "applied here", labels=seen, notes=note)
    except TooManyCases:
        m.fail("E0408", span, "the channels of this depend on too many decisions", f"over {MAX_NODES:,} cases")
    return None


def _without_zeros(cx: Cx, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The terms of a sum without those that always are the op ``zero``, if others are always there."""
    kept = tuple(t for t in tensors if not _is_zero(cx.builder.region, t.ref))
    if not kept or any(t.presence != ALWAYS for t in kept):
        return tensors
    return kept


def _is_zero(region: Region, ref: Ref) -> bool:
    if ref.node < len(region.inputs):
        return False
    node = region.nodes[ref.node - len(region.inputs)]
    if isinstance(node, CallNode):
        return _is_zero(node.region, node.region.outputs[ref.out].ref)
    return isinstance(node, OpNode) and node.spec.name == "zero"


def _proved(m: Machine, cx: Cx, spec: OpSpec, bounds: tuple[Bound, ...], presence: Cond, span: Span) -> bool:
    """Whether what an op needs of its sizes holds wherever it is present; reports a counterexample."""
    for bound in bounds:
        simple = literals(m, cx.builder, both(cx.guard, presence))
        if violation(settled(bound.small, simple), "<=", settled(bound.large, simple)) is None:
            continue  # what is surely picked here settles it; the whole condition has many more cases
        found = violation(bound.small, "<=", bound.large, indicator(m, cx.builder, both(cx.guard, presence)))
        if found is None:
            continue
        text = f"`{spec.name}`: the first {bound.small} channels of {bound.large}"
        if not found:
            m.fail("E0305", span, f"cannot prove that {bound.small} is at most {bound.large}", "applied here")
        else:
            note = f"a counterexample: an architecture with {example_text(found)}"
            m.fail("E0310", span, text, "applied here", notes=(note,))
        return False
    return True


def _packed(m: Machine, cx: Cx, type: TensorType, presence: Cond) -> TensorType:
    """A constant number of channels where present terms always add up to one, whichever they are."""
    whole = as_cases(type.channels)
    if not isinstance(whole, Cases):
        return type
    given = indicator(m, cx.builder, presence)
    constant = next((v for v in whole.values if isinstance(v, int) and v > 0 and same(type.channels, v, given)), None)
    return type if constant is None else TensorType(constant, type.space, type.kind)


def _decisive(
    spec: OpSpec, attrs: dict[str, AttrValue], types: tuple[TensorType, ...], result: TensorType
) -> list[Dim]:
    """Sizes here that an index alone settles: of everything but the slots of a concat and what flows through them."""
    if spec.name == "concat":
        varies = isinstance(result.channels, Poly)
        present = attrs.get("present", ())
        assert isinstance(present, tuple), "made above"
        return [] if varies else [p for p in present if isinstance(p, int | Poly)]
    sizes: list[Dim] = [v for v in attrs.values() if isinstance(v, Poly)]
    return sizes + [t.channels for t in types] if spec.name == "narrow" else sizes


def _settled(m: Machine, type: TensorType) -> TensorType:
    """Rounded sizes that a precondition makes exact."""
    if not type.symbols or not m.preconditions:
        return type
    dims = [settle(d, lambda a, n: Precondition(a, n) in m.preconditions) for d in type.dims]
    return TensorType(dims[0], tuple(dims[1:]), type.kind)


def _sum_disagrees(m: Machine, tensors: tuple[Tensor, ...], span: Span) -> bool:
    first = tensors[0]
    for other in tensors[1:]:
        if other.type == first.type:
            continue
        a, b = first.type, other.type
        verdicts = [a.kind == b.kind, a.rank == b.rank, *(same(p, q) for p, q in zip(a.dims, b.dims, strict=False))]
        if all(v is True for v in verdicts):
            continue
        labels = (Label(first.span, f"this term is {a}"), Label(other.span, f"this one is {b}"))
        sizes = counterexample(a, b)
        if False in verdicts or sizes:
            notes = (f"a counterexample: an architecture with {sizes}",) if sizes else ()
            m.fail(
                "E0301",
                span,
                f"a sum needs terms of one type, found {a} and {b}",
                "summed here",
                labels=labels,
                notes=notes,
            )
        else:
            headline = f"cannot prove that the terms {a} and {b} have one type"
            notes = (UNDECIDED,) if rounds(a, b) else ()
            m.fail("E0305", span, headline, "summed here", labels=labels, notes=notes)
        return True
    return False


# -------------------------------------------------------------- value choices


def _may_vary(spec: OpSpec, given: dict[str, Value], choice: Options) -> bool:
    """Whether what is chosen is a size that this op takes elastically; a stride, for one, is not."""
    chosen = (p for p in spec.params if isinstance(v := given.get(p.name), Options) and v.decision == choice.decision)
    return spec.elastic and all(p.kind == "size" for p in chosen)


def _each_option(
    m: Machine, cx: Cx, spec: OpSpec, given: dict[str, Value], x: Value, want: Want | None, span: Span, choice: Options
) -> Value:
    """One application for each value of a separate choice, joined by a choice node."""
    results: list[Value] = []
    for index in range(len(choice.values)):
        if index in choice.ruled_out or excludes(cx.guard, choice.decision, index):
            results.append(ABSENT)  # a guard around this place rules the value out
            continue
        now = {k: under(v, {choice.decision: index}) for k, v in given.items()}
        branch = cx.under(Is(choice.decision, frozenset((index,)))).enter("option")
        results.append(apply_primitive(m, branch, spec, now, x, want, span))
    if any(r is UNKNOWN for r in results):
        return UNKNOWN
    first = next((r for r in results if isinstance(r, Tensor)), None)
    if first is None:
        return ABSENT
    for label, other in zip(choice.decision.decision.labels, results, strict=True):
        if isinstance(other, Tensor) and other.type != first.type:
            return m.fail(
                "E0301",
                span,
                f"the values of a choice must give one type, found {first.type} and {other.type}",
                f"`{label}` gives {other.type}",
                help="write `elastic` before the braces to let a size vary" if _may_vary(spec, given, choice) else "",
            )
    slot = choice.decision.decision.slot
    if slot is None:
        raise AssertionError("a value decision has its slot from the start")
    presence = first.presence
    refs = tuple(r.ref if isinstance(r, Tensor) else None for r in results)
    ref = cx.builder.choose(slot, refs, first.type, both(cx.guard, presence), span)
    return Tensor(ref, first.type, presence, span)
