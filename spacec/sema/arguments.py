"""Binding the arguments of a definition: by position, by name, by default."""

from __future__ import annotations

from spacec.diagnostics.suggest import nearest
from spacec.sema.builder import Cx
from spacec.sema.machine import Machine
from spacec.sema.values import UNKNOWN, Definition, Env, Value
from spacec.source import Span
from spacec.syntax import ast


def bind_arguments(
    m: Machine, cx: Cx, d: Definition, args: tuple[ast.Arg, ...], env: Env, span: Span
) -> dict[str, Value] | None:
    """Values of the parameters of ``d``, or ``None`` after a report.

    A deciding argument is a step named after its parameter.
    """
    params = d.binding.params or ()
    bound: dict[str, Value] = {}
    positional = iter(params)
    for arg in args:
        name = arg.name or next((p.name for p in positional), None)
        if name is None or all(p.name != name for p in params):
            _wrong(m, d, arg)
            return None
        if name in bound:
            m.fail("E0204", arg.span, f"`{name}` of `{d.binding.name}` is given twice")
            return None
        bound[name] = m.evaluate(m, cx.inside().enter(name), arg.value, env)
    for param in params:
        if param.name in bound:
            continue
        if param.default is None:
            m.fail("E0204", span, f"`{d.binding.name}` needs `{param.name}`", "not given")
            return None
        bound[param.name] = m.evaluate(m, cx.inside().enter(param.name), param.default, d.env.nest(bound))
    return None if any(v is UNKNOWN for v in bound.values()) else bound


def _wrong(m: Machine, d: Definition, arg: ast.Arg) -> None:
    names = [p.name for p in d.binding.params or ()]
    takes = f"`{d.binding.name}` takes {', '.join(f'`{n}`' for n in names) or 'no arguments'}"
    if arg.name is None:
        m.fail("E0204", arg.span, f"too many arguments for `{d.binding.name}`", notes=(takes,))
        return
    close = nearest(arg.name, names)
    m.fail(
        "E0204",
        arg.span,
        f"`{d.binding.name}` has no parameter `{arg.name}`",
        notes=(takes,),
        help=f"did you mean `{close}`?" if close else "",
    )
