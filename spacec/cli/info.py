"""``spacec info``: the facts about a space, on a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import click

from spacec.cli.bars import bars
from spacec.cli.numbers import counted, share, writable
from spacec.cli.output import show, table, tell, tell_json
from spacec.cli.progress import working
from spacec.cli.spaces import file_argument, json_option, open_space, space_options

SHOWN_LABELS = 90
"""Characters of a list of candidates before it is cut."""
SHOWN_DECISIONS = 24
"""Rows of decisions that are listed before the rest is counted."""
SHOWN_OWNERS = 5
SHOWN_FORMS = 4
"""Presets with what they set; of more, the last line has the names."""
RUN = 3
"""Decisions alike that are listed in one row."""


@click.command()
@file_argument
@space_options
@click.option("--all", "everything", is_flag=True, help="List every decision and every owner.")
@click.option("--deep", is_flag=True, help="Also find what takes longer than a glance, for up to some minutes.")
@json_option
def info(
    file: str,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    everything: bool,
    deep: bool,
    as_json: bool,
) -> None:
    """Show the shape of a space: forms, sizes, counts, costs and how they spread, constraints, who decides, and what.

    Numbers are exact, or say from how many uniform samples they are estimated; one that would take long to find is left
    out, unless --deep looks for it. --json has all of them, in full.

    \b
    Example:
      spacec info grammars/darts.space -p C=36 -p layers=20
    """
    from spacec.insight import DEEP, GLANCE
    from spacec.summary import summarise

    space = open_space(file, params, preset, ops)
    with working("counting"):
        nothing_left = space.infeasible()
    if nothing_left is not None:
        show([nothing_left])
    with working("measuring the space"):
        facts = summarise(space, DEEP if deep else GLANCE)
    if as_json:
        tell_json(writable(facts))
        return
    tell(table(list(_summary(facts)), indent=""))
    for title, rows in (
        ("constraints", _constraints(facts)),
        ("owners", _owners(facts, everything)),
        ("decisions", _decisions(facts, everything)),
    ):
        if rows:
            tell(f"\n{title}")
            tell(table(rows))


def _summary(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "space", f"{facts['space']}  {facts['digest']}"
    yield "parameters", _settings(facts["parameters"]) or "none"
    forms = [f"{name}({_settings(form)})" for name, form in facts["forms"].items()]
    if len(forms) > SHOWN_FORMS:
        forms = [*forms[: SHOWN_FORMS - 1], ", ".join(list(facts["forms"])[SHOWN_FORMS - 1 :])]
    yield from _titled("presets", forms or ["none"])
    yield "inputs", ", ".join(f"{name}: {type_}" for name, type_ in facts["inputs"].items())
    yield "outputs", ", ".join(f"{name}: {type_}" for name, type_ in facts["outputs"].items())
    yield from (("precondition", text) for text in facts["preconditions"])
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in facts["kinds"].items())
    yield "decisions", f"{len(facts['decisions']):,}: {kinds}" if len(facts["kinds"]) > 1 else kinds or "none"
    yield "slots", f"{len(facts['slots']):,} with {sum(len(s['labels']) for s in facts['slots']):,} candidates"
    yield "architectures", counted(facts["count"])
    if facts["constraints"]:
        free = facts["count_without_where"]
        yield "without where", counted(free)
        if facts["count"] is not None and free:
            yield "valid share", share(facts["count"], free)
    if facts["distinct"] is not None:
        same = facts["distinct"]
        yield "distinct", f"{same['count']:,} networks: {100 * same['duplicates']:.3g} % are duplicates"
    if facts["dead"] is not None:
        yield "dead", _dead(facts["dead"])
    frozen = f", {facts['frozen_params']:,} of them frozen" if facts["frozen_params"] else ""
    yield "weights", f"{facts['supernet_params']:,} in the supernet{frozen}"
    for cost, bounds in facts["costs"].items():
        title, spread = "weights" if cost == "params" else cost, facts["histograms"].get(cost)
        if bounds is not None:
            sizes = bounds.get("sizes")
            told = f"depend on {', '.join(sizes)}" if sizes else f"{_range(bounds)}{_unit(cost)} in a network"
            yield title, told
        if spread is not None:
            yield title if bounds is None else "", _histogram(spread)
    if facts["recursion"]:
        yield "recursion", ", ".join(f"{name} ({n} instances)" for name, n in facts["recursion"].items())


def _histogram(found: Mapping[str, Any]) -> str:
    """The bins in one line, the middle, and how it is known."""
    middle = f"{found['median']:,}" if isinstance(found["median"], int) else f"{found['median']:g}"
    known = "" if found["exact"] else f", from {found['samples']:,} samples"
    return f"|{bars(found['shares'])}|  half up to {middle}{known}"


def _dead(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    sure = "" if found["exact"] else f" ({100 * low:.0f} to {100 * high:.0f} %, from {found['samples']:,} samples)"
    return f"{100 * found['share']:.0f} % of the architectures{sure} have a decision on no path to an output"


def _titled(title: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    """A title beside the first of several lines."""
    for k, line in enumerate(lines):
        yield "" if k else title, line


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_shown(value)}" for name, value in values.items())


def _shown(value: object) -> str:
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, tuple | list) else str(value)


def _range(bounds: Mapping[str, int | float]) -> str:
    low, high = (f"{n:,}" if isinstance(n, int) else f"{n:g}" for n in (bounds["min"], bounds["max"]))
    return low if low == high else f"{low} to {high}"


def _unit(cost: str) -> str:
    return " ms" if cost.startswith("latency(") else ""


def _constraints(facts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Each constraint as written, and how many architectures it would leave by itself."""
    return [(c["text"], _left(c["satisfied_by"], facts["count_without_where"])) for c in facts["constraints"]]


def _left(number: int | None, whole: int | None) -> str:
    if number is None:
        return ""
    return f"alone leaves {counted(number)}" + (f" ({share(number, whole)})" if whole else "")


def _owners(facts: Mapping[str, Any], everything: bool) -> list[tuple[str, ...]]:
    """Nothing where ``net`` owns all there is."""
    if all(not owner["kind"] for owner in facts["owners"]):
        return []
    rows: list[tuple[str, ...]] = [
        (
            owner["name"] + (f"[{owner['members']} members]" if owner["members"] > 1 else ""),
            owner["kind"] or "net",
            "" if not owner["uses"] else "used once" if owner["uses"] == 1 else f"used {owner['uses']:,} times",
            f"{owner['decisions']:,} decision{'s' * (owner['decisions'] > 1)}",
            f"{counted(owner['count'])} ways",
        )
        for owner in facts["owners"]
    ]
    if everything or len(rows) <= SHOWN_OWNERS + 1:  # the last row tells one owner as well as how many are left
        return rows
    return [*rows[:SHOWN_OWNERS], ("…", "", "", "", f"{len(rows) - SHOWN_OWNERS:,} more; --all lists them")]


def _decisions(facts: Mapping[str, Any], everything: bool) -> list[tuple[str, ...]]:
    """One row for each decision, or for a run of :data:`RUN` or more alike that differ in their last place."""
    rows: list[tuple[str, ...]] = []
    for (stem, kind, candidates), run in groupby(facts["decisions"], _alike):
        ids = [d["id"] for d in run]
        if len(ids) >= RUN:
            last = ids[-1].rpartition("[")[2]
            ids = [f"{stem}[{ids[0].rpartition('[')[2][:-1]}..{last}"]
        rows += [(name, kind, candidates) for name in ids]
    if everything or len(rows) <= SHOWN_DECISIONS:
        return rows
    return [*rows[:SHOWN_DECISIONS], ("…", "", f"{len(rows) - SHOWN_DECISIONS:,} more rows; --all lists them")]


def _alike(decision: Mapping[str, Any]) -> tuple[str, str, str]:
    name: str = decision["id"]
    stem = name.rpartition("[")[0] if name.endswith("]") else name
    return stem, _kind(decision), _candidates(decision)


def _kind(decision: Mapping[str, Any]) -> str:
    return "elastic" if decision["elastic"] and decision["kind"] == "value" else str(decision["kind"])


def _candidates(decision: Mapping[str, Any]) -> str:
    if decision["kind"] == "subset":
        low, high, size = decision["low"], decision["high"], decision["size"]
        return f"{low} of {size}" if low == high else f"{low} to {high} of {size}"
    labels = decision["labels"]
    text = " | ".join(labels)
    if len(text) <= SHOWN_LABELS:
        return text
    shown = " | ".join(labels[:2])[: SHOWN_LABELS // 2]
    return f"{shown} | … | {labels[-1][: SHOWN_LABELS // 2]}  ({len(labels)} candidates)"
