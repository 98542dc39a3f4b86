"""``spacec enumerate``: the architectures of a space in their order."""

from __future__ import annotations

import click

from spacec.cli.output import tell_json_list, tell_lines
from spacec.cli.progress import counted, working
from spacec.cli.spaces import file_argument, json_option, open_space, space_options


@click.command("enumerate")
@file_argument
@space_options
@click.option(
    "--from", "start", type=click.IntRange(min=0), default=0, show_default=True, metavar="RANK", help="Where to begin."
)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="How many at most; all that follow by default.")
@json_option
def enumerate_(
    file: str,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    start: int,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the valid architectures in order, one line each: the rank, from 0 on, and the architecture's text.

    The order depends on the space and its constraints alone, and a listing may begin at any rank at no cost.

    \b
    Example:
      spacec enumerate grammars/nas_bench_201.space --from 15620
      spacec enumerate grammars/darts.space --from 1000000000000000000 --limit 5
    """
    space = open_space(file, params, preset, ops)
    with working("counting"):
        stop = None if limit is None else min(start + limit, space.count())
    listed = space.enumerate(start=start, stop=stop)
    found = enumerate(counted(listed, "listing", None if stop is None else max(0, stop - start)), start)
    if as_json:
        tell_json_list({"rank": rank, **space.to_json(arch)} for rank, arch in found)
        return
    tell_lines(f"{rank} {arch.text()}" for rank, arch in found)
