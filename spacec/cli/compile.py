"""``spacec compile``: one architecture as stand-alone source, or as a file of weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from spacec.cli.explain_schedule import Asked, schedule_options
from spacec.cli.explain_schedule import explain_schedule as explain
from spacec.cli.output import say
from spacec.cli.progress import working
from spacec.cli.spaces import ARCH_HELP, file_argument, input_sizes, named_architecture, open_space, space_options
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.hooks import installed

if TYPE_CHECKING:
    from spacec.facade import Space
    from spacec.lower.network import Network


@click.command("compile")
@file_argument
@space_options
@click.option("--arch", metavar="A", help=ARCH_HELP)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="network.py, network.pt; schedule.json."
)
@click.option("--weights", type=click.Path(), metavar="FILE", help="Weights of a trained network (weights.pt).")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of fresh weights.")
@click.option("--prune", is_flag=True, help="Leave out layers whose result nothing reads.")
@schedule_options
@click.pass_context
def compile_(
    ctx: click.Context,
    /,
    file: str,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    arch: str | None,
    output: str | None,
    weights: str | None,
    seed: int,
    prune: bool,
    explain_schedule: bool,
    sizes: tuple[str, ...],
    **asked: Any,
) -> None:
    """Write one network of a space.

    network.py is stand-alone source that imports torch only; network.pt holds that source and the
    weights, for torch.load(FILE, weights_only=True). Plugins may add other suffixes.

    With --explain-schedule no network is written: the supernet is timed on this machine in the ways in which it can
    run, or the cache is asked, and what was chosen is told with its reasons. -o FILE.json stores the schedule.

    \b
    Example:
      spacec compile grammars/nas_bench_201.space --arch random:7 -o network.py
      spacec compile grammars/darts.space --explain-schedule --batch 64
    """
    if explain_schedule:
        if arch is not None or weights is not None or prune:
            raise click.UsageError("--explain-schedule is about the supernet: leave out --arch, --weights and --prune.")
        space = open_space(file, params, preset, ops, constrained=False)
        explain(space, Asked(sizes=input_sizes(space, sizes), output=output, **asked))
        return
    if arch is None or output is None:
        missing = "arch" if arch is None else "output"
        raise click.MissingParameter(ctx=ctx, param=next(p for p in ctx.command.params if p.name == missing))
    _refuse(ctx, ("goal", "batch", "sizes", "device", "threads", "budget", "fresh", "as_json"))
    path = Path(output)
    exporter = installed().exporter(path.suffix)
    if path.suffix not in (".py", ".pt") and exporter is None:
        raise _unknown_suffix(path)
    if path.suffix == ".py" and weights is not None:
        raise click.UsageError("--weights needs a format that holds weights: -o network.pt")
    space = open_space(file, params, preset, ops)
    chosen = named_architecture(space, arch)
    facts = (f"{space.params(chosen):,} weights.", f"Made from {Path(file).name} with {_header(space)}.")
    if path.suffix == ".py":
        from spacec.search.files import write_text  # torch: the rest of the command needs it too

        with working("writing source"):
            write_text(path, space.source(chosen, facts=facts, prune=prune))
    else:
        with working("building"):
            network = space.network(chosen, seed, prune=prune)
        if weights is not None:
            load_weights(network, weights)
        if exporter is not None:
            with working("exporting"):
                exporter.load()(network, path)
        else:
            from spacec.lower.package import save_checkpoint

            save_checkpoint(path, network, facts)
    say(f"wrote {path}: {chosen.text()}")


def _refuse(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Raise where one of these options was given, which only ``--explain-schedule`` reads."""
    given = [
        p
        for p in ctx.command.params
        if p.name in names and ctx.get_parameter_source(p.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{given[0].opts[0]} is read with --explain-schedule only.")


def load_weights(network: Network, path: str) -> None:
    """Fill a network with stored weights. Raises :class:`SpacecError` (E0816) where they are another network's."""
    from spacec.search.files import read_tensors

    stored = read_tensors(Path(path))
    state = stored.get("state_dict", stored) if isinstance(stored, dict) else {}
    own = network.state_dict()
    wrong = [k for k in {*own, *state} if k not in own or k not in state or own[k].shape != state[k].shape]
    if wrong:
        notes = (f"{len(wrong):,} of its {len(own):,} tensors differ, '{min(wrong)}' among them",)
        raise SpacecError(Diagnostic("E0816", f"'{path}' holds the weights of another network", notes=notes))
    network.load_state_dict(state)


def _header(space: Space) -> str:
    return ", ".join(f"{name} = {value}" for name, value in space.header.items()) or "no parameters"


def _unknown_suffix(path: Path) -> SpacecError:
    known = [".py", ".pt", *(e.suffix for e in installed().exporters())]
    headline = f"'{path.name}' has a suffix that no exporter writes"
    return SpacecError(Diagnostic("E0717", headline, notes=(f"known: {', '.join(known)}",)))
