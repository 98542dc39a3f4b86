"""``spacec diff``: what differs between two spaces, or two architectures of one; exits as diff(1) does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.output import show, table, tell, tell_json
from spacec.cli.progress import working
from spacec.cli.spaces import json_option, open_space, read_params, side_options, space_options
from spacec.diagnostics.model import SpacecError

if TYPE_CHECKING:
    from spacec.facade import Space
    from spacec.space.architecture import Architecture
    from spacec.space.compare import Change

_SIGNS = {"removed": ("-", "red"), "added": ("+", "green"), "changed": ("~", "yellow")}
SAME, DIFFERENT, TROUBLE = 0, 1, 2


@click.command()
@click.argument("first", type=click.Path(), metavar="A")
@click.argument("second", type=click.Path(), metavar="[B]", required=False)
@space_options
@side_options("the first side", "the second side")
@click.option("--arch", "archs", multiple=True, metavar="X", help="Twice: compare these two architectures of A.")
@click.option("--size", "sizes", multiple=True, metavar="NAME=N", help="A free input size, for multiplies (H=64).")
@json_option
@click.pass_context
def diff(
    ctx: click.Context,
    first: str,
    second: str | None,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    p1: tuple[str, ...],
    p2: tuple[str, ...],
    preset1: str | None,
    preset2: str | None,
    archs: tuple[str, ...],
    sizes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare two spaces, two forms of one, or two architectures.

    Decisions are matched by id. Without B, both sides are forms of A. The exit code is 0 where nothing
    differs, 1 where something does, and 2 for trouble.

    \b
    Example:
      spacec diff old.space new.space
      spacec diff grammars/darts.space --preset2 evaluation
      spacec diff grammars/darts.space --arch random:1 --arch random:2
    """
    if archs and (len(archs) != 2 or second is not None):
        raise click.UsageError("--arch is given twice, with one file")
    try:
        a = open_space(first, (*params, *p1), preset1 or preset, ops)
        if archs:
            pair = [a.architecture(spec) for spec in archs]
            with working("comparing"):
                found = _architecture_facts(a, pair, read_params(sizes))
            _tell(found, as_json, _tell_architectures)
        else:
            b = open_space(second or first, (*params, *p2), preset2 or preset, ops)
            names = _named(first, p1, preset1), _named(second or first, p2, preset2)
            with working("comparing"):
                found = _space_facts((a, b), names)
            _tell(found, as_json, _tell_spaces)
    except SpacecError as error:
        show(error.diagnostics)
        ctx.exit(TROUBLE)
    ctx.exit(SAME if found["same"] else DIFFERENT)


def _tell(found: Mapping[str, Any], as_json: bool, differences: Callable[[Mapping[str, Any]], None]) -> None:
    if as_json:
        tell_json(found)
    elif not found["same"]:
        tell(click.style(f"--- {found['sides'][0]}", fg="red"))
        tell(click.style(f"+++ {found['sides'][1]}", fg="green"))
        differences(found)


def _named(file: str, params: Sequence[str], preset: str | None) -> str:
    return " ".join([file, *([f"--preset {preset}"] if preset else []), *(f"-p {p}" for p in params)])


# ------------------------------------------------------------------ spaces


def _space_facts(spaces: tuple[Space, Space], names: tuple[str, str]) -> dict[str, Any]:
    """Everything that is compared, as plain data: facts that differ, decisions, conditions."""
    from spacec.space.compare import compare_decisions, owners_of
    from spacec.space.constraints import constraint_text

    a, b = spaces
    both = [_facts(space) for space in spaces]
    keys = dict.fromkeys([*both[0], *both[1]])
    facts = {k: [side.get(k) for side in both] for k in keys if both[0].get(k) != both[1].get(k)}
    digests = [space.table.owner_digests for space in spaces]
    owners = {o: [d.get(o) for d in digests] for o in owners_of([a.table, b.table])}
    where = [[constraint_text(c) for c in space.table.constraints] for space in spaces]
    changes = compare_decisions(a.table, b.table)
    ops = [_ops(space) for space in spaces]
    return {
        "same": not (facts or changes or where[0] != where[1] or ops[0] != ops[1]),
        "sides": list(names),
        "facts": facts,
        "owners": {o: pair for o, pair in owners.items() if pair[0] != pair[1]},
        "where": {"removed": _without(where[0], where[1]), "added": _without(where[1], where[0])},
        "ops": {"removed": (ops[0] - ops[1]).total(), "added": (ops[1] - ops[0]).total()},
        "decisions": [_change(change) for change in changes],
    }


def _without(items: Sequence[str], others: Sequence[str]) -> list[str]:
    return [item for item in items if item not in others]


def _facts(space: Space) -> dict[str, Any]:
    facts: dict[str, Any] = {f"parameter {name}": _plain(value) for name, value in space.header.items()}
    facts |= {f"input {name}": str(kind) for name, kind in space.inputs.items()}
    facts |= {f"output {name}": str(kind) for name, kind in space.outputs.items()}
    facts |= {"preconditions": [str(p) for p in space.preconditions]}
    facts |= {"digest": space.digest, "decisions": len(space.decisions), "slots": len(space.slots)}
    return facts | {"architectures": _count(space), "supernet weights": space.supernet_params()}


def _plain(value: object) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _count(space: Space) -> int | None:
    """The number of architectures, or ``None`` where the constraints couple too much to count."""
    try:
        return space.count()
    except SpacecError as error:
        if any(d.code != "E0510" for d in error.diagnostics):
            raise
        return None


def _ops(space: Space) -> Counter[str]:
    """What the network is made of, op by op, apart from what is decided."""
    return Counter(repr((type(node).__name__, _described(node))) for node in space.flat.nodes)


def _described(node: Any) -> tuple[str, ...]:
    spec = getattr(node, "spec", None)
    attrs = sorted(f"{k}={v}" for k, v in getattr(node, "attrs", {}).items())
    return (spec.name if spec else "", str(node.type), *attrs, getattr(node, "key", ""))


def _change(change: Change) -> dict[str, Any]:
    from spacec.space.compare import candidates_text

    side = change.new or change.old
    assert side is not None, "a change has a side"
    found: dict[str, Any] = {"id": change.id, "change": change.kind}
    if change.kind != "changed":
        return found | {"kind": side.kind, "candidates": candidates_text(side)}
    aspects = ({"what": x.name, "old": x.old, "new": x.new, "gained": x.gained, "lost": x.lost} for x in change.aspects)
    return found | {"aspects": [{k: v for k, v in aspect.items() if v != ()} for aspect in aspects]}


def _tell_spaces(found: Mapping[str, Any]) -> None:
    rows = [(name, _shown(old), "->", _shown(new)) for name, (old, new) in found["facts"].items()]
    rows += [(f"digest of {o}", _shown(old), "->", _shown(new)) for o, (old, new) in found["owners"].items()]
    ops = found["ops"]
    if ops["removed"] or ops["added"]:
        rows.append(("ops", f"{ops['removed']:,} removed", "", f"{ops['added']:,} added"))
    if rows:
        tell(table(rows, indent=""))
    for kind in ("removed", "added"):
        for text in found["where"][kind]:
            tell(_signed(kind, f"where {text}"))
    for k, change in enumerate(found["decisions"]):
        if change["change"] == "changed":
            tell(_signed("changed", change["id"]))
            following = found["decisions"][k + 1] if k + 1 < len(found["decisions"]) else {}
            if following.get("aspects") == change["aspects"]:
                continue  # said once for all that are alike
            for aspect in change["aspects"]:
                tell(f"    {aspect['what']}: {_aspect(aspect)}")
        else:
            tell(_signed(change["change"], f"{change['id']}  {change['kind']}  {change['candidates']}"))


def _aspect(aspect: Mapping[str, Any]) -> str:
    moved = [click.style(f"+ {x}", fg="green") for x in aspect.get("gained", ())]
    moved += [click.style(f"- {x}", fg="red") for x in aspect.get("lost", ())]
    return ", ".join(moved) if moved else f"{aspect['old']} -> {aspect['new']}"


def _shown(value: object) -> str:
    if value is None or value == []:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _signed(kind: str, text: str) -> str:
    sign, colour = _SIGNS[kind]
    return click.style(f"{sign} {text}", fg=colour)


# ------------------------------------------------------------------ architectures


def _architecture_facts(space: Space, pair: Sequence[Architecture], sizes: Mapping[str, Any]) -> dict[str, Any]:
    from spacec.space.compare import compare_architectures, value_text

    found = compare_architectures(space.table, pair[0], pair[1])
    return {
        "same": not found,
        "sides": [arch.text() for arch in pair],
        "weights": [space.params(arch) for arch in pair],
        "multiplies": _multiplies(space, pair, sizes),
        "decisions": [
            {"id": d.decision.id, "old": value_text(d.decision, d.old), "new": value_text(d.decision, d.new)}
            for d in found
        ],
    }


def _multiplies(space: Space, pair: Sequence[Architecture], sizes: Mapping[str, Any]) -> list[int] | None:
    """Of both, or ``None`` where a free input size is not given."""
    try:
        return [space.macs(arch, **sizes) for arch in pair]
    except SpacecError as error:
        if sizes or any(d.code != "E0512" for d in error.diagnostics):
            raise
        return None


def _tell_architectures(found: Mapping[str, Any]) -> None:
    rows = [("weights", *(f"{n:,}" for n in found["weights"]))]
    if found["multiplies"] is not None:
        rows.append(("multiplies", *(f"{n:,}" for n in found["multiplies"])))
    rows += [(d["id"], d["old"], d["new"]) for d in found["decisions"]]
    tell(table([(name, old, "->", new) for name, old, new in rows], indent=""))
