"""``spacec replay``: a run once more, and what differs."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.output import say, table, tell, tell_json
from spacec.cli.progress import watching
from spacec.cli.resume import code_options
from spacec.cli.spaces import json_option

if TYPE_CHECKING:
    from spacec.job.replay import Compared, Difference


@click.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Keep the repetition in this folder."
)
@code_options
@json_option
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    run_dir: Path,
    outside: bool,
    out: Path | None,
    as_json: bool,
    **code: Any,
) -> None:
    """Repeat a run from its record, and say what differs: versions, hardware, results.

    The repetition starts from nothing but what RUN holds, and goes into DIR, or into a folder that is removed
    afterwards. On the same versions and the same processor all that is recorded comes out equal, bit for bit: trials,
    losses, probabilities, architectures, results. Of a run that was cut off, what it had reached is compared. The exit
    code is 1 where results differ.

    \b
    Example:
      spacec replay runs/darts
    """
    from spacec.job.before import recipe_in
    from spacec.job.parts import Code, check_outside, parts_of
    from spacec.job.perform import perform
    from spacec.job.replay import compare_runs, take_schedules

    job = recipe_in(run_dir)
    parts = parts_of(job, run_dir, Code(**code))
    if not outside:
        check_outside(parts, run_dir)
    with ExitStack() as stack:
        place = out or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "run"
        take_schedules(run_dir, place)
        with watching() as progress:
            perform(job, parts, place, progress)
        found = compare_runs(run_dir, place)
    if as_json:
        tell_json(_facts(found))
    else:
        _tell(found)
        if out is not None:
            say(f"the repetition is in {out}")
    if found.results:
        ctx.exit(1)


def _facts(found: Compared) -> dict[str, Any]:
    circumstances, results = ([vars(d) for d in part] for part in (found.circumstances, found.results))
    return {"equal": not results, "compared": found.rows, "differs": circumstances, "results": results}


def _tell(found: Compared) -> None:
    if found.circumstances:
        tell(table([("", "then", "now"), *((d.place, *_values(d)) for d in found.circumstances)], indent=""))
    else:
        tell("versions and hardware are the same")
    if not found.results:
        tell(f"results are equal: all {found.rows:,} recorded values")
        return
    first = found.results[0]
    then, now = _values(first)
    tell(f"results differ, first in {first.place}:\n  then  {then}\n  now   {now}")
    for other in found.results[1:]:
        tell(f"and in {other.place}")


def _values(difference: Difference) -> tuple[str, str]:
    a, b = _apart(difference.then, difference.now)
    return _text(a), _text(b)


def _apart(a: Any, b: Any) -> tuple[Any, Any]:
    """What of two values is not the same, by name where they have names."""
    if not isinstance(a, dict) or not isinstance(b, dict):
        return a, b
    names = [name for name in dict.fromkeys((*a, *b)) if a.get(name) != b.get(name)]
    pairs = {name: _apart(a.get(name), b.get(name)) for name in names}
    return {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return "  ".join(f"{name} {_text(part)}" for name, part in value.items())
    return repr(value) if isinstance(value, float) else str(value)
