"""What there is to say about a space on one page: the facts behind ``spacec info``, as plain data.

Everything here is exact or left out: a number that would take more than a bounded amount of work is ``None``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from spacec.diagnostics.model import SpacecError
from spacec.facade import Space
from spacec.insight import GLANCE, Effort, counted_kinds, extent, insight
from spacec.ir.graph import CallNode, SpaceGraph
from spacec.ir.naming import ROOT_OWNER
from spacec.memory import no_collection
from spacec.source import SourceFile
from spacec.space.constraints import constraint_text
from spacec.space.cost import free_sizes
from spacec.space.decisions import Decision
from spacec.space.diagram import TooManyStates
from spacec.space.extremes import extremes
from spacec.space.feasible import count_within
from spacec.space.results import RESULTS
from spacec.syntax import ast
from spacec.syntax.format import format_expression
from spacec.syntax.parse import parse
from spacec.syntax.walk import nodes


def summarise(space: Space, effort: Effort = GLANCE) -> dict[str, Any]:
    """The facts, by name: numbers, texts, lists and dictionaries, ready for JSON. Integers are exact.

    What is estimated stands beside ``"exact": false``; ``effort`` bounds what is done for it.
    """
    with no_collection():
        return _summary(space, effort)


def _summary(space: Space, effort: Effort) -> dict[str, Any]:
    table = space.table
    number = total(space)
    file = parse(SourceFile(space.name, space.text))
    owners = owner_facts(space)
    return {
        "space": space.name,
        "digest": space.digest,
        "parameters": dict(space.header),
        "presets": list(space.presets),
        "forms": preset_forms(file),
        "inputs": {name: str(type_) for name, type_ in space.inputs.items()},
        "outputs": {name: str(type_) for name, type_ in space.outputs.items()},
        "preconditions": [str(p) for p in space.preconditions],
        "count": number,
        "count_without_where": total(space, where=False),
        "count_by_owner": {owner: total(space, owner) for owner in table.owners},
        "constraints": [
            {
                "text": constraint_text(limit),
                "satisfied_by": count_within(replace(table, constraints=(limit,))),
            }
            for limit in table.constraints
        ],
        "supernet_params": space.supernet_params(),
        "frozen_params": space.frozen_params(),
        "costs": {name: bounds(space, name, effort) for name in table.costs},
        "owners": owners,
        "recursion": recursion(file, space.graph),
        "kinds": counted_kinds(space),
        **insight(space, number, effort),
        "decisions": [decision_facts(d) for d in table.decisions],
        "slots": [{"id": s.id, "labels": list(s.labels)} for s in table.slots],
    }


def total(space: Space, owner: str | None = None, where: bool = True) -> int | None:
    """A count, or ``None`` where it takes too long or the constraints cannot be counted under."""
    try:
        return space.count(owner, where)
    except TooManyStates:
        return None
    except SpacecError as error:
        if error.diagnostics[0].code == "E0513":
            return None
        raise


def bounds(space: Space, cost: str, effort: Effort) -> dict[str, Any] | None:
    """Least and largest cost of a valid architecture; or the input ``sizes`` that it depends on."""
    if extent(space) > (effort.spread if cost in RESULTS else effort.bounded):
        return None  # the graph written out, which costs of results read, takes longest to make
    free = free_sizes(space.table, cost)
    if free:
        return {"sizes": list(free)}
    found = extremes(space.table, cost, limit=effort.work)
    if found is None:
        return None
    least, most = (n if isinstance(n, int) else float(n) for n in found)
    return {"min": least, "max": most}


def decision_facts(d: Decision) -> dict[str, Any]:
    amount = {"low": d.low, "high": d.high, "size": d.size} if d.kind == "subset" else {"labels": list(d.labels)}
    return {"id": d.id, "owner": d.owner, "kind": d.kind, **amount, "elastic": d.elastic}


# ----------------------------------------------------------------- forms, owners


def preset_forms(file: ast.File) -> dict[str, dict[str, Any]]:
    """What each preset sets: numbers, texts and lists of these; what has to be computed as it is written."""
    presets = [item for item in file.items if isinstance(item, ast.Preset)]
    return {p.name: {a.name: stated(a.value) for a in p.args if a.name} for p in presets}


def stated(expr: ast.Expr) -> Any:
    """The value that is written, or the text of what has to be computed."""
    match expr:
        case ast.Number(value=value, unit=""):
            return value
        case ast.String(value=text):
            return text
        case ast.Unary(op="-", operand=ast.Number(value=value, unit="")):
            return -value
        case ast.ListOf(items=items) if not any(isinstance(item, ast.Range) for item in items):
            return [stated(item) for item in items]
    return format_expression(expr)


def owner_facts(space: Space) -> list[dict[str, Any]]:
    """Who decides: lets and tieds (a family is one), and ``net``; how often each is used in the network, and its ways.

    ``uses`` is ``None`` for a let of values, which is read and not run.
    """
    kinds, uses = binder_uses(space.graph)
    families: dict[str, list[str]] = {}
    for owner in space.table.owners:
        families.setdefault(owner.partition("[")[0] if owner in kinds else owner, []).append(owner)
    decided = Counter(d.owner for d in space.table.decisions)
    return [
        {
            "name": name,
            "kind": kinds.get(members[0], "" if name == ROOT_OWNER else "let"),
            "members": len(members),
            "uses": sum(uses[m] for m in members) or None,
            "decisions": sum(decided[m] for m in members),
            "count": product(total(space, m) for m in members),
        }
        for name, members in families.items()
    ]


def product(factors: Iterable[int | None]) -> int | None:
    found = 1
    for factor in factors:
        if factor is None:
            return None
        found *= factor
    return found


def binder_uses(graph: SpaceGraph) -> tuple[dict[str, str], Counter[str]]:
    """Kinds of the lets and tieds of the file, by name, and how often each network of them is used.

    A member that runs once for all its calls (:attr:`SpaceGraph.merged`) uses what is inside it once.
    """
    regions = graph.regions()[::-1]  # callers first
    times: Counter[int] = Counter([id(graph.root), *(region for _, region in graph.merged)])
    merged = {region for _, region in graph.merged}
    kinds: dict[str, str] = {}
    uses: Counter[str] = Counter()
    for region in regions:
        for node in region.nodes:
            if not isinstance(node, CallNode):
                continue
            tied = node.binder is not None and node.binder.kind == "tied"
            if not (tied and id(node.region) in merged):
                times[id(node.region)] += times[id(region)]
            if node.binder is not None and not node.binder.local:
                kinds[node.binder.name] = node.binder.kind
                uses[node.binder.name] += times[id(region)] if node.region.inputs else 0
    return kinds, uses


# --------------------------------------------------------------------- recursion


def recursion(file: ast.File, graph: SpaceGraph) -> dict[str, int]:
    """Definitions of the file that contain themselves, with how many distinct instances this form has."""
    mentioned = {
        i.name: {n.id for n in nodes(i.body) if isinstance(n, ast.Name)}
        for i in file.items
        if isinstance(i, ast.Binding)
    }
    instances = Counter(region.name for region in graph.regions())
    return {name: instances[name] for name in mentioned if _reaches(mentioned, name)}


def _reaches(mentioned: dict[str, set[str]], name: str) -> bool:
    seen: set[str] = set()
    stack = list(mentioned[name])
    while stack:
        at = stack.pop()
        if at == name:
            return True
        if at in mentioned and at not in seen:
            seen.add(at)
            stack.extend(mentioned[at])
    return False
