"""What an unknown name was most likely meant to be."""

from __future__ import annotations

from spacec.diagnostics.model import Label
from spacec.diagnostics.suggest import nearest
from spacec.sema.foreign import meant
from spacec.sema.machine import Machine
from spacec.sema.values import UNKNOWN, Env, Value
from spacec.syntax import ast


def unknown_name(m: Machine, name: ast.Name, env: Env) -> Value:
    """E0201, with what was most likely meant: an input, a name of another library, a near miss."""
    if m.exhausted:
        return UNKNOWN
    if name.id in m.inputs:
        seen = (Label(m.inputs[name.id], "the input"),)
        headline = f"the input `{name.id}` is known only inside a `dag`"
        form = f"dag({', '.join(m.inputs)}) {{ … }}"
        return m.fail("E0201", name.span, headline, "not known here", labels=seen, help=f"write `net = {form}`")
    names = [*env.all_names(), *m.ops.ops]
    other = meant(name.id, frozenset(names))
    close = None if other else nearest(name.id, names)
    help = f"this language writes `{other}`" if other else f"did you mean `{close}`?" if close else ""
    return m.fail("E0201", name.span, f"unknown name `{name.id}`", "not defined here", help=help)
