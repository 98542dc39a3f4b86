"""``spacec info``: the facts about a space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.output import facts, table, tell, tell_json
from spacec.cli.spaces import file_argument, json_option, open_space, space_options

if TYPE_CHECKING:
    from spacec.driver import Space

SHOWN_LABELS = 60
"""Characters of a list of candidates before it is cut."""


@click.command()
@file_argument
@space_options
@json_option
def info(file: str, params: tuple[str, ...], preset: str | None, ops: tuple[str, ...], as_json: bool) -> None:
    """Show what a space holds: inputs, outputs, decisions, mask slots, counts, weights, preconditions.

    \b
    Example:
      spacec info grammars/darts.space -p C=36 -p layers=20
    """
    space = open_space(file, params, preset, ops)
    if as_json:
        tell_json(_as_json(space))
        return
    tell(facts(_summary(space)))
    for line in space.preconditions:
        tell(f"precondition   {line}")
    rows = [(d.id, d.kind, _candidates(d)) for d in space.decisions]
    if rows:
        tell(f"\ndecisions of {space.name}")
        tell(table(rows))


def _summary(space: Space) -> Mapping[str, str]:
    found = {
        "space": f"{space.name}  {space.digest}",
        "parameters": ", ".join(f"{name} = {_shown(value)}" for name, value in space.header.items()) or "none",
        "presets": ", ".join(space.presets) or "none",
        "inputs": ", ".join(f"{name}: {type_}" for name, type_ in space.inputs.items()),
        "outputs": ", ".join(f"{name}: {type_}" for name, type_ in space.outputs.items()),
        "decisions": f"{len(space.decisions):,}",
        "slots": f"{len(space.slots):,} with {sum(s.size for s in space.slots):,} candidates",
        "architectures": f"{space.count():,}",
    }
    if space.table.constraints:
        found["without where"] = f"{space.count(where=False):,}"
    if len(space.table.owners) > 1:
        owners = (f"{owner} {space.count(owner=owner):,}" for owner in space.table.owners)
        found["of each owner"] = ", ".join(owners)
    found["weights"] = f"{space.supernet_params():,} in the supernet"
    return found


def _candidates(decision: Any) -> str:
    if decision.kind == "subset":
        size = f"{decision.low}" if decision.low == decision.high else f"{decision.low} to {decision.high}"
        return f"{size} of {decision.size}"
    text = " | ".join(decision.labels)
    return text if len(text) <= SHOWN_LABELS else f"{len(decision.labels)} candidates"


def _shown(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple | list) else str(value)


def _as_json(space: Space) -> dict[str, Any]:
    return {
        "space": space.name,
        "digest": space.digest,
        "parameters": dict(space.header),
        "presets": list(space.presets),
        "inputs": {name: str(type_) for name, type_ in space.inputs.items()},
        "outputs": {name: str(type_) for name, type_ in space.outputs.items()},
        "count": space.count(),
        "count_without_where": space.count(where=False),
        "count_by_owner": {owner: space.count(owner=owner) for owner in space.table.owners},
        "supernet_params": space.supernet_params(),
        "preconditions": [str(p) for p in space.preconditions],
        "decisions": [
            {
                "id": d.id,
                "owner": d.owner,
                "kind": d.kind,
                **(
                    {"low": d.low, "high": d.high, "size": d.size} if d.kind == "subset" else {"labels": list(d.labels)}
                ),
                "elastic": d.elastic,
            }
            for d in space.decisions
        ],
        "slots": [{"id": s.id, "labels": list(s.labels)} for s in space.slots],
    }
