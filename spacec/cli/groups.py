"""A group of subcommands of the host that imports none of them until one runs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from spacec.diagnostics.suggest import nearest


class LazyGroup(click.Group):
    """``parts``: the name of a subcommand to what it does, in a line, and where it is (``module:attribute``)."""

    def __init__(self, *args: Any, parts: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.parts = parts

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.parts)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.parts:
            return None
        module, _, attribute = self.parts[cmd_name][1].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and name not in self.parts:
            near = nearest(name, list(self.parts))
            ctx.fail(f"No such command '{name}'.{f' Did you mean {near!r}?' if near else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (help, _) in self.parts.items()])
