"""Modules: what the ``use`` lines of a file bring into it.

A used file gives its definitions (``def``, ``let``, ``tied``) and nothing else: its ``net``, ports,
presets, constraints and own ``use`` lines are its own affair, so a whole space can be used as a
library. It is read in a scope of its own; its parameters have their defaults or what the ``use`` gives,
and its ``default`` lines hold for its own text, below those of the user's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spacec.diagnostics.model import Label
from spacec.diagnostics.suggest import nearest
from spacec.ir.graph import Binder
from spacec.sema.header import bind_parameters, read_defaults, static_value
from spacec.sema.machine import Machine
from spacec.sema.scopes import report_duplicates, report_unknown
from spacec.sema.values import UNKNOWN, Definition, Env, Value
from spacec.syntax import ast


@dataclass(frozen=True, eq=False)
class Module:
    """A parsed file with what its ``use`` lines lead to. One that is used twice without arguments is one module."""

    file: ast.File
    imports: tuple[Import, ...] = ()


@dataclass(frozen=True, eq=False)
class Import:
    """One ``use`` line and its module."""

    use: ast.Use
    module: Module


def definitions(items: tuple[ast.Item, ...], env: Env) -> dict[str, Value]:
    """The definitions of a file, each closed over the file's own scope."""
    found: dict[str, Value] = {}
    for item in items:
        if isinstance(item, ast.Binding) and item.name not in found:
            binder = None if item.kind == "def" else Binder(item.kind, item.name, item.name_span)
            found[item.name] = Definition(item, env, binder)
    return found


def items_of(imports: tuple[Import, ...]) -> list[ast.Item]:
    """Every item of every module below some ``use`` lines."""
    found: dict[int, ast.Item] = {}
    stack = list(imports)
    seen: set[int] = set()
    while stack:
        module = stack.pop().module
        if id(module) not in seen:
            seen.add(id(module))
            found.update((id(item), item) for item in module.file.items)
            stack.extend(module.imports)
    return list(found.values())


def used_names(
    m: Machine, file: ast.File, imports: tuple[Import, ...], env: Env, outer: Env, own: set[str]
) -> dict[str, Value]:
    """The names that a file's ``use`` lines bring in; those in ``own`` are the file's and shadow them.

    ``env`` gives meaning to the arguments of a ``use``, ``outer`` is what every file sees. Two used
    files that define one name are reported, unless the file shadows it.
    """
    return _Imports(m, outer).names_of(file, imports, env, own)


class _Imports:
    """The modules of one elaboration; each is read once."""

    def __init__(self, m: Machine, outer: Env) -> None:
        self.m, self.outer = m, outer
        self.known: dict[int, dict[str, Value]] = {}

    def names_of(self, file: ast.File, imports: tuple[Import, ...], env: Env, own: set[str]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        origin: dict[str, ast.Use] = {}
        resolved = {id(i.use) for i in imports}
        for use in (i for i in file.items if isinstance(i, ast.Use) and id(i) not in resolved):
            self.m.fail("E0209", use.span, f'no library "{use.path}" is installed')
        for each in imports:
            for name, value in self.module(each, env).items():
                if name in found and found[name] is not value and name not in own:
                    self.clash(name, origin[name], each.use, found[name], value)
                found.setdefault(name, value)
                origin.setdefault(name, each.use)
        return found

    def module(self, each: Import, env: Env) -> dict[str, Value]:
        """The definitions of a used file."""
        module = each.module
        if id(module) in self.known:
            return self.known[id(module)]
        m, file = self.m, module.file
        arguments = self.arguments(each, env)
        names: dict[str, Value] = {}
        used: dict[str, Value] = {}
        scope = Env(names, Env(used, self.outer, top=True), top=True)
        m.loading.append(each.use.span)
        if file.header is not None:
            names.update(bind_parameters(m, file.header, scope, {}, None, arguments))
        found = self.known[id(module)] = definitions(file.items, scope)
        report_duplicates(m, file.items, file.header)
        names.update(found)
        used.update(self.names_of(file, module.imports, scope, set(found)))
        m.library_defaults[id(file.span.source)] = read_defaults(m, file.items, scope)
        for item in file.items:
            if isinstance(item, ast.Binding):
                report_unknown(m, item, scope)
        m.loading.pop()
        return found

    def arguments(self, each: Import, env: Env) -> Mapping[str, Value]:
        """Values for the parameters of a used file, in the scope of the file that uses it."""
        m, header = self.m, each.module.file.header
        names = [p.name for p in header.params] if header is not None else []
        values: dict[str, Value] = {}
        for arg in each.use.args:
            if arg.name is None:
                continue  # refused by the parser
            if arg.name not in names:
                close = nearest(arg.name, names)
                m.fail(
                    "E0501",
                    arg.span,
                    f'"{each.use.path}" has no parameter `{arg.name}`',
                    notes=(f"parameters: {', '.join(names) or 'none'}",),
                    help=f"did you mean `{close}`?" if close else "",
                )
                continue
            if arg.name in values:
                m.fail("E0204", arg.span, f"`{arg.name}` is given twice")
            value = static_value(m, arg.value, env, f"parameter `{arg.name}`")
            if value is not UNKNOWN:
                values[arg.name] = value
        return values

    def clash(self, name: str, first: ast.Use, second: ast.Use, mine: Value, theirs: Value) -> None:
        places = [v.binding.name_span for v in (mine, theirs) if isinstance(v, Definition)]
        self.m.fail(
            "E0221",
            second.span,
            f'`{name}` is defined by both "{first.path}" and "{second.path}"',
            "second use",
            labels=(
                Label(first.span, "first use"),
                *(Label(p, text) for p, text in zip(places, ("one definition", "the other"), strict=False)),
            ),
            help=f"define `{name}` in this file to say which is meant",
        )
