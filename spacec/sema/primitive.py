"""Applying a primitive op: arguments, inferred attributes, the shape rule, absence."""

from __future__ import annotations

from dataclasses import replace

from spacec.diagnostics.model import Label
from spacec.diagnostics.suggest import nearest
from spacec.ir.conditions import Is, both
from spacec.ir.dims import Dim, Poly, ceil_div, exact_div, same, settle
from spacec.ir.ops import OPEN, REQUIRED, AttrValue, OpParam, OpSpec, Precondition, RuleError
from spacec.ir.types import TensorType
from spacec.sema.builder import Cx
from spacec.sema.machine import Machine
from spacec.sema.presence import factored
from spacec.sema.stated import counterexample
from spacec.sema.values import ABSENT, UNKNOWN, Env, Options, Pack, Tensor, Value, Want, describe, leaves
from spacec.source import Span
from spacec.syntax import ast


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
            _bad_argument(m, spec, arg)
            return UNKNOWN
        if param.name in given:
            return m.fail("E0204", arg.span, f"`{param.name}` of `{spec.name}` is given twice")
        given[param.name] = m.evaluate(m, inner.enter(param.name), arg.value, env)
    return apply_primitive(m, inner, spec, given, x, want, span)


def _bad_argument(m: Machine, spec: OpSpec, arg: ast.Arg) -> None:
    names = [p.name for p in spec.params]
    takes = f"`{spec.name}` takes {', '.join(f'`{n}`' for n in names) or 'no arguments'}"
    if arg.name is None:
        m.fail("E0204", arg.span, f"`{spec.name}` has {len(names)} parameters, and more are given", notes=(takes,))
        return
    close = nearest(arg.name, names)
    m.fail(
        "E0204",
        arg.span,
        f"`{spec.name}` has no parameter `{arg.name}`",
        notes=(takes,),
        help=f"did you mean `{close}`?" if close else "",
    )


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
        return m.fail("E0203", span, f"`{spec.name}` works on tensors, found {describe(wrong)}")
    tensors = tuple(v for v in inputs if isinstance(v, Tensor))
    if not tensors:
        return ABSENT
    if spec.inputs is not None and len(leaves(x)) != spec.inputs:
        return m.fail(
            "E0307", span, f"`{spec.name}` takes {_count(spec.inputs)}, found {len(leaves(x))}", "applied here"
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
    if spec.inputs is None:
        if len(tensors) == 1:
            return tensors[0]
        presence = factored([t.presence for t in tensors])
        if spec.name == "sum" and _sum_disagrees(m, tensors, span):
            return UNKNOWN
        if spec.name == "concat" and any(t.presence != presence for t in tensors):
            return m.fail(
                "E0309",
                span,
                "concat of terms that may be absent has no fixed number of channels",
                "some of these terms are picked",
                help="use `sum`, or pick a forced number of terms",
            )
    else:
        presence = both(*(t.presence for t in tensors))
    attrs = _attributes(m, spec, given, tensors, want, span)
    if attrs is None:
        return UNKNOWN
    types = tuple(t.type for t in tensors)
    try:
        result = spec.rule(attrs, types)
    except RuleError as error:
        seen = tuple(Label(t.span, f"this is {t.type}") for t in tensors[:3] if t.span.end > t.span.start)
        note = (error.note,) if error.note else ()
        return m.fail(error.code, span, f"`{spec.name}`: {error.message}", "applied here", labels=seen, notes=note)
    for p in result.preconditions:
        m.preconditions.setdefault(p, span)
    result = replace(result, type=_settled(m, result.type))
    ref = cx.builder.op(spec, attrs, tuple(t.ref for t in tensors), result, cx.step, both(cx.guard, presence), span)
    return Tensor(ref, result.type, presence, span)


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
            m.fail(
                "E0305", span, f"cannot prove that the terms {a} and {b} have one type", "summed here", labels=labels
            )
        return True
    return False


# ------------------------------------------------------------------ attributes


def _attributes(
    m: Machine, spec: OpSpec, given: dict[str, Value], tensors: tuple[Tensor, ...], want: Want | None, span: Span
) -> dict[str, AttrValue] | None:
    attrs: dict[str, AttrValue] = {}
    x = tensors[0].type
    reset = m.defaults.get(spec.name, {})
    for param in spec.params:
        if param.name in given:
            value = attribute_value(given[param.name])
        elif param.name in reset:
            value = reset[param.name]
        elif param.default is REQUIRED:
            m.fail(
                "E0204",
                span,
                f"`{spec.name}` needs `{param.name}`",
                "not given",
                notes=(param.help,) if param.help else (),
            )
            return None
        elif param.default is OPEN:
            inferred = _infer(m, param, x, want, span)
            if inferred is None:
                return None
            value = inferred
        else:
            value = param.default  # type: ignore[assignment]  # the markers were handled above
        if value is _BAD:
            m.fail("E0306", span, f"`{param.name}` of `{spec.name}` cannot be {describe(given[param.name])}")
            return None
        attrs[param.name] = value
    return attrs


_BAD = ("not an attribute",)


def is_attribute(value: Value) -> bool:
    """Whether a value can be an op's attribute."""
    return attribute_value(value) is not _BAD


def attribute_value(value: Value) -> AttrValue:
    if isinstance(value, Pack):
        return tuple(attribute_value(v) for v in value.items)
    if isinstance(value, bool | int | float | str | Poly):
        return value
    return _BAD


def _infer(m: Machine, param: OpParam, x: TensorType, want: Want | None, span: Span) -> AttrValue | None:
    if param.name == "out":
        return want.out if want and want.out is not None else x.channels
    if want is None or want.space is None:
        return 1
    if len(want.space) != x.rank:
        m.fail("E0304", span, f"{x.rank} spatial axes cannot become {len(want.space)}", labels=_stated(want))
        return None
    up = param.name == "factor"
    large, small = (want.space, x.space) if up else (x.space, want.space)
    steps = tuple(_ratio(a, b, up) for a, b in zip(large, small, strict=True))
    if any(s is None for s in steps):
        a, b = ", ".join(map(str, x.space)), ", ".join(map(str, want.space))
        larger = not up and any(_ratio(p, q, up=True) for p, q in zip(want.space, x.space, strict=True))
        notes = ("a stride makes maps smaller; `upsample` makes them larger",) if larger else ()
        what = "factor" if up else "stride"
        m.fail("E0304", span, f"no whole {what} takes [{a}] to [{b}]", labels=_stated(want), notes=notes)
        return None
    distinct = set(steps)
    return distinct.pop() if len(distinct) == 1 else steps


def grows(x: Value, want: Want) -> bool:
    """Whether the stated type is larger in space than the input: upsampling takes the change, not a stride."""
    if not isinstance(x, Tensor) or want.space is None:
        return False
    ratios = [_ratio(big, small, up=True) for big, small in zip(want.space, x.type.space, strict=False)]
    return all(r is not None for r in ratios) and any(r != 1 for r in ratios)


def _stated(want: Want) -> tuple[Label, ...]:
    return (Label(want.span, "this type is stated here"),)


def _ratio(big: Dim, small: Dim, up: bool) -> int | None:
    """The stride from ``big`` to ``small`` (or the factor back), a positive integer."""
    quotient = exact_div(big, small)
    if quotient is not None and quotient[1]:
        return quotient[0] if isinstance(quotient[0], int) and quotient[0] >= 1 else None
    if up or not isinstance(big, int) or not isinstance(small, int) or small < 1 or small > big:
        return next((s for s in range(2, 65) if not up and ceil_div(big, s) == small), None)
    stride = -(-big // small)
    return stride if -(-big // stride) == small else None


# -------------------------------------------------------------- value choices


def _each_option(
    m: Machine, cx: Cx, spec: OpSpec, given: dict[str, Value], x: Value, want: Want | None, span: Span, choice: Options
) -> Value:
    """One application for each value of a separate choice, joined by a choice node."""
    results: list[Value] = []
    for index in range(len(choice.values)):
        now = {k: _at(v, choice, index) for k, v in given.items()}
        branch = cx.under(Is(choice.decision, frozenset((index,)))).enter("option")
        results.append(apply_primitive(m, branch, spec, now, x, want, span))
    if any(r is UNKNOWN for r in results):
        return UNKNOWN
    tensors = [r for r in results if isinstance(r, Tensor)]
    if len(tensors) < len(results):
        return ABSENT
    first = tensors[0]
    for label, other in zip(choice.decision.decision.labels, tensors, strict=True):
        if other.type != first.type:
            return m.fail(
                "E0301",
                span,
                f"the values of a choice must give one type, found {first.type} and {other.type}",
                f"`{label}` gives {other.type}",
                help="write `elastic` before the braces to let a size vary",
            )
    slot = choice.decision.decision.slot
    if slot is None:
        raise AssertionError("a value decision has its slot from the start")
    presence = first.presence
    ref = cx.builder.choose(slot, tuple(t.ref for t in tensors), first.type, both(cx.guard, presence), span)
    return Tensor(ref, first.type, presence, span)


def _at(value: Value, choice: Options, index: int) -> Value:
    return value.values[index] if isinstance(value, Options) and value.decision == choice.decision else value
