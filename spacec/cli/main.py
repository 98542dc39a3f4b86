"""The ``spacec`` command: finds the subcommand, and turns every failure into a message and an exit code.

Guarantees: no traceback reaches a user (``SPACEC_DEBUG=1`` asks for it); bad input ends in exit
code 1, wrong usage in 2, Ctrl-C in 130. Listing the commands imports none of them.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from spacec.cli.output import say, show, warnings_shown
from spacec.cli.progress import quiet_option
from spacec.cli.together import run_together, several
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.hooks import installed
from spacec.hooks.host import version

if TYPE_CHECKING:
    from spacec.search.ranks import Ranks

DEBUG = "SPACEC_DEBUG"


GROUPS = {
    "Write spaces": ("new", "check", "fmt", "diff", "graph", "explain"),
    "Know spaces": ("info", "count", "sample", "enumerate", "canonical", "encode", "convert", "migrate"),
    "Costs and results": ("profile", "bench", "query"),
    "Build and search": ("compile", "opt", "search", "train", "plugins"),
    "Runs": ("resume", "replay", "runs"),
}
"""The host's commands as ``--help`` lists them; those that are in no group come last."""


class Commands(click.Group):
    """Subcommands from the ``spacec_commands`` hook; the host's own come through it too."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(installed().names("spacec_commands"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = installed().entry("spacec_commands", cmd_name)
        if entry is None:
            return None
        command = installed().find("spacec_commands", cmd_name).load()
        if not isinstance(command, click.Command):
            raise SpacecError(
                Diagnostic(
                    "E0713",
                    f"command '{cmd_name}' of {entry.owner.owner} could not be loaded",
                    notes=(f"its target is a {type(command).__name__}, not a click command",),
                )
            )
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            near = nearest(name, self.list_commands(ctx))
            help = f" Did you mean '{near}'?" if near else ""
            ctx.fail(f"No such command '{name}'.{help}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = installed()
        items = [found.entry("spacec_commands", name) for name in found.names("spacec_commands")]
        own = {e.item.name: e.item.help for e in items if e and e.owner.name == "spacec"}
        others = [(e.item.name, f"{e.item.help} ({e.owner.owner})") for e in items if e and e.owner.name != "spacec"]
        width = max(len(name) for name in found.names("spacec_commands"))
        groups = {title: [(n, own.pop(n)) for n in names if n in own] for title, names in GROUPS.items()}
        for title, rows in {**groups, "Others": list(own.items()), "Commands of plugins": others}.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl([(name.ljust(width), help) for name, help in rows])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@quiet_option
@click.version_option(version(), prog_name="spacec")
def spacec() -> None:
    """Compile a grammar of networks: check it, count it, sample it, search it.

    \b
    Example:
      spacec check grammars/darts.space
      spacec info grammars/darts.space -p C=36 -p layers=20
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script; leaves with the exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; in each of several processes, where torchrun started such."""
    return run_together(_run, arguments) if several() else _run(arguments)


def _run(arguments: Sequence[str] | None, ranks: Ranks | None = None) -> int:
    sys.set_int_max_str_digits(0)  # counts have thousands of digits, and bounded ones: so are spaces
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a terminal that cannot show a character of the grammar shows its code
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings_shown(), nullcontext() if ranks is None else ranks.last_words():
            code = spacec.main(args=arguments, prog_name="spacec", standalone_mode=False, obj=ranks)
        if sys.stdout is not None:  # closed by the caller
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SpacecError as error:
        show(error.diagnostics)
        return 1
    except click.exceptions.Abort:
        say("interrupted")
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except Exception as error:  # the border of the program: whatever is left becomes one plain message
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    if isinstance(error, BrokenPipeError):
        # The reader of a pipe left early; Python must not fail again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    if os.environ.get(DEBUG):
        traceback.print_exc()
    full = disk_full(error)
    if full is not None:
        say(f"error: the disk is full, or a limit on file sizes is reached{full}")
        if isinstance(error, OSError) and error.filename is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    elif isinstance(error, OSError):
        place = f" '{error.filename}'" if error.filename is not None else ""
        say(f"error: {(error.strerror or str(error) or type(error).__name__).lower()}{place}")
    elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        say("error: out of memory")
    else:
        owner = _plugin_at_fault(error)
        what = f"{type(error).__name__}: {error}"
        say(f"internal error: {what}" if owner is None else f"error: plugin {owner} failed: {what}")
        whom = "it" if owner is None else "it to the plugin's authors"
        say(f"please report {whom} with the output of the same command under {DEBUG}=1")
    return 1


def _plugin_at_fault(error: Exception) -> str | None:
    """The plugin whose code raised ``error``, itself or by a library it called; none where spacec raised it."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    for module in reversed(frames):
        if module.partition(".")[0] == "spacec":
            return None
        if (owner := installed().owner_of(module)) is not None:
            return owner.owner
    return None


def disk_full(error: Exception) -> str | None:
    """Where the disk ran full (``" while writing 'x'"`` or an empty text), or ``None`` for another failure."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f" while writing '{error.filename}'" if error.filename is not None else ""
    if type(error).__module__ == "sqlite3" and "full" in str(error):
        return " while writing the run record"
    return None


if __name__ == "__main__":
    main()
