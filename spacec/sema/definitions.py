"""Using a definition: one region for each distinct instance, one call for each use.

An instance is a definition with its arguments, input types and stated type. ``def`` decides anew at
each use; ``let`` and ``tied`` hand their decisions to a binder, and every use must yield the same
ones (the skeleton law).
"""

from __future__ import annotations

from collections.abc import Hashable

from spacec.ir.conditions import ALWAYS, both, rename
from spacec.ir.graph import Binder, CallNode, DecisionRef, Output, Ref, Region, Step
from spacec.ir.types import TensorType
from spacec.sema.arguments import bind_arguments
from spacec.sema.bounds import cut, enter, leave, past_bound
from spacec.sema.builder import Builder, Cx
from spacec.sema.machine import MAX_NESTING, Instance, Machine
from spacec.sema.presence import presence_of
from spacec.sema.uses import binder_of, endless, instance_key, lawful, may_enter, owns
from spacec.sema.values import (
    ABSENT,
    UNKNOWN,
    Definition,
    Env,
    Home,
    Tensor,
    TypeView,
    Value,
    Want,
    describe,
    leaves,
    rebuild,
)
from spacec.source import Span
from spacec.syntax import ast

INSTANCE = 2
"""Nodes that a region of its own is worth: its steps, its key, its skeleton."""


def apply_definition(
    m: Machine,
    cx: Cx,
    d: Definition,
    args: tuple[ast.Arg, ...],
    indices: tuple[int | str, ...],
    env: Env,
    x: Value,
    want: Want | None,
    span: Span,
) -> Value:
    """``x >> d(args)``."""
    m.uses.add(id(d.binding))
    target, members = d, indices
    if d.binding.kind != "def":
        alias = _aliased(d)
        if alias is not None and alias.binding.kind != "def":
            if not may_enter(m, alias, span):
                return UNKNOWN
            m.active.append((("alias", id(d.binding)), d.binding.name, span))
            result = apply_definition(m, cx, alias, args, indices, env, x, want, span)
            m.active.pop()
            return result
        if alias is not None and d.binding.params is None and not d.binding.indices:
            target, members = alias, ()
            m.uses.add(id(alias.binding))
    if len(members) != len(target.binding.indices):
        return wrong_indices(m, target, len(members), span)
    inner = cx.alias(d.binding.name)
    bound = bind_arguments(m, inner, target, args, env, span)
    if bound is None:
        return UNKNOWN
    bound.update(zip(target.binding.indices, members, strict=True))
    binder = None if d.binding.kind == "def" else binder_of(m, d, indices)
    return _instantiate(m, inner, target, bound, x, want, span, binder)


def _aliased(d: Definition) -> Definition | None:
    """The definition that ``let a = b`` renames."""
    if not isinstance(d.binding.body, ast.Name):
        return None
    value = d.env.get(d.binding.body.id)
    return value if isinstance(value, Definition) else None


# ------------------------------------------------------------------ instances


def _instantiate(
    m: Machine,
    cx: Cx,
    d: Definition,
    bound: dict[str, Value],
    x: Value,
    want: Want | None,
    span: Span,
    binder: Binder | None,
) -> Value:
    parts = leaves(x)
    if any(p is UNKNOWN for p in parts):
        return _survey(m, d, bound, span)
    if x is ABSENT:
        return ABSENT
    wrong = next((p for p in parts if not isinstance(p, Tensor) and p is not ABSENT), None)
    if wrong is not None:
        return m.fail(
            "E0203", span, f"`{d.binding.name}` is applied to {describe(wrong)}", "a network works on tensors"
        )
    if past_bound(m, d):
        return cut(m, d, span) if d.binding.kind == "def" else UNKNOWN
    if not may_enter(m, d, span):
        return UNKNOWN
    key = instance_key(m, d, bound, x, want, binder)
    mixed = len(parts) > 1 and any(p is ABSENT or (isinstance(p, Tensor) and p.presence != ALWAYS) for p in parts)
    if binder is None and (cx.pick is not None or key is None or mixed):
        return _inline(m, cx, d, bound, x, want, span)
    if key is None or ABSENT in parts:
        return m.fail(
            "E0203", span, f"`{d.binding.name}` shares its decisions, so it cannot depend on tensors around its use"
        )
    instance = m.instances.get(key)
    if instance is None or (instance.own and binder is None):
        if any(k == key for k, _, _ in m.active):
            return endless(m, d, span)
        m.nodes += INSTANCE
        instance = _elaborate(m, cx, d, bound, x, want, span, binder, key)
        m.instances[key] = instance
    if instance.result is UNKNOWN:
        return cut(m, d, span) if instance.cut else UNKNOWN
    if binder is not None and not lawful(m, instance.region, binder, span):
        return UNKNOWN
    return emit_call(m, cx, instance, x, binder, span)


def _survey(m: Machine, d: Definition, bound: dict[str, Value], span: Span) -> Value:
    """Read a body whose input was already refused, once, for the mistakes that need no type; nothing of it is kept."""
    if id(d.binding) in m.surveyed or not may_enter(m, d, span):
        return UNKNOWN
    m.surveyed.add(id(d.binding))
    region, step = Region(d.binding.name, ()), Step("")
    m.active.append((("survey", id(d.binding)), d.binding.name, span))
    scope = d.env.nest({**bound, "in": UNKNOWN, "out": UNKNOWN}, Home(region, step))
    m.apply(m, Cx(Builder(region), step), d.binding.body, scope, UNKNOWN)
    m.active.pop()
    return UNKNOWN


def _scope(d: Definition, bound: dict[str, Value], x: Value, want: Want | None, home: Home) -> Env:
    names = dict(bound)
    if isinstance(x, Tensor):
        names["in"] = TypeView(x.type)
        out, space = x.type.channels, x.type.space
        if want is not None:
            out, space = want.out if want.out is not None else out, want.space if want.space is not None else space
        names["out"] = TypeView(TensorType(out, space, x.type.kind))
    elif want is not None and want.out is not None and want.space is not None:
        names["out"] = TypeView(TensorType(want.out, want.space))
    return d.env.nest(names, home)


def _inline(
    m: Machine, cx: Cx, d: Definition, bound: dict[str, Value], x: Value, want: Want | None, span: Span
) -> Value:
    """Elaborate in the caller's region: the body needs what stands around it."""
    key = ("inline", id(d.binding), id(d.env))
    if sum(k == key for k, _, _ in m.active) > MAX_NESTING // 4:
        return endless(m, d, span)
    m.active.append((key, d.binding.name, span))
    scope = _scope(d, bound, x, want, Home(cx.builder.region, cx.step))
    result, was_cut = _body(m, cx, d, scope, x, want)
    m.active.pop()
    return cut(m, d, span) if was_cut else result


def _body(m: Machine, cx: Cx, d: Definition, scope: Env, x: Value, want: Want | None) -> tuple[Value, bool]:
    """What the body gives, and whether a bound was passed with no other way."""
    before, m.cut = m.cut, False
    enter(m, d)
    result = m.apply(m, cx, d.binding.body, scope, x, want)
    leave(m, d)
    was_cut, m.cut = m.cut, before
    return result, was_cut


def _elaborate(
    m: Machine,
    cx: Cx,
    d: Definition,
    bound: dict[str, Value],
    x: Value,
    want: Want | None,
    span: Span,
    binder: Binder | None,
    key: Hashable,
) -> Instance:
    tensors = [p for p in leaves(x) if isinstance(p, Tensor)]
    region = Region(d.binding.name, tuple(t.type for t in tensors))
    builder = Builder(region, binder=binder or cx.builder.binder, symbols=[0] if binder else cx.builder.symbols)
    step = Step("")
    inner = rebuild(x, iter([Tensor(Ref(i), t.type, ALWAYS, t.span) for i, t in enumerate(tensors)]))
    m.active.append((key, binder.name if binder is not None and binder.member else d.binding.name, span))
    scope = _scope(d, bound, inner, want, Home(region, step))
    result, was_cut = _body(m, Cx(builder, step), d, scope, inner, want)
    m.active.pop()
    if was_cut:
        return Instance(region, UNKNOWN, False, cut=True)
    if result is ABSENT or any(leaf is UNKNOWN for leaf in leaves(result)):
        return Instance(region, ABSENT if result is ABSENT else UNKNOWN, False)
    outputs: list[Output] = []
    for leaf in leaves(result):
        if not isinstance(leaf, Tensor):
            wrong = m.fail("E0203", d.binding.body.span, f"`{d.binding.name}` gives {describe(leaf)}, not a tensor")
            return Instance(region, wrong, False)
        outputs.append(Output(leaf.ref, leaf.type, leaf.presence))
    builder.finish(tuple(outputs))
    return Instance(region, result, builder.own and (binder is None or binder.local))


def emit_call(m: Machine, cx: Cx, instance: Instance, x: Value, binder: Binder | None, span: Span) -> Value:
    """The call node, and the instance's result as values of the caller's region."""
    if instance.result is ABSENT:
        return ABSENT
    apart = binder is None or binder.kind == "let" or not binder.member  # a tied member's calls may run as one
    if not m.count_nodes(cx.builder, span, 1 + instance.region.expanded if apart else 1):
        return UNKNOWN
    tensors = [p for p in leaves(x) if isinstance(p, Tensor)]
    entry = presence_of(x)
    cx.builder.own |= instance.own
    node, index = cx.builder.call(
        instance.region, tuple(t.ref for t in tensors), cx.step, binder, both(cx.guard, entry), span
    )
    results = [
        Tensor(Ref(index, k), out.type, both(entry, rename(out.presence, lambda ref: lifted(ref, node))), span)
        for k, out in enumerate(instance.region.outputs)
    ]
    return rebuild(instance.result, iter(results))


def lifted(ref: Hashable, call: CallNode) -> Hashable:
    """A callee's decision as its caller sees it."""
    if not isinstance(ref, DecisionRef) or ref.decision.single:
        return ref
    return DecisionRef((call, *ref.calls), ref.decision)


# ------------------------------------------------------------- data definitions


def data_of_definition(
    m: Machine,
    cx: Cx,
    d: Definition,
    args: tuple[ast.Arg, ...],
    indices: tuple[int | str, ...],
    env: Env,
    span: Span,
) -> Value:
    """A definition whose body is data: evaluated at each use (``def``), or once for all uses (``let``) of a member."""
    m.uses.add(id(d.binding))
    if len(indices) != len(d.binding.indices):
        return wrong_indices(m, d, len(indices), span)
    if d.binding.kind == "def":
        inner = cx.alias(d.binding.name)
        bound = bind_arguments(m, inner, d, args, env, span)
        if bound is None:
            return UNKNOWN
        m.active.append((("data", id(d.binding)), d.binding.name, span))
        value = m.evaluate(m, inner, d.binding.body, d.env.nest(bound))
        m.active.pop()
        return value
    if args or d.binding.params:
        return m.fail("E0204", span, f"`{d.binding.name}` is one value for all its uses and takes no arguments")
    return _shared_data(m, cx, d, indices, span)


def wrong_indices(m: Machine, d: Definition, given: int, span: Span) -> Value:
    """Report a member of a family that is named by too few or too many indices."""
    count = len(d.binding.indices)
    headline = f"`{d.binding.name}` has {count} {'index' if count == 1 else 'indices'}, {given or 'none'} given"
    names = ", ".join(d.binding.indices)
    notes = (f"a family has one member for each index: `{d.binding.name}[{names}]`",) if count else ()
    return m.fail("E0204", span, headline, notes=notes)


def _shared_data(m: Machine, cx: Cx, d: Definition, indices: tuple[int | str, ...], span: Span) -> Value:
    binder = binder_of(m, d, indices)
    known = m.shared_data.get(binder)
    if known is None:
        cycle = ("data", binder)
        if any(k == cycle for k, _, _ in m.active):
            return endless(m, d, span)
        m.active.append((cycle, d.binding.name, span))
        region = Region(binder.name, ())
        step = Step("")
        builder = Builder(region, binder=binder)
        members = dict(zip(d.binding.indices, indices, strict=True))
        value = m.evaluate(m, Cx(builder, step), d.binding.body, d.env.nest(members, Home(region, step)))
        builder.finish(())
        m.active.pop()
        known = (value, region)
        m.shared_data[binder] = known
    value, region = known
    if region.searches and not owns(m, binder, span):
        return UNKNOWN
    if region.searches:
        key = ("data", binder, cx.guard)
        if key not in cx.builder.pure:
            _, index = cx.builder.call(region, (), cx.step, binder, cx.guard, span)
            cx.builder.pure[key] = Ref(index)
        cx.builder.own |= binder.local
    return value
