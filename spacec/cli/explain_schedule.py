"""``spacec compile --explain-schedule``: what was timed on this machine, what was chosen, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spacec.cli.files import write_whole
from spacec.cli.output import facts, say, tell, tell_json
from spacec.cli.progress import working

if TYPE_CHECKING:
    from spacec.facade import Space
    from spacec.lower.schedule import Measurement, Schedule

F = TypeVar("F", bound=Callable[..., Any])
GOALS = ("fast", "launches")


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a schedule."""

    goal: str
    batch: int
    sizes: Mapping[str, int]
    device: str
    threads: int | None
    budget: float
    fresh: bool
    as_json: bool
    output: str | None


def schedule_options(command: F) -> F:
    """The options that only ``--explain-schedule`` reads."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="With it: the whole schedule as JSON."),
        click.option("--fresh", is_flag=True, help="With it: measure anew, whatever is in the cache."),
        click.option(
            "--budget",
            type=click.FloatRange(min=0),
            default=120.0,
            show_default=True,
            metavar="SECONDS",
            help="With it: what measuring may take, about.",
        ),
        click.option("--threads", type=click.IntRange(min=1), help="With it: threads of the CPU; torch's default."),
        click.option("--device", default="auto", show_default=True, help="With it: auto, cpu, cuda, cuda:1 or mps."),
        click.option("--size", "sizes", multiple=True, metavar="NAME=N", help="With it: a free input size (H=64)."),
        click.option(
            "--batch",
            type=click.IntRange(min=1),
            default=16,
            show_default=True,
            help="With it: samples at a time.",
        ),
        click.option(
            "--goal",
            type=click.Choice(GOALS),
            default="fast",
            show_default=True,
            help="With it: least time here, or fewest calls of the framework (for GPUs).",
        ),
        click.option(
            "--explain-schedule",
            is_flag=True,
            help="Choose how the supernet runs best on this machine, and tell why; needs no --arch.",
        ),
    ):
        command = option(command)
    return command


def explain_schedule(space: Space, asked: Asked) -> None:
    """Tune the space's supernet, or take what is in the cache, and print it; ``-o`` stores it as JSON.

    Raises :class:`SpacecError` for a missing size (E0512) and a device that is not there (E0708).
    """
    from spacec.lower.bench.forms import Setting, check_sizes, example_inputs, soft_masks
    from spacec.lower.profile import use_threads
    from spacec.lower.tuning.tune import CACHED
    from spacec.search.device import resolve_device

    if asked.threads is not None:
        use_threads(asked.threads)
    setting = Setting(resolve_device(asked.device), asked.batch, asked.sizes)
    check_sizes(space, setting.sizes)
    heard: list[str] = []
    with working("timing") as tick:
        net = space.supernet(0).to(setting.device)

        def told(text: str) -> None:
            heard.append(text)
            tick(facts=text)

        inputs, mask = example_inputs(space, setting), soft_masks(space, setting.device)
        goal: Any = asked.goal
        found = net.tune(inputs, mask=mask, goal=goal, budget=asked.budget, fresh=asked.fresh, told=told)
    if asked.output is not None:
        write_whole(Path(asked.output), json.dumps(found.to_json(), indent=2) + "\n")
        say(f"wrote {asked.output}")
    if asked.as_json:
        tell_json({"space": space.name, "batch": asked.batch, "cached": CACHED in heard, "schedule": found.to_json()})
        return
    _show(found, f"supernet of {space.name}, batch {asked.batch}", CACHED in heard)


def _show(schedule: Schedule, title: str, cached: bool) -> None:
    place = ", ".join(f"{name} {value}" for name, value in schedule.place.items())
    tell(f"{title}: {place}{' (from the cache)' if cached else ''}\n")
    aside = 0
    for found in schedule.measured:
        if _is_site(found) and found.subject not in schedule.kernels:
            aside += 1
            continue
        often = "once a pass" if found.count == 1 else f"{found.count} times a pass"
        tell(f"{found.subject}{f', {often}' if _is_site(found) else ''}")
        for trial in found.trials:
            tell(f"  {trial.seconds * 1e3:10.3f} ms  {trial.name}")
        tell(f"  {'chosen':>13}  {found.chosen}: {found.reason}\n")
    if aside:
        tell(f"{aside} sites of the layout that was not chosen are left out here; --json has them.\n")
    told = {
        "goal": schedule.goal,
        "layout": schedule.layout,
        "passes": ", ".join(schedule.passes) or "none: the plain form",
        "regions": schedule.regions,
        "schedule": schedule.digest,
    }
    tell(facts(told))


def _is_site(found: Measurement) -> bool:
    """Whether it is of an op site: its signature ends with the batch."""
    last = found.subject.rpartition(" ")[2]
    return last.startswith("n") and last[1:].isdecimal()
