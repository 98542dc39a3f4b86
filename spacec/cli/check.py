"""``spacec check``: every error of every file, in one run."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from spacec.cli.files import STDIN, STDIN_NAME, space_files
from spacec.cli.output import colour, tell, width
from spacec.cli.progress import working
from spacec.cli.spaces import library_folders, open_space, space_options
from spacec.diagnostics import render
from spacec.diagnostics.model import Diagnostic, SpacecError

FORMS = ("full", "concise", "json", "github")


@dataclass(frozen=True)
class Form:
    """What to check, and in which form of the spaces."""

    files: tuple[str, ...]
    params: tuple[str, ...]
    preset: str | None
    ops: tuple[str, ...]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(allow_dash=True), metavar="FILE...")
@space_options
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="full",
    show_default=True,
    help="How findings are printed: with the lines they are in, one line each, as data, or for a workflow on GitHub.",
)
@click.option("--watch", is_flag=True, help="Check again whenever a file, or one that it uses, is saved.")
@click.pass_context
def check(
    ctx: click.Context,
    files: tuple[str, ...],
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    form: str,
    watch: bool,
) -> None:
    """Check space files: names, types, shapes and constraints of every architecture.

    FILE may be a folder, which stands for the space files in it and below, or - for standard input. Findings go to
    standard output. The exit code is 1 if there are errors.

    \b
    Example:
      spacec check grammars/darts.space -p C=36 -p layers=20
    """
    what = Form(files, params, preset, ops)
    if watch:
        if STDIN in files:
            raise click.UsageError("--watch needs files; standard input is read once")
        from spacec.cli.watch import watch as again  # only here
        from spacec.driver import Session

        again(files, Session.default((), library_folders()).folders, lambda: _check(what, form))
        return
    alone = len(files) == 1 and not Path(files[0]).is_dir()
    if alone:
        gc.disable()  # the process ends soon: no need to look through all that was made
    failed = _check(what, form)
    if alone:
        gc.freeze()
        gc.enable()
    ctx.exit(1 if failed else 0)


def _check(what: Form, form: str) -> bool:
    """Check and print; whether there are errors."""
    found: list[Diagnostic] = []
    sound: list[str] = []
    try:
        names = space_files(what.files)
    except SpacecError as error:
        names, found = (), list(error.diagnostics)
    for name in names:
        try:
            space = open_space(name, what.params, what.preset, what.ops)
        except SpacecError as error:
            found.extend(error.diagnostics)
            continue
        found.extend(space.warnings)
        with working(f"checking {name}"):
            nothing_left = space.infeasible()
        if nothing_left is not None:
            found.append(nothing_left)
        sound.append(f"{STDIN_NAME if name == STDIN else name}: no errors")
    text = _rendered(found, form)
    if text:
        tell(text)
    if form == "full":
        for line in sound:
            tell(line)
    return any(d.severity == "error" for d in found)


def _rendered(found: Sequence[Diagnostic], form: str) -> str:
    match form:
        case "json":
            return json.dumps(render.render_json(found), indent=2, ensure_ascii=False)
        case "github":
            return render.render_github(found)
        case "concise":
            return render.render_concise(found)
    return render.render_text(found, color=colour(sys.stdout), width=width(sys.stdout)) if found else ""
