"""``spacec bench``: what the supernet of a space costs on this machine, form by form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.files import STDIN, write_whole
from spacec.cli.output import say, table, tell, tell_json
from spacec.cli.progress import watching
from spacec.cli.spaces import file_argument, input_sizes, library_folders, open_space, space_options
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.syntax.read import source_from_path

if TYPE_CHECKING:
    from spacec.facade import Space
    from spacec.lower.bench.forms import Form, Setting
    from spacec.lower.schedule import Schedule
    from spacec.search.progress import ProgressFn


@click.command()
@file_argument
@space_options
@click.option("--size", "sizes", multiple=True, metavar="NAME=N", help="A free input size (H=64). Repeatable.")
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Samples at a time.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the CPU; torch's default without it.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Their median counts.")
@click.option("--form", "wanted", multiple=True, metavar="NAME", help="Measure only this form. Repeatable.")
@click.option("--compile", "compiled", is_flag=True, help="Also the form with compiled regions, which takes minutes.")
@click.option("--tune", type=click.IntRange(min=0), default=60, show_default=True, metavar="SECONDS",
              help="How long to look for the schedule of the optimised form; 0 takes the usual one.")  # fmt: skip
@click.option("--schedule", type=click.Path(dir_okay=False), metavar="FILE.json", help="The schedule to take instead.")
@click.option("--json", "as_json", is_flag=True, help="The whole record, as JSON.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE.md", help="The table, for a page.")
@click.option("--picture", type=click.Path(dir_okay=False), metavar="FILE.svg", help="A picture of the table.")
@click.option("--alone", hidden=True, metavar="NAME", help="Memory of one form, in this process.")
def bench(
    file: str,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    sizes: tuple[str, ...],
    batch: int,
    device: str,
    threads: int | None,
    rounds: int,
    wanted: tuple[str, ...],
    compiled: bool,
    tune: int,
    schedule: str | None,
    as_json: bool,
    output: str | None,
    picture: str | None,
    alone: str | None,
) -> None:
    """Measure the supernet of a space on this machine: time, memory and calls of each of its forms.

    A pass is forward and backward with every candidate running. The forms take turns in one process, and the median of
    the rounds counts; memory is measured in a process for each form. The optimised form runs by a schedule that is
    chosen by measuring first, and kept for the next time. The floor is what the space's operations and bytes take at
    this machine's measured rates.

    \b
    Example:
      spacec bench grammars/darts.space --batch 16 -o darts.md --picture darts.svg
      spacec bench mine.space --size H=8 --size W=8 --form plain --form fast --threads 1
    """
    from spacec.lower.bench.forms import Setting, check_sizes
    from spacec.lower.profile import use_threads
    from spacec.search.device import resolve_device

    if threads is not None:
        use_threads(threads)
    space = open_space(file, params, preset, ops, constrained=False)
    given = {} if schedule is None else {"fast": _schedule(schedule)}
    setting = Setting(resolve_device(device), batch, input_sizes(space, sizes), schedules=given)
    check_sizes(space, setting.sizes)
    if alone is not None:
        tell(json.dumps(_memory(space, alone, setting)))
        return
    forms = _forms(space, wanted, compiled)
    with watching() as watch:
        if schedule is None and tune and any(form.goal == "fast" for form in forms):
            setting = _tuned(space, setting, tune, watch)
        record = _record(space, forms, setting, rounds, watch, lambda name: _memory_apart(space, name, setting))
    _show(record, as_json, output, picture)


def _forms(space: Space, wanted: tuple[str, ...], compiled: bool = False) -> tuple[Form, ...]:
    """Those that are named; if none is, all, with that of compiled regions where it is asked for."""
    from spacec.lower.bench.forms import forms_for

    forms = forms_for(space)
    known = {form.name: form for form in forms}
    for name in wanted:
        if name not in known:
            raise click.UsageError(f"--form {name}: the forms of this space are {', '.join(known)}")
    if wanted:
        return tuple(form for form in forms if form.name in wanted or (compiled and form.compiled))
    return tuple(form for form in forms if compiled or not form.compiled)


def _record(
    space: Space,
    forms: tuple[Form, ...],
    setting: Setting,
    rounds: int,
    watch: ProgressFn,
    memory: Callable[[str], dict[str, int | None]],
) -> dict[str, Any]:
    from spacec.lower.bench.record import measured, with_memory
    from spacec.search.progress import Progress

    def told(name: str, done: int, total: int) -> None:
        watch(Progress("time", step=done, steps=total))

    watch(Progress("time"))
    record = {"space": {"name": space.name, "digest": space.digest, "header": _plain(space.header)}}
    record |= measured(space, forms, setting, rounds, told)
    found = {}
    for k, form in enumerate(forms):
        watch(Progress("memory", step=k, steps=len(forms)))
        found[form.name] = memory(form.name)
    watch(Progress("memory", step=len(forms), steps=len(forms)))
    return with_memory(record, found)


def _plain(header: Any) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in header.items()}


def _memory(space: Space, name: str, setting: Setting) -> dict[str, int | None]:
    from spacec.lower.bench.forms import subject_of
    from spacec.lower.bench.record import alone

    (form,) = _forms(space, (name,))
    return alone(lambda: subject_of(space, form, setting), setting.device)


def _schedule(path: str) -> Schedule:
    """Raises :class:`SpacecError` (E0743) for a file that is no schedule."""
    from spacec.lower.schedule import Schedule

    source = source_from_path(path)
    try:
        return Schedule.from_json(json.loads(source.text))
    except (ValueError, RecursionError) as error:  # of either: what is no JSON, and what is no schedule
        raise SpacecError(Diagnostic("E0743", f"'{path}' is no schedule", notes=(str(error),))) from error


def _tuned(space: Space, setting: Setting, seconds: int, watch: ProgressFn) -> Setting:
    from spacec.lower.bench.forms import tuned
    from spacec.search.progress import Progress

    done: list[str] = []

    def told(text: str) -> None:
        done.append(text)
        watch(Progress("schedule", step=len(done)))

    watch(Progress("schedule"))
    return replace(setting, schedules={"fast": tuned(space, setting, seconds, told, fresh=False)})


def _memory_apart(space: Space, name: str, setting: Setting) -> dict[str, int | None]:
    """The same in a process of its own, which is given this command's options; empty where that fails."""
    from spacec.lower.bench.memory import QUIET

    environment = {**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    given = click.get_current_context().params
    text = space.text if given["file"] == STDIN else ""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{goal}.json" for goal in setting.schedules]
        for path, schedule in zip(paths, setting.schedules.values(), strict=True):
            path.write_text(json.dumps(schedule.to_json()), encoding="utf-8")
        command = [sys.executable, "-m", "spacec.cli", "bench", given["file"], *_again(given, name, paths)]
        ended = subprocess.run(command, env=environment, input=text, capture_output=True, text=True)
    if ended.returncode:
        say(f"memory of {name}: {(ended.stderr.strip().splitlines() or ['the process failed'])[0]}")
        return {}
    found: dict[str, int | None] = json.loads(ended.stdout)
    return found


def _again(given: Mapping[str, Any], name: str, schedules: Sequence[Path]) -> list[str]:
    """This command's options, for the memory of one form."""
    options = [("--alone", name), ("--batch", given["batch"]), ("--device", given["device"])]
    options += [("--preset", given["preset"]), ("--threads", given["threads"])]
    options += [("--param", p) for p in given["params"]] + [("--ops", p) for p in given["ops"]]
    options += [("--size", p) for p in given["sizes"]] + [("--library", p) for p in library_folders()]
    options += [("--schedule", path) for path in schedules]
    return [str(part) for option in options if option[1] is not None for part in option]


def _show(record: Mapping[str, Any], as_json: bool, output: str | None, picture: str | None) -> None:
    from spacec.lower.bench import rows
    from spacec.lower.bench.picture import drawing

    found = rows.rows_of(record)
    if output is not None:
        write_whole(Path(output), rows.markdown(record, found))
        say(f"wrote {output}")
    if picture is not None:
        title = f"{record['space']['name']}, batch {record['batch']}, {rows.DEVICES[record['device']]}"
        write_whole(Path(picture), drawing(record, found, title).render())
        say(f"wrote {picture}")
    if as_json:
        tell_json(record)
        return
    for line in rows.facts(record):
        tell(line)
    tell("")
    tell(table([rows.HEAD, *map(rows.cells, found)], indent=""))
    tell("")
    for line in rows.left_out(record):
        tell(line)
