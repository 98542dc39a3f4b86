"""Stated types and static conditions: reading them, and checking a value against them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spacec.diagnostics.model import Label
from spacec.ir.dims import Dim, Poly
from spacec.ir.graph import Ref
from spacec.ir.sizes import same, violation
from spacec.ir.types import Kind, TensorType
from spacec.sema.builder import Cx
from spacec.sema.machine import Machine
from spacec.sema.presence import example_text
from spacec.sema.values import ABSENT, UNKNOWN, Env, Pack, Tensor, Test, TypeView, Value, Want, describe
from spacec.source import Span
from spacec.syntax import ast


@dataclass(frozen=True)
class Scale:
    """The type of one scale of a pyramid, and where it is stated."""

    type: TensorType
    span: Span


Stated = TensorType | tuple[Scale, ...]
"""What a type expression states: a tensor, or the scales of a pyramid."""


def typed(m: Machine, cx: Cx, expr: ast.Typed, env: Env, run: Callable[[Want | None], Value]) -> Value:
    """``stage -> type``: run the stage with what the type asks for, then check the result."""
    wanted = read_type(m, cx.inside(), expr.type, env)
    if wanted is None:
        run(None)
        return UNKNOWN
    result = check_type(m, run(_want(wanted, expr.type.span)), wanted, expr.stage.span, expr.type.span)
    if result is not UNKNOWN:
        return result
    # reported: the stated type lets the rest be checked
    if isinstance(wanted, TensorType):
        return Tensor(Ref(0), wanted, span=expr.span)
    return Pack(tuple(Tensor(Ref(0), scale.type, span=expr.span) for scale in wanted))


def _want(wanted: Stated, span: Span) -> Want:
    if isinstance(wanted, TensorType):
        return Want(wanted.channels, wanted.space, span)
    return Want(span=span, scales=tuple(_want(scale.type, scale.span) for scale in wanted))


def read_type(m: Machine, cx: Cx, expr: ast.Expr, env: Env) -> Stated | None:
    """A type expression: ``[C, *space]``, a pyramid in braces, ``tokens(V)[T]``, or ``graph(C)``."""
    return _pyramid(m, cx, expr, env) if isinstance(expr, ast.Braces) else _tensor_type(m, cx, expr, env)


def _tensor_type(
    m: Machine, cx: Cx, expr: ast.Expr, env: Env, note: str = "a type is written `[channels, *space]`"
) -> TensorType | None:
    of_kind = _kind_and_parts(expr)
    if of_kind is not None:
        return _type_of_kind(m, cx, expr, env, *of_kind)
    return _as_type(m, m.evaluate(m, cx, expr, env), expr.span, note)


def _as_type(m: Machine, value: Value, span: Span, note: str) -> TensorType | None:
    if isinstance(value, TypeView | Tensor):
        return value.type
    if value is UNKNOWN:
        return None
    if not isinstance(value, Pack) or not value.items:
        m.fail("E0203", span, "this is not a type", f"found {describe(value)}", notes=(note,))
        return None
    dims = _dims(m, value.items, span)
    return None if dims is None else TensorType(dims[0], dims[1:])


_BRACES = (
    "braces where a type is expected choose nothing: they list the scales of a pyramid, `{[C, H, W], [2*C, H/2, W/2]}`"
)


def _pyramid(m: Machine, cx: Cx, expr: ast.Braces, env: Env) -> tuple[Scale, ...] | None:
    """The scales in braces; ``*types`` stands for a list of them. Stops at the first that is no type."""
    scales: list[Scale] = []
    for item in expr.items:
        match item:
            case ast.Spread():
                listed = m.evaluate(m, cx, item.value, env)
                parts = listed.items if isinstance(listed, Pack) else (listed,)
                types = [_as_type(m, part, item.span, _BRACES) for part in parts]
            case ast.Braces() | ast.Range() | ast.Alternatives():
                m.fail("E0203", item.span, "this is not the type of one scale", notes=(_BRACES,))
                return None
            case _:
                types = [_tensor_type(m, cx, item, env, _BRACES)]
        for type in types:
            if type is None:
                return None
            scales.append(Scale(type, item.span))
    if expr.elastic or not scales:
        what = "a pyramid is not elastic" if expr.elastic else "a pyramid has one scale at least"
        m.fail("E0203", expr.span, what, notes=(_BRACES,))
        return None
    return tuple(scales)


def _dims(m: Machine, items: tuple[Value, ...], span: Span) -> tuple[Dim, ...] | None:
    dims: list[Dim] = []
    for item in items:
        if item is UNKNOWN:
            return None
        if isinstance(item, bool) or not isinstance(item, int | Poly) or (isinstance(item, int) and item < 1):
            m.fail("E0306", span, "a type lists positive sizes", f"found {describe(item)}")
            return None
        dims.append(item)
    return tuple(dims)


def _kind_and_parts(expr: ast.Expr) -> tuple[Kind, tuple[ast.Arg, ...], tuple[ast.Expr, ...]] | None:
    """``tokens(V)[T]`` and ``graph(C)``: the kind, the arguments that give the channels, and the space."""
    word, space = (expr.base, expr.items) if isinstance(expr, ast.Index) else (expr, ())
    args = word.args if isinstance(word, ast.Call) else ()
    match word.callee if isinstance(word, ast.Call) else word:
        case ast.Name(id="tokens"):
            return "tokens", args, space
        case ast.Name(id="graph"):
            return "graph", args, space
        case _:
            return None


def _type_of_kind(
    m: Machine, cx: Cx, expr: ast.Expr, env: Env, kind: Kind, args: tuple[ast.Arg, ...], space: tuple[ast.Expr, ...]
) -> TensorType | None:
    written = "`tokens(vocabulary)[T]`" if kind == "tokens" else "`graph(channels)`"
    if len(args) != 1 or args[0].name is not None or (kind == "graph" and space):
        m.fail("E0203", expr.span, "this is not a type", notes=(f"it is written {written}",))
        return None
    value = m.evaluate(m, cx, ast.ListOf((args[0].value, *space), span=expr.span), env)
    dims = _dims(m, value.items, expr.span) if isinstance(value, Pack) else None
    return None if dims is None else TensorType(dims[0], dims[1:], kind)


def check_type(m: Machine, value: Value, wanted: Stated, at: Span, stated: Span, scale: int | None = None) -> Value:
    """``value`` if it has the stated type, else a diagnostic with both places; ``scale``: which of a pyramid it is."""
    if value is UNKNOWN or value is ABSENT:
        return value
    if isinstance(wanted, tuple):
        return check_pyramid(m, value, wanted, at, stated, at)
    if not isinstance(value, Tensor):
        return m.fail(
            "E0307", at, f"{describe(value)} where a tensor {wanted} is stated", labels=(Label(stated, "stated here"),)
        )
    verdict = same_type(value.type, wanted)
    if verdict is True:
        return value
    found = f"this is {value.type}"
    wrong = counterexample(value.type, wanted) if verdict is None else ""
    if verdict is None and not wrong:
        return m.fail(
            "E0305",
            at,
            f"cannot prove that {'' if scale is None else f'scale {scale}, '}{value.type} is {wanted}",
            found,
            labels=(Label(stated, f"{wanted} is stated here"),),
        )
    unpooled = value.type.kind == wanted.kind == "dense" and value.type.rank > 0 == wanted.rank
    return m.fail(
        "E0304",
        at,
        f"{'the stage gives' if scale is None else f'scale {scale} is'} {value.type}, not the stated {wanted}",
        found,
        labels=(Label(stated, f"{wanted} is stated here"),),
        notes=(f"a counterexample: an architecture with {wrong}",) if wrong else (),
        help="put `global_pool` before this stage: it makes [C] of [C, …]" if unpooled else "",
    )


def check_pyramid(m: Machine, value: Value, wanted: tuple[Scale, ...], at: Span, stated: Span, within: Span) -> Value:
    """``value`` if it has as many scales as are stated, of the stated types, else diagnostics for all that have not.

    A scale is shown where it was made if that is ``within`` the text at hand, and ``at`` the whole value otherwise.
    """
    items = value.items if isinstance(value, Pack) else (value,)
    if len(items) != len(wanted):
        found = "1 value" if len(items) == 1 else f"{len(items)} values"
        scales = "1 scale" if len(wanted) == 1 else f"{len(wanted)} scales"
        return m.fail(
            "E0307",
            at,
            f"{found} where a pyramid of {scales} is stated",
            labels=(Label(stated, "stated here"),),
            notes=() if isinstance(value, Pack) else (_BRACES,),
        )
    checked: list[Value] = []
    for index, (item, scale) in enumerate(zip(items, wanted, strict=True)):
        own = item.span if isinstance(item, Tensor) and _inside(item.span, within) else at
        checked.append(check_type(m, item, scale.type, own, scale.span, index))
    return UNKNOWN if any(v is UNKNOWN for v in checked) else value


def _inside(inner: Span, outer: Span) -> bool:
    return inner.source is outer.source and outer.start <= inner.start and inner.end <= outer.end


def same_type(a: TensorType, b: TensorType) -> bool | None:
    """Whether two types are equal; ``None`` where it depends on sizes nobody knows."""
    if a == b:
        return True
    if a.kind != b.kind or a.rank != b.rank:
        return False
    verdicts = [same(x, y) for x, y in zip(a.dims, b.dims, strict=True)]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def counterexample(a: TensorType, b: TensorType) -> str:
    """Values of elastic sizes under which two types differ, as text; empty where none is known."""
    for x, y in zip(a.dims, b.dims, strict=False):
        found = violation(x, "==", y)
        if found:
            return example_text(found)
    return ""


def truth(m: Machine, value: Value, span: Span) -> bool | None:
    """A condition's static truth, or ``None`` (reported) where it is not static."""
    if value is UNKNOWN:
        return None
    if isinstance(value, bool | int | float):
        return bool(value)
    if isinstance(value, Pack):
        return bool(value.items)
    note = ("the guards of a choice may depend on other choices: `f when … | g when …`",)
    notes = note if isinstance(value, Test) else ()
    headline = "a condition must be decided when the space is compiled"
    m.fail("E0407", span, headline, f"found {describe(value)}", notes=notes)
    return None
