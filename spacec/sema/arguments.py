"""Binding the arguments of a definition: by position, by name, by default."""

from __future__ import annotations

from collections.abc import Sequence

from spacec.diagnostics.suggest import nearest
from spacec.sema.builder import Cx
from spacec.sema.conditional import possible
from spacec.sema.machine import Machine
from spacec.sema.uses import may_enter
from spacec.sema.values import UNKNOWN, Definition, Env, Value
from spacec.source import Span
from spacec.syntax import ast


def bind_arguments(
    m: Machine, cx: Cx, d: Definition, args: tuple[ast.Arg, ...], env: Env, span: Span
) -> dict[str, Value] | None:
    """Values of the parameters of ``d``, or ``None`` after a report.

    A deciding argument is a step named after its parameter. A default may use definitions, its own
    too, so binding counts as entering.
    """
    if not may_enter(m, d, span):
        return None
    m.active.append((("arguments", id(d.binding)), d.binding.name, span))
    bound = _bound(m, cx, d, args, env, span)
    m.active.pop()
    return bound


def _bound(
    m: Machine, cx: Cx, d: Definition, args: tuple[ast.Arg, ...], env: Env, span: Span
) -> dict[str, Value] | None:
    params = d.binding.params or ()
    bound: dict[str, Value] = {}
    positional = iter(params)
    for arg in args:
        name = arg.name or next((p.name for p in positional), None)
        if name is None or all(p.name != name for p in params):
            refuse_argument(m, d.binding.name, [p.name for p in params], arg)
            return None
        if name in bound:
            m.fail("E0204", arg.span, f"`{name}` of `{d.binding.name}` is given twice")
            return None
        bound[name] = possible(m.evaluate(m, cx.inside().enter(name), arg.value, env), cx.guard)
    for param in params:
        if param.name in bound:
            continue
        if param.default is None:
            m.fail("E0204", span, f"`{d.binding.name}` needs `{param.name}`", "not given")
            return None
        bound[param.name] = m.evaluate(m, cx.inside().enter(param.name), param.default, d.env.nest(bound))
    return None if any(v is UNKNOWN for v in bound.values()) else bound


def refuse_argument(m: Machine, callee: str, names: Sequence[str], arg: ast.Arg, help: str = "") -> None:
    """Report an argument that is one too many, or of a name that ``callee`` does not have."""
    takes = f"`{callee}` takes {', '.join(f'`{n}`' for n in names) or 'no arguments'}"
    if arg.name is None:
        m.fail("E0204", arg.span, f"too many arguments for `{callee}`", notes=(takes,), help=help)
        return
    close = nearest(arg.name, names)
    m.fail(
        "E0204",
        arg.span,
        f"`{callee}` has no parameter `{arg.name}`",
        notes=(takes,),
        help=f"did you mean `{close}`?" if close else "",
    )
