"""``spacec canonical``: which architectures are one network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from spacec.cli.files import lines_of
from spacec.cli.output import tell_json, tell_lines
from spacec.cli.progress import counted
from spacec.cli.spaces import file_argument, json_option, open_space, space_options

if TYPE_CHECKING:
    from spacec.facade import Space
    from spacec.space.architecture import Architecture


@click.command()
@file_argument
@click.argument("archs", metavar="ARCH...", nargs=-1, required=True)
@space_options
@click.option("--distinct", is_flag=True, help="Only the first architecture of each network, without its digest.")
@click.option("--size", is_flag=True, help="Also how many architectures of the space are the same network.")
@json_option
def canonical(
    file: str,
    archs: tuple[str, ...],
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    distinct: bool,
    size: bool,
    as_json: bool,
) -> None:
    """Name the network of architectures: equal digests are one network, whatever its decisions and weights are called.

    ARCH is an architecture's one-line text, a file with it or with its JSON, random:SEED, or - for one text on each
    line of standard input. Sums in another order, identities, zeros and code that nothing reads make no difference;
    two layers are never one used twice. --json tells also which decisions are dead.

    \b
    Example:
      spacec canonical grammars/nas_bench_201.space random:1 random:2
      spacec sample grammars/nas_bench_201.space -n 1000 | spacec canonical grammars/nas_bench_201.space - --distinct
    """
    space = open_space(file, params, preset, ops)
    found = counted(_read(space, archs), "comparing networks" if distinct else "naming networks")
    if distinct:
        kept = space.distinct(found)
        if as_json:
            tell_json([space.to_json(arch) for arch in kept])
        else:
            tell_lines(arch.text() for arch in kept)
        return
    if as_json:
        tell_json([_facts(space, arch, size) for arch in found])
        return
    tell_lines(_line(space, arch, size) for arch in found)


def _read(space: Space, specs: Iterable[str]) -> Iterator[Architecture]:
    for spec in specs:
        yield from map(space.architecture, lines_of(spec))


def _line(space: Space, arch: Architecture, size: bool) -> str:
    counted = (str(space.class_size(arch)),) if size else ()
    return "  ".join((space.canonical(arch), *counted, arch.text()))


def _facts(space: Space, arch: Architecture, size: bool) -> dict[str, object]:
    facts: dict[str, object] = {"architecture": arch.text(), "canonical": space.canonical(arch)}
    facts["dead"] = list(space.dead(arch))
    if size:
        facts["class_size"] = space.class_size(arch)
    return facts
