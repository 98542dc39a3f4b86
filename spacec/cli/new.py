"""``spacec new``: starts a space from a commented template."""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path

import click

from spacec.cli.files import SUFFIX
from spacec.cli.output import say, tell
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.syntax.lexer import MAX_WORD, RESERVED

TEMPLATES = ("cell", "chain", "multiscale", "transformer")
PLACEHOLDER = "NAME"


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--template", type=click.Choice(TEMPLATES), default="cell", show_default=True, help="What to start from.")
def new(name: str, template: str) -> None:
    """Start NAME.space from a commented template that checks. No file is overwritten.

    NAME may lead into a folder; the space has the name of the file.

    \b
    Example:
      spacec new my_space --template chain
    """
    path = Path(name if name.endswith(SUFFIX) else name + SUFFIX)
    check_name(path.stem)
    text = importlib.resources.files("spacec.std").joinpath("templates", template + SUFFIX).read_text(encoding="utf-8")
    try:
        stream = path.open("x", encoding="utf-8", newline="\n")
    except FileExistsError:
        raise SpacecError(Diagnostic("E0808", f"'{path}' is there already", help="give another name")) from None
    try:
        with stream:
            stream.write(re.sub(rf"\b{PLACEHOLDER}\b", path.stem, text))
    except OSError:
        path.unlink()  # a file of ours that is not whole
        raise
    say(f"wrote {path}; next:")
    tell(f"  spacec check {path} --watch     while you edit")
    tell(f"  spacec info {path}              what it holds, and how many architectures")
    tell(f"  spacec sample {path}            draw one")


def check_name(name: str) -> None:
    """Raise :class:`SpacecError` (E0113) for what cannot name a space."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name not in RESERVED and len(name) <= MAX_WORD:
        return
    meant = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    help = f"write `{meant}`" if meant != name and re.fullmatch(r"[A-Za-z]\w*", meant, re.ASCII) else ""
    reason = f"`{name}` is a word of the language" if name in RESERVED else NAMES
    raise SpacecError(Diagnostic("E0113", f"'{name[:40]}' cannot name a space", notes=(reason,), help=help))


NAMES = f"a name has letters, digits and underscores, begins with no digit, and is at most {MAX_WORD} long"
