"""Names of a whole file, used or not: duplicates and unknown names.

Elaboration stops at what it cannot make sense of; this walk reads all of the text first, so that
one run reports every unknown name of a file.
"""

from __future__ import annotations

from spacec.diagnostics.model import Label
from spacec.sema.bounds import check_bound
from spacec.sema.classify import BUILTINS, FROZEN, KINDS
from spacec.sema.machine import Machine
from spacec.sema.unknown import unknown_name
from spacec.sema.values import Env, Value
from spacec.source import Span
from spacec.syntax import ast

_RESERVED = ("in", "out")


def report_duplicates(m: Machine, items: tuple[ast.Item, ...], header: ast.Header | None) -> None:
    """A file binds a name once: parameters, ports, definitions and presets share no name within their kind."""
    seen: dict[tuple[str, str], Span] = {}
    for param in header.params if header else ():
        _declare(m, seen, "parameter", param.name, param.span)
    for item in items:
        match item:
            case ast.Binding():
                check_bound(m, item)
                _declare(
                    m,
                    seen,
                    "parameter" if ("parameter", item.name) in seen else "definition",
                    item.name,
                    item.name_span,
                )
            case ast.Port():
                _declare(m, seen, "port", item.name, item.name_span)
            case ast.Preset():
                _declare(m, seen, "preset", item.name, item.span)
            case _:
                pass
    nets = [i for i in items if isinstance(i, ast.Net)]
    for extra in nets[1:]:
        m.fail(
            "E0202",
            extra.span,
            "`net` is defined twice",
            "second definition",
            labels=(Label(nets[0].span, "first definition"),),
        )


def _declare(m: Machine, seen: dict[tuple[str, str], Span], kind: str, name: str, span: Span) -> None:
    if (kind, name) in seen:
        first = (Label(seen[kind, name], "first defined here"),)
        m.fail("E0202", span, f"`{name}` is defined twice", "second definition", labels=first)
    else:
        seen[kind, name] = span


def report_unknown(m: Machine, item: ast.Item, env: Env) -> None:
    """Unknown names of a definition or of ``net``, whether or not this form reaches them."""
    match item:
        case ast.Binding():
            _binding(m, item, env)
        case ast.Net():
            _walk(m, item.value, env)
        case _:
            return  # read in full by the header


def _binding(m: Machine, binding: ast.Binding, env: Env) -> None:
    names: dict[str, Value] = dict.fromkeys(_RESERVED, 0)
    names.update({p.name: 0 for p in binding.params or ()})
    names.update(dict.fromkeys(binding.indices, 0))
    for param in binding.params or ():
        _walk(m, param, env.nest(names))
    _walk(m, binding.body, env.nest(names))


def _walk(m: Machine, node: ast.Node, env: Env) -> None:
    match node:
        case ast.Name():
            if env.get(node.id) is None and node.id not in BUILTINS and node.id not in KINDS and node.id != FROZEN:
                unknown_name(m, node, env)
        case ast.Dag():
            inner = env.nest(dict.fromkeys((*node.params, *_assigned(node.body)), 0))
            for statement in node.body:
                _walk(m, statement, inner)
        case ast.From():
            _walk(m, node.source, env)
            _walk(m, node.body, env.nest({node.name: 0}) if node.name else env)
        case ast.Binding():
            _binding(m, node, env)
        case ast.Arg():
            _walk(m, node.value, env)
        case ast.Attribute():
            _walk(m, node.base, env)
        case _:
            for part in ast.parts(node):
                _walk(m, part, env)


def _assigned(body: tuple[ast.Stmt, ...]) -> list[str]:
    names: list[str] = []
    for statement in body:
        match statement:
            case ast.Assign():
                names.extend(n for group in statement.targets for n in group)
            case ast.For():
                names.extend((statement.name, *_assigned(statement.body)))
            case ast.If():
                names.extend((*_assigned(statement.then), *_assigned(statement.orelse)))
            case ast.Binding():
                names.append(statement.name)
            case _:
                pass
    return names
