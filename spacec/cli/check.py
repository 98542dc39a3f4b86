"""``spacec check``: every error of every file, in one run."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Sequence

import click

from spacec.cli.output import colour, tell
from spacec.cli.spaces import open_space, space_options
from spacec.diagnostics import render
from spacec.diagnostics.model import Diagnostic, SpacecError


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@space_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "concise", "json", "github"]),
    default="text",
    show_default=True,
    help="How findings are printed.",
)
@click.pass_context
def check(
    ctx: click.Context,
    files: tuple[str, ...],
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    form: str,
) -> None:
    """Check space files: names, types, shapes and constraints of every architecture.

    Findings go to standard output. The exit code is 1 if there are errors.

    \b
    Example:
      spacec check grammars/darts.space -p C=36 -p layers=20
    """
    found: list[Diagnostic] = []
    sound: list[str] = []
    only = len(files) == 1
    if only:
        gc.disable()
    for file in files:
        try:
            space = open_space(file, params, preset, ops)
        except SpacecError as error:
            found.extend(error.diagnostics)
            continue
        found.extend(space.warnings)
        nothing_left = space.infeasible()
        if nothing_left is not None:
            found.append(nothing_left)
        sound.append(f"{file}: no errors")
    if only:
        gc.freeze()  # the process ends soon: no need to look through all that was made
        gc.enable()
    text = _rendered(found, form)
    if text:
        tell(text)
    if form == "text":
        for line in sound:
            tell(line)
    ctx.exit(1 if any(d.severity == "error" for d in found) else 0)


def _rendered(found: Sequence[Diagnostic], form: str) -> str:
    match form:
        case "json":
            return json.dumps(render.render_json(found), indent=2, ensure_ascii=False)
        case "github":
            return render.render_github(found)
        case "concise":
            return render.render_concise(found)
    return render.render_text(found, color=colour(sys.stdout)) if found else ""
