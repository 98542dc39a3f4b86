"""The names that a piece of syntax takes from around it.

A name that a ``dag`` binds itself (a parameter, or assigned before it is read) or that a ``from`` binds for its
body is its own. Where that depends on how a loop or a branch runs, the name counts as taken: what is found may
be more than is needed, never less.
"""

from __future__ import annotations

from collections.abc import Iterable

from spacec.syntax import ast


def free_names(node: ast.Node) -> frozenset[str]:
    """Names read in ``node`` that it does not bind itself. Parameters of a definition count as read."""
    found: set[str] = set()
    stack = [node]
    while stack:
        item = stack.pop()
        match item:
            case ast.Name():
                found.add(item.id)
            case ast.From() if item.name is not None:
                found |= free_names(item.body) - {item.name}
                stack.extend(part for part in ast.parts(item) if part is not item.body)
            case ast.Dag():
                _block(item.body, set(item.params), found)
            case _:
                stack.extend(ast.parts(item))
    return frozenset(found)


def _block(body: Iterable[ast.Stmt], bound: set[str], found: set[str]) -> None:
    """Collect what statements take; ``bound`` grows by what they certainly bind for those that follow."""
    for statement in body:
        match statement:
            case ast.Assign():
                _read(statement.values, bound, found)
                bound.update(name for names in statement.targets for name in names)
            case ast.Append():
                _read((ast.Name(statement.target), statement.value), bound, found)
            case ast.For():
                _read((statement.iterable,), bound, found)
                _block(statement.body, bound | {statement.name}, found)
            case ast.If():
                _read((statement.condition,), bound, found)
                branches = set(bound), set(bound)
                _block(statement.then, branches[0], found)
                _block(statement.orelse, branches[1], found)
                bound |= branches[0] & branches[1]
            case ast.Return():
                _read(statement.values, bound, found)
            case ast.Binding():
                _read((statement,), bound, found)
                bound.add(statement.name)


def _read(nodes: Iterable[ast.Node], bound: set[str], found: set[str]) -> None:
    for node in nodes:
        found |= free_names(node) - bound
