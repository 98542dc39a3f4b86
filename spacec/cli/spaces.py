"""Options that every command on a space file shares, and how they become a loaded space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spacec.cli.files import read_source
from spacec.cli.output import show
from spacec.cli.progress import quiet_option, working
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.source import SourceFile
from spacec.syntax import ast
from spacec.syntax.parse import parse_expression

if TYPE_CHECKING:
    from spacec.driver import Space
    from spacec.space.architecture import Architecture

F = TypeVar("F", bound=Callable[..., Any])

file_argument = click.argument("file", type=click.Path(allow_dash=True), metavar="FILE")
json_option = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON.")
ARCH_HELP = "Architecture: its one-line text, a file with it or with its JSON, or random:SEED."
arch_option = click.option("--arch", required=True, metavar="A", help=ARCH_HELP)


LIBRARIES = "spacec.libraries"
"""Where the folders of ``--library`` wait for :func:`open_space`, which every command calls."""


def _note_libraries(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    ctx.meta[LIBRARIES] = value


WHERE = "spacec.where"
"""Where the texts of ``--where`` wait for whoever loads the space."""


def _note_where(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    ctx.meta[WHERE] = value


def further_constraints() -> tuple[SourceFile, ...]:
    """What ``--where`` gave to the command that runs."""
    texts: tuple[str, ...] = click.get_current_context().meta.get(WHERE, ())
    return tuple(SourceFile("--where", text) for text in texts)


def space_options(command: F) -> F:
    """``-p``, ``--preset``, ``--where``, ``--library`` and ``--ops``: the form in which to load a file; ``--quiet``."""
    for option in (
        quiet_option,
        click.option(
            "--ops",
            multiple=True,
            metavar="FILE.py",
            help="Use the torch modules of a Python file as ops; this runs the file. Repeatable.",
        ),
        click.option(
            "--library",
            multiple=True,
            metavar="DIR",
            expose_value=False,
            callback=_note_libraries,
            help="Look for files of `use` in this folder, before those of SPACEC_PATH. Repeatable.",
        ),
        click.option(
            "--where",
            multiple=True,
            metavar="TEXT",
            expose_value=False,
            callback=_note_where,
            help="Constrain the space further, as its own `where` would: 'params <= 2M'. Repeatable.",
        ),
        click.option("--preset", metavar="NAME", help="Start from a preset of the file, such as tiny."),
        click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="Set a header parameter."),
    ):
        command = option(command)
    return command


def side_options(first: str, second: str) -> Callable[[F], F]:
    """``--p1``, ``--p2``, ``--preset1``, ``--preset2``: what holds for one of two spaces only, called so in help."""

    def decorate(command: F) -> F:
        for number, side in ((2, second), (1, first)):
            preset = click.option(f"--preset{number}", metavar="NAME", help=f"Preset of {side} only.")
            params = click.option(
                f"--p{number}", multiple=True, metavar="NAME=VALUE", help=f"Parameter of {side} only."
            )
            command = params(preset(command))
        return command

    return decorate


def open_space(
    file: str, params: tuple[str, ...], preset: str | None, ops: tuple[str, ...], constrained: bool = True
) -> Space:
    """The space of a file (``-`` is standard input) in the form that the options ask for.

    Without ``constrained`` the ``where`` of its text is left out.
    """
    from spacec.driver import Session  # the compiler is not needed for --help

    given = read_params(params)
    session = replace(Session.default(ops, library_folders()), constrained=constrained)
    source = read_source(file)
    with working(f"compiling {source.name}"):
        return session.compile(source, given, preset, further_constraints())


def input_sizes(space: Space, items: tuple[str, ...]) -> dict[str, int]:
    """What ``--size H=64`` gives to the free sizes of the inputs."""
    free = {symbol.name for kind in space.inputs.values() for symbol in kind.symbols}
    given = read_params(items)
    for name, value in given.items():
        if name not in free or not isinstance(value, int):
            raise click.UsageError(
                f"--size {name}: {'not a whole number' if name in free else 'no free size of an input'}"
            )
    return given


def library_folders() -> tuple[str, ...]:
    """What ``--library`` gave to the command that runs."""
    folders: tuple[str, ...] = click.get_current_context().meta.get(LIBRARIES, ())
    return folders


def named_architecture(space: Space, spec: str) -> Architecture:
    """The architecture that ``--arch`` names; constraints that it violates are shown as warnings, no more."""
    arch = space.architecture(spec)
    warnings = space.violated(arch)
    if warnings:
        show(warnings)
    return arch


def read_params(items: tuple[str, ...]) -> dict[str, Any]:
    """``("C=36", "sizes=[8, 16]")`` to values; a bare word is a text.

    Raises :class:`SpacecError`: E0704 for an item that is not ``name=value`` or whose value cannot be read,
    E0705 for a name given twice.
    """
    values: dict[str, Any] = {}
    found: list[Diagnostic] = []
    for item in items:
        name, sign, text = (part.strip() for part in item.partition("="))
        if not sign or not name.isidentifier() or not text:
            found.append(Diagnostic("E0704", f"'-p {item}' is not of the form name=value"))
        elif name in values:
            found.append(Diagnostic("E0705", f"parameter '{name}' is given twice"))
        else:
            try:
                values[name] = _literal(parse_expression(SourceFile(f"-p {name}", text)))
            except SpacecError as error:
                found.extend(error.diagnostics)
            except ValueError:
                found.append(_not_a_value(name, text))
    if found:
        raise SpacecError(found)
    return values


def _not_a_value(name: str, text: str) -> Diagnostic:
    notes = ("a value is a number, a text, or a list such as [8, 16, 32]",)
    return Diagnostic("E0704", f"'-p {name}={text}' does not state a value", notes=notes)


def _literal(expr: ast.Expr) -> Any:
    match expr:
        case ast.Number(value=value, unit=""):
            return value
        case ast.String(value=text) | ast.Name(id=text):
            return text
        case ast.Unary(op="-", operand=operand):
            value = _literal(operand)
            if isinstance(value, int | float):
                return -value
        case ast.ListOf(items=items):
            return [value for item in items for value in _items(item)]
    raise ValueError


def _items(expr: ast.Expr) -> list[Any]:
    if isinstance(expr, ast.Range):
        low, high = _literal(expr.low), _literal(expr.high)
        if isinstance(low, int) and isinstance(high, int):
            return list(range(low, high + 1))
        raise ValueError
    return [_literal(expr)]
