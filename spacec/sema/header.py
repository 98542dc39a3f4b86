"""The head of a file: parameters and presets, defaults of ops."""

from __future__ import annotations

from collections.abc import Mapping

from spacec.diagnostics.model import Label
from spacec.diagnostics.suggest import nearest
from spacec.ir.graph import Region, Step
from spacec.ir.ops import AttrValue
from spacec.sema.attributes import attribute_value, is_attribute
from spacec.sema.builder import Builder, Cx
from spacec.sema.machine import Machine
from spacec.sema.values import UNKNOWN, Env, Pack, Value, describe
from spacec.syntax import ast

PICK_DEFAULTS = ("absent", "edges")
"""What ``default pick(…)`` can reset: whether *absent* joins each edge's candidates, whether edges are weighed."""


def scratch() -> tuple[Cx, Region]:
    """A context for text that may not decide or build anything."""
    region = Region("header", ())
    return Cx(Builder(region), Step("")), region


def static_value(m: Machine, expr: ast.Expr, env: Env, what: str) -> Value:
    """A number, text or list known before anything is built."""
    cx, region = scratch()
    value = m.evaluate(m, cx, expr, env)
    if value is UNKNOWN:
        return UNKNOWN
    if region.decisions or not is_plain(value):
        return m.fail("E0503", expr.span, f"{what} is a number, a text or a list of these", f"found {describe(value)}")
    return value


def is_plain(value: Value) -> bool:
    """Whether it is a number, a text, or a list of these."""
    return isinstance(value, bool | int | float | str) or (isinstance(value, Pack) and all(map(is_plain, value.items)))


def plain_value(value: Value) -> object:
    """The Python value of static data."""
    return [plain_value(v) for v in value.items] if isinstance(value, Pack) else value


def bind_parameters(
    m: Machine,
    header: ast.Header,
    env: Env,
    presets: Mapping[str, ast.Preset],
    preset: str | None,
    given: Mapping[str, ast.Expr | Value],
) -> dict[str, Value]:
    """Values of the header parameters: defaults, then the preset's, then what the caller gives."""
    names = [p.name for p in header.params]
    chosen: dict[str, ast.Expr | Value] = {}
    if preset is not None and preset not in presets:
        close = nearest(preset, list(presets))
        known = ", ".join(sorted(presets)) or "none"
        m.fail(
            "E0504",
            header.span,
            f"no preset `{preset}`",
            notes=(f"presets of this space: {known}",),
            help=f"did you mean `{close}`?" if close else "",
        )
    elif preset is not None:
        chosen.update({a.name: a.value for a in presets[preset].args if a.name})
    for name in given:
        if name not in names:
            close = nearest(name, names)
            takes = (f"parameters: {', '.join(names) or 'none'}",)
            m.fail(
                "E0501",
                header.span,
                f"the space has no parameter `{name}`",
                notes=takes,
                help=f"did you mean `{close}`?" if close else "",
            )
    chosen.update({k: v for k, v in given.items() if k in names})
    values: dict[str, Value] = {}
    for param in header.params:
        source = chosen.get(param.name, param.default)
        scope = env.nest(values)
        values[param.name] = _parameter(m, param, source, scope)
    _check_values(m, header, env.nest(values), [p for name, p in presets.items() if name != preset])
    return values


def _check_values(m: Machine, header: ast.Header, scope: Env, presets: list[ast.Preset]) -> None:
    """Report the mistakes in presets that this form does not use."""
    params = {p.name: p for p in header.params}
    for preset in presets:
        for arg in preset.args:
            if arg.name in params:
                _parameter(m, params[arg.name], arg.value, scope)


def _parameter(m: Machine, param: ast.Param, source: ast.Expr | Value | None, scope: Env) -> Value:
    if source is None:
        return m.fail(
            "E0503",
            param.span,
            f"parameter `{param.name}` has no value",
            "it has no default",
            help=f'give it: `use "…"({param.name} = …)`' if m.loading else f"give it: `-p {param.name}=…`",
        )
    value = static_value(m, source, scope, f"parameter `{param.name}`") if isinstance(source, ast.Node) else source
    if param.default is None or value is UNKNOWN or param.default is source:
        return value
    default = static_value(m, param.default, scope, f"parameter `{param.name}`")
    if default is not UNKNOWN and not _compatible(default, value):
        seen = (Label(param.span, f"its default is {describe(default)}"),)
        at = source.span if isinstance(source, ast.Node) else param.span
        return m.fail("E0503", at, f"parameter `{param.name}` cannot be {describe(value)}", labels=seen)
    return value


def _compatible(default: Value, value: Value) -> bool:
    number = bool | int | float
    if isinstance(default, float) and isinstance(value, number):
        return True
    if isinstance(default, number):
        return isinstance(value, number) and (isinstance(default, float) or not isinstance(value, float))
    return type(default) is type(value)


def check_presets(m: Machine, header: ast.Header | None, presets: Mapping[str, ast.Preset]) -> None:
    """Every preset names parameters that exist."""
    names = [p.name for p in header.params] if header else []
    for preset in presets.values():
        for arg in preset.args:
            if arg.name is None:
                m.fail("E0504", arg.span, "a preset names its parameters", help="write `name = value`")
            elif arg.name not in names:
                close = nearest(arg.name, names)
                m.fail(
                    "E0501",
                    arg.span,
                    f"the space has no parameter `{arg.name}`",
                    help=f"did you mean `{close}`?" if close else "",
                )


def read_defaults(m: Machine, items: tuple[ast.Item, ...], env: Env) -> dict[str, dict[str, AttrValue]]:
    """``default OP(arg = …)``: checked against the op's signature."""
    table: dict[str, dict[str, AttrValue]] = {}
    for item in items:
        if isinstance(item, ast.Default):
            table.setdefault(item.op, {}).update(_default(m, item, env))
    return table


def _default(m: Machine, item: ast.Default, env: Env) -> dict[str, AttrValue]:
    spec = m.ops.get(item.op)
    if spec is None and item.op != "pick":
        close = nearest(item.op, [*m.ops.ops, "pick"])
        m.fail(
            "E0201", item.span, f"unknown op `{item.op}` in a default", help=f"did you mean `{close}`?" if close else ""
        )
        return {}
    names = [p.name for p in spec.params] if spec else list(PICK_DEFAULTS)
    values: dict[str, AttrValue] = {}
    for arg in item.args:
        if arg.name not in names:
            _no_parameter(m, item.op, arg, names)
            continue
        value = static_value(m, arg.value, env, f"the default of `{arg.name}`")
        if value is not UNKNOWN and arg.name and is_attribute(value):
            values[arg.name] = attribute_value(value)
    return values


def _no_parameter(m: Machine, op: str, arg: ast.Arg, names: list[str]) -> None:
    close = nearest(arg.name, names) if arg.name else None
    takes = (f"`{op}` takes {', '.join(f'`{n}`' for n in names) or 'no arguments'}",)
    what = f"`{op}` has no parameter `{arg.name}`" if arg.name else f"a default of `{op}` names its parameter"
    m.fail("E0204", arg.span, what, notes=takes, help=f"did you mean `{close}`?" if close else "")
