"""Two questions about an expression that need no elaboration: is it a network, and in what is it open?

Both look only at syntax and at what names are bound to, so asking has no effect.
"""

from __future__ import annotations

from spacec.ir.ops import OPEN, OpSpec
from spacec.sema.values import Argument, Closure, Definition, Env, Value
from spacec.syntax import ast

BUILTINS = frozenset({"len", "max", "min", "abs", "round", "round_to", "normal"})
"""Functions of data; a file's own names may shadow them."""

KINDS = frozenset({"tokens", "graph"})
"""Words of types."""

FROZEN = "frozen"
"""``frozen(f)`` is f with weights that are not trained; a file's own name may shadow it."""

_NETWORK_DEPTH = 1_000
"""Definitions inside each other; elaboration refuses far fewer."""


def is_network(expr: ast.Expr, env: Env, depth: int = 0) -> bool:
    """Whether ``expr`` denotes a network (something to apply) rather than data."""
    if depth > _NETWORK_DEPTH:
        return True
    match expr:
        case ast.Dag() | ast.Alternatives():
            return True
        case ast.Name():
            return _value_is_network(env.get(expr.id), depth)
        case ast.Call():
            return _call_is_network(expr, env, depth)
        case ast.Index():
            return isinstance(expr.base, ast.Name) and _family(env.get(expr.base.id), depth)
        case ast.Pipe():
            return is_network(expr.stages[0], env, depth + 1)
        case ast.Typed():
            return is_network(expr.stage, env, depth + 1)
        case ast.Inline():
            return is_network(expr.value, env, depth + 1)
        case ast.Binary():
            return is_network(expr.left, env, depth + 1) or is_network(expr.right, env, depth + 1)
        case ast.TupleOf() | ast.ListOf():
            return any(is_network(e, env, depth + 1) for e in expr.items)
        case _:
            return False


def _family(value: Value | None, depth: int) -> bool:
    """Whether the members of a family are networks; a value that is no family at all has elements."""
    return isinstance(value, Definition) and bool(value.binding.indices) and _value_is_network(value, depth)


def _value_is_network(value: Value | None, depth: int) -> bool:
    match value:
        case OpSpec() | Closure():
            return True
        case Argument():
            return value.network
        case Definition():
            return _definition_is_network(value, frozenset(), depth)
        case _:
            return False


def _definition_is_network(d: Definition, networks: frozenset[str], depth: int) -> bool:
    """Whether the body is a network where these parameters are; asked once, since definitions may double."""
    known = d.networks.get(networks)
    if known is None:
        d.networks[networks] = True  # what a definition that contains itself is taken for
        names = (*(p.name for p in d.binding.params or ()), *d.binding.indices)
        scope = d.env.nest({name: Argument(name in networks) for name in names})
        known = d.networks[networks] = is_network(d.binding.body, scope, depth + 1)
    return known


def _call_is_network(expr: ast.Call, env: Env, depth: int) -> bool:
    if isinstance(expr.callee, ast.Index):
        return is_network(expr.callee, env, depth + 1)
    if not isinstance(expr.callee, ast.Name):
        return True
    value = env.get(expr.callee.id)
    if value is None and expr.callee.id == FROZEN:
        return True
    match value:
        case OpSpec():
            return (
                value.inputs is not None or not expr.args or all(is_network(a.value, env, depth + 1) for a in expr.args)
            )
        case Definition():
            given = arguments(value, expr.args)
            networks = frozenset(name for name, arg in given.items() if is_network(arg, env, depth + 1))
            return _definition_is_network(value, networks, depth)
        case Closure():
            return True
        case Argument():
            return value.network
        case _:
            return False


def arguments(d: Definition, args: tuple[ast.Arg, ...]) -> dict[str, ast.Expr]:
    """The arguments of a call by the names of the parameters; those that fit none are left out."""
    names = [p.name for p in d.binding.params or ()]
    positional = iter(names)
    given = ((arg.name or next(positional, None), arg.value) for arg in args)
    return {name: value for name, value in given if name in names}


Seen = dict[object, frozenset[str]]
"""What uses of definitions were found open in during one question; empty while it is being found out."""


def openness(expr: ast.Expr, env: Env, seen: Seen | None = None) -> frozenset[str]:
    """In which of ``"out"``, ``"stride"`` and ``"factor"`` the expression can still be typed from outside.

    ``"*out"`` and so on: in which each of several values can be typed by a pyramid.
    """
    seen = {} if seen is None else seen
    match expr:
        case ast.Name():
            return _open_value(env.get(expr.id), (), env, seen)
        case ast.Call(callee=ast.Name(id="frozen"), args=(arg,)) if env.get(FROZEN) is None:
            return openness(arg.value, env, seen)
        case ast.Call(callee=ast.Name(id=name)):
            return _open_value(env.get(name), expr.args, env, seen)
        case ast.Index() if isinstance(expr.base, ast.Name):
            return _open_value(env.get(expr.base.id), (), env, seen)
        case ast.Pipe():
            return frozenset().union(*(openness(s, env, seen) for s in expr.stages))
        case ast.Alternatives():
            return frozenset().union(*(openness(c.value, env, seen) for c in expr.candidates))
        case ast.Binary(op="+"):
            return openness(expr.left, env, seen) | openness(expr.right, env, seen)
        case ast.Binary(op="*"):
            return openness(expr.left, env, seen)
        case ast.Inline():
            return openness(expr.value, env, seen)
        case ast.From():
            inner = openness(expr.body, env, seen)
            return inner | _by_scale(inner)
        case ast.TupleOf() | ast.ListOf():
            return _by_scale(frozenset().union(*(openness(item, env, seen) for item in expr.items)))
        case ast.Spread():
            return openness(expr.value, env, seen)
        case ast.Dag():
            return _open_dag(expr, env, seen)
        case _:
            return frozenset()


_ALL = frozenset({"out", "stride", "factor"})


def _by_scale(open_in: frozenset[str]) -> frozenset[str]:
    """What a list is open in where its elements are open in these."""
    return frozenset(f"*{attribute}" for attribute in open_in & _ALL)


def _open_value(value: Value | None, args: tuple[ast.Arg, ...], env: Env, seen: Seen) -> frozenset[str]:
    match value:
        case OpSpec():
            given = {a.name for a in args if a.name} | {
                p.name for p, a in zip(value.params, args, strict=False) if not a.name
            }
            if value.inputs is None:
                return _ALL.intersection(frozenset().union(*(openness(a.value, env, seen) for a in args)))
            free = {p.name for p in value.params if p.default is OPEN} - given
            return frozenset(free)
        case Closure():
            return openness(value.expr, value.env, seen)
        case Argument():
            return value.open
        case Definition():
            return _open_definition(value, args, env, seen)
        case _:
            return frozenset()


def _open_definition(d: Definition, args: tuple[ast.Arg, ...], env: Env, seen: Seen) -> frozenset[str]:
    """What the body is open in, network arguments seen through; found out once for all arguments that are alike."""
    names = (*(p.name for p in d.binding.params or ()), *d.binding.indices)
    bound: dict[str, Value] = dict.fromkeys(names, Argument(False))
    for name, value in arguments(d, args).items():
        if is_network(value, env):
            bound[name] = Argument(True, openness(value, env, seen))
    key = (id(d), *bound.items())
    if key not in seen:
        seen[key] = frozenset()
        if len(seen) < _NETWORK_DEPTH:
            seen[key] = openness(d.binding.body, d.env.nest(bound), seen)
    return seen[key]


def _open_dag(expr: ast.Dag, env: Env, seen: Seen) -> frozenset[str]:
    """A dag is open in what it returns is open in; one that reads ``out`` takes care of all of them itself."""
    if _mentions_out(expr.body):
        return _ALL
    inner = env.nest(dict.fromkeys(expr.params, Argument(False)))
    returns = [s for s in expr.body if isinstance(s, ast.Return)]
    return frozenset().union(*(openness(_tail(v), inner, seen) for r in returns for v in r.values))


def _tail(expr: ast.Expr) -> ast.Expr:
    """What a returned value is made by: the stages after the data that enters them."""
    if isinstance(expr, ast.Pipe) and len(expr.stages) > 1:
        return ast.Pipe(expr.stages[1:], span=expr.span)
    if isinstance(expr, ast.Binary):
        return ast.Binary(expr.op, _tail(expr.left), _tail(expr.right), span=expr.span)
    return expr


def _mentions_out(body: tuple[ast.Stmt, ...]) -> bool:
    stack: list[ast.Node] = list(body)
    while stack:
        item = stack.pop()
        if isinstance(item, ast.Attribute) and isinstance(item.base, ast.Name) and item.base.id == "out":
            return True
        stack.extend(ast.parts(item))
    return False
