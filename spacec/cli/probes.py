"""``--probe``, ``-P`` and ``--help-probe`` of ``spacec search``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spacec.cli.output import tell
from spacec.cli.tasks import print_options
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.hooks import installed

if TYPE_CHECKING:
    from spacec.search.probe import Probe

F = TypeVar("F", bound=Callable[..., Any])


def help_probe(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    """Print the options of a probe, and leave."""
    if name is None:
        return
    probe = installed().find("spacec_diagnostics", name).load()
    tell(f"{name}: {probe.help}\n")
    print_options(f"options of {name} (-P {name}.OPTION=VALUE)", probe.Options)
    ctx.exit()


def probe_options(command: F) -> F:
    """The options that :func:`make_probes` reads."""
    for option in (
        click.option(
            "--help-probe",
            metavar="NAME",
            is_eager=True,
            expose_value=False,
            callback=help_probe,
            help="Show the options of a probe with their defaults.",
        ),
        click.option(
            "-P",
            "--probe-option",
            "probe_texts",
            multiple=True,
            metavar="NAME.OPTION=VALUE",
            help="Set an option of a probe.",
        ),
        click.option(
            "--probe", "probe_names", multiple=True, metavar="NAME", help="Measure with an installed probe, read-only."
        ),
    ):
        command = option(command)
    return command


def make_probes(names: tuple[str, ...], texts: tuple[str, ...]) -> tuple[Probe, ...]:
    """The probes that a user names, each with its options.

    Raises :class:`SpacecError`: E0712 for a probe that is not installed, E0704 for an option that is not of the form
    ``NAME.OPTION=VALUE``, E0719 for one of a probe that is not among ``names``, E0701 to E0703 as for all options.
    """
    from spacec.search.options import split_assignments

    classes: dict[str, Any] = {name: installed().find("spacec_diagnostics", name).load() for name in names}
    given: dict[str, dict[str, str]] = {name: {} for name in names}
    for name, text in split_assignments(texts, "-P").items():
        probe, dot, option = name.partition(".")
        if not dot or not option:
            raise SpacecError(Diagnostic("E0704", f"'-P {name}={text}' is not of the form NAME.OPTION=VALUE"))
        if probe not in given:
            near = nearest(probe, names)
            help = f"did you mean '{near}'?" if near else f"ask for it: --probe {probe}"
            headline = f"'-P {name}={text}' sets an option of probe '{probe}', which is not asked for"
            raise SpacecError(Diagnostic("E0719", headline, help=help))
        given[probe][option] = text
    return tuple(classes[name](given[name]) for name in names)
