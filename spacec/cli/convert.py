"""``spacec convert``: architectures from and into the formats of other projects."""

from __future__ import annotations

from itertools import chain

import click

from spacec.cli.files import lines_of
from spacec.cli.output import tell, tell_json
from spacec.cli.progress import counted
from spacec.cli.spaces import file_argument, json_option, open_space, space_options

OWN = "spacec"
"""Names spacec's own one-line text as a format."""


@click.command()
@file_argument
@click.argument("archs", nargs=-1, metavar="ARCH...")
@space_options
@click.option("--from", "source", metavar="FORMAT", help="Format of ARCH; without it, it is found out.")
@click.option("--to", "target", default=OWN, show_default=True, metavar="FORMAT", help="Format to write.")
@json_option
def convert(
    file: str,
    archs: tuple[str, ...],
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    source: str | None,
    target: str,
    as_json: bool,
) -> None:
    """Rewrite architectures, one line each; without ARCH, name the formats that the space has the shape of.

    ARCH is in spacec's own forms or in one of the formats, or - for one on each line of standard input. Without
    --from it may also be a file with one of them.

    \b
    Example:
      spacec convert grammars/nas_bench_201.space random:1 --to nas-bench-201
      spacec convert grammars/darts.space "Genotype(normal=[...], ...)" --to nni
    """
    space = open_space(file, params, preset, ops)
    if not archs:
        told = [OWN, *space.formats()]
    else:
        given = counted(chain.from_iterable(lines_of(arch) for arch in archs), "converting")
        chosen = [space.read(arch, source) if source not in (None, OWN) else space.architecture(arch) for arch in given]
        told = [arch.text() if target == OWN else space.write(arch, target) for arch in chosen]
    if as_json:
        tell_json(told)
        return
    for line in told:
        tell(line)
