"""``spacec opt``: rewrite a space's supernet by passes, and print what becomes of it."""

from __future__ import annotations

import dataclasses
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.output import table, tell
from spacec.cli.progress import working
from spacec.cli.spaces import file_argument, named_architecture, open_space, space_options
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.hooks import installed

if TYPE_CHECKING:
    from spacec.driver import Space
    from spacec.ir.flat import FlatGraph, FlatNode
    from spacec.passes.base import Pass

HOOK = "spacec_passes"
ALL = "all"
OPTIONS_WIDTH = 90
FIRST = "specialise"
"""What every list of passes begins with: the graph of the candidates that run."""


def list_passes(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the passes that there are, with their options, and leave."""
    if not asked:
        return
    rows = []
    for name, owner in sorted(owners().items()):
        cls = class_of(name)
        about = (cls.__doc__ or "").strip().partition("\n")[0]
        rows.append((name, about + (f" ({owner})" if owner else "")))
        options = ", ".join(f"{f.name}={_written(f.default)}" for f in dataclasses.fields(cls))
        rows += [("", line) for line in textwrap.wrap(options, OPTIONS_WIDTH)]
    tell(table(rows, indent=""))
    ctx.exit()


def _written(value: object) -> object:
    return int(value) if isinstance(value, bool) else value


@click.command()
@file_argument
@space_options
@click.option(
    "--pass",
    "asked",
    multiple=True,
    metavar="NAME[:OPTION=VALUE,...]",
    help="Run this pass, in place of those of the schedule. Repeatable; they run in the order given.",
)
@click.option("--schedule", default="fast", show_default=True, metavar="NAME", help="Whose passes run: fast, launches.")
@click.option(
    "--running",
    default=ALL,
    show_default=True,
    metavar="all|A",
    help="Which candidates run: all, or those of an architecture (its text, a file, or random:SEED).",
)
@click.option("--keep", multiple=True, metavar="NAME", help="A key, instance or output whose value stays. Repeatable.")
@click.option(
    "--print-after", "shown", multiple=True, metavar="PASS|all", help="Print the graph after this pass. Repeatable."
)
@click.option("--summary", is_flag=True, help="Print no graph, only what each pass did.")
@click.option(
    "--list", is_eager=True, is_flag=True, expose_value=False, callback=list_passes, help="List the passes and leave."
)
def opt(
    file: str,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    asked: tuple[str, ...],
    schedule: str,
    running: str,
    keep: tuple[str, ...],
    shown: tuple[str, ...],
    summary: bool,
) -> None:
    """Rewrite the graph of a supernet by passes, and print it as text.

    The graph is that of a mask under which the candidates of --running run. Lines that begin with a semicolon are
    comments: they name what was printed, and tell of each pass what became of the nodes.

    \b
    Example:
      spacec opt grammars/nas_bench_201.space --preset tiny --pass canonicalise --pass share --summary
    """
    from spacec.ir.flat_text import lines

    passes = asked_passes(asked or schedule_passes(schedule))
    known = [FIRST, *(p.name for p in passes)]
    for name in shown:
        if name not in (*known, ALL):
            notes = (f"passes: {', '.join(known)}",)
            raise SpacecError(Diagnostic("E0740", f"--print-after {name}: no such pass runs", notes=notes))
    space = open_space(file, params, preset, ops)
    kept = kept_names(space.flat, keep)
    stages = []
    with working("rewriting", len(known)) as tick:
        for stage in rewritten(specialised(space, running), passes, kept):
            stages.append(stage)
            tick(facts=stage[0])
    for name, flat in stages if shown and not summary else ():
        if name in shown or ALL in shown:
            tell("\n".join((f"; after {name}", *lines(flat))))
    if not shown and not summary:
        tell("\n".join(lines(stages[-1][1])))
    tell("\n".join(f"; {line}".rstrip() for line in summarised(space.flat, stages)))


def rewritten(flat: FlatGraph, passes: tuple[Pass, ...], keep: frozenset[str]) -> Iterator[tuple[str, FlatGraph]]:
    """The graph before the first pass, then after each, by the name of the pass.

    Raises :class:`SpacecError` (E0741) for a pass that leaves a graph that is not sound.
    """
    from spacec.ir.verify import violations

    yield FIRST, flat
    for found in passes:
        flat = found.apply(flat, keep)
        wrong = violations(flat)
        if wrong:
            headline = f"pass '{found.name}' leaves a graph that is not sound"
            raise SpacecError(Diagnostic("E0741", headline, notes=tuple(wrong[:3])))
        yield found.name, flat


def specialised(space: Space, running: str) -> FlatGraph:
    """The graph of what runs: every candidate, or one architecture. Raises :class:`SpacecError` (E0742) for none."""
    from spacec.ir.flat import FlatChoose
    from spacec.passes.specialise import Specialise, UnfitError
    from spacec.space.derive import slots_of

    index = {} if running == ALL else slots_of(space.table, named_architecture(space, running))

    def chosen(choice: FlatChoose) -> tuple[int, ...]:
        if running == ALL:
            return tuple(range(len(choice.alternatives)))
        return () if (k := index[choice.slot]) is None else (k,)

    chooses = (node for node in space.flat.nodes if isinstance(node, FlatChoose))
    try:
        return Specialise(tuple(map(chosen, chooses))).apply(space.flat)
    except UnfitError as error:
        notes = (f"its graph has {error}",)
        raise SpacecError(
            Diagnostic("E0742", "passes do not take the graph of these candidates", notes=notes)
        ) from error


def summarised(before: FlatGraph, stages: list[tuple[str, FlatGraph]]) -> Iterator[str]:
    """What each pass did: the nodes, which kinds of nodes became more or fewer, and how many are made again."""
    rows = []
    last, marked = counted(before), again(before)
    for name, flat in stages:
        now, also = counted(flat), again(flat)
        kinds = (kind for kind in sorted({*last, *now}) if last[kind] != now[kind])
        changed = [f"{kind} {last[kind]:,} to {now[kind]:,}" for kind in kinds]
        if also != marked:
            changed.append(f"marked recompute {marked:,} to {also:,}")
        rows.append((name, f"{now.total():,} nodes", ", ".join(changed)))
        last, marked = now, also
    yield from table([("plain", f"{len(before.nodes):,} nodes", ""), *rows], indent="").splitlines()
    left = ", ".join(f"{count:,} {kind}" for kind, count in sorted(last.items(), key=lambda item: (-item[1], item[0])))
    yield f"left: {left}"


def counted(flat: FlatGraph) -> Counter[str]:
    """How many nodes there are of each kind: ops by name, others by what they are."""
    return Counter(map(_kind, flat.nodes))


def again(flat: FlatGraph) -> int:
    """How many nodes are made again in the backward pass."""
    from spacec.ir.flat import FlatOp

    return sum(isinstance(node, FlatOp) and node.recompute for node in flat.nodes)


def _kind(node: FlatNode) -> str:
    from spacec.ir.flat import FlatOp

    return node.spec.name if isinstance(node, FlatOp) else type(node).__name__.removeprefix("Flat").lower()


def schedule_passes(name: str) -> tuple[str, ...]:
    """The passes of a named schedule. Raises :class:`SpacecError` (E0740) for an unknown one."""
    from spacec.lower.schedule import named

    try:
        return named(name).passes
    except ValueError as error:
        raise SpacecError(Diagnostic("E0740", str(error))) from error


def asked_passes(texts: tuple[str, ...]) -> tuple[Pass, ...]:
    """The passes that texts such as ``name:option=value`` ask for.

    Raises :class:`SpacecError`: E0712 for a pass that is not installed, E0713 for one that could not be loaded,
    E0740 for an option that it does not have, or another value than it takes.
    """
    from spacec.passes.base import parse

    known = targets()
    found = []
    for text in texts:
        class_of(text.partition(":")[0])
        try:
            found.append(parse(text, known))
        except ValueError as error:
            raise SpacecError(Diagnostic("E0740", str(error))) from error
    return tuple(found)


def class_of(name: str) -> Any:
    """The class of a pass, a dataclass. Raises as :func:`asked_passes` does."""
    from spacec.hooks.descriptors import load_target

    if name not in targets():
        installed().find(HOOK, name)  # raises
    cls = load_target(targets()[name], f"pass '{name}'")
    sound = isinstance(cls, type) and dataclasses.is_dataclass(cls) and callable(getattr(cls, "apply", None))
    if not sound or getattr(cls, "name", None) != name:
        notes = (f"'{targets()[name]}' is no dataclass with `apply` whose name is '{name}'",)
        raise SpacecError(Diagnostic("E0713", f"pass '{name}' could not be loaded", notes=notes))
    return cls


def targets() -> Mapping[str, str]:
    """Where each pass is found, as ``"module:Class"``; those of plugins too."""
    from spacec.passes.base import PASSES

    offers = installed()
    return {**{name: offers.find(HOOK, name).target for name in offers.names(HOOK)}, **PASSES}


def owners() -> Mapping[str, str]:
    """Which plugin each pass comes from; empty for spacec's own."""
    found = {}
    for name in targets():
        entry = installed().entry(HOOK, name)
        found[name] = entry.owner.owner if entry is not None and entry.owner.name != "spacec" else ""
    return found


def kept_names(flat: FlatGraph, names: tuple[str, ...]) -> frozenset[str]:
    """The names of ``--keep``. Raises :class:`SpacecError` (E0740) for one that the graph does not have."""
    from spacec.ir.flat import FlatChoose, FlatInput, FlatOp

    known = dict.fromkeys(flat.outputs)
    for node in flat.nodes:
        match node:
            case FlatOp(key=name) | FlatChoose(instance=name) | FlatInput(name=name) if name:
                known[name] = None
    for name in names:
        if name not in known:
            near = nearest(name, tuple(known))
            help = f"did you mean '{near}'?" if near else ""
            raise SpacecError(Diagnostic("E0740", f"the graph has no tensor called '{name}'", help=help))
    return frozenset(names)
