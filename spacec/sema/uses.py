"""What every use of a definition is held to: who owns its decisions, whether it ends, and the skeleton law."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Literal

from spacec.diagnostics.model import Label
from spacec.ir.graph import Binder, Region
from spacec.ir.naming import skeleton_text
from spacec.sema.machine import MAX_NESTING, Machine, fingerprint
from spacec.sema.values import (
    Definition,
    Tensor,
    Value,
    Want,
    leaves,
    shape_of,
)
from spacec.source import Span


def binder_of(m: Machine, d: Definition, indices: tuple[int | str, ...]) -> Binder:
    """The owner of a let's or tied's decisions; one for each member of a family."""
    if d.binder is not None and not indices:
        return d.binder
    key = (id(d.binding), id(d.binder), indices)
    if key not in m.binders:
        family = d.binder
        name = (family.name if family else d.binding.name) + f"[{','.join(map(str, indices))}]"
        kind: Literal["let", "tied"] = "tied" if d.binding.kind == "tied" else "let"
        home, region = (family.home, family.region) if family else (None, None)
        m.binders[key] = Binder(kind, name, d.binding.name_span, home, region, member=True)
        if region is not None:
            region.binders.append(m.binders[key])
    return m.binders[key]


def may_enter(m: Machine, d: Definition, span: Span) -> bool:
    """Whether one more definition may be entered; reports where nesting has no end."""
    if len(m.active) < MAX_NESTING:
        return True
    endless(m, d, span)
    return False


def endless(m: Machine, d: Definition, span: Span) -> Value:
    """Report a definition that contains itself without end, with its cycle."""
    names = [name for _, name, _ in m.active]
    cycle = names[len(names) - 1 - names[::-1].index(d.binding.name) :] if d.binding.name in names else names[-3:]
    path = " -> ".join([*cycle[:8], "…"] if len(cycle) > 8 else [*cycle, d.binding.name])
    return m.fail(
        "E0205",
        span,
        f"`{d.binding.name}` contains itself without end",
        "this use begins it again",
        labels=(Label(d.binding.name_span, "defined here"),),
        notes=(f"the cycle: {path}", "recursion must reach finitely many instances"),
    )


def instance_key(
    m: Machine, d: Definition, bound: dict[str, Value], x: Value, want: Want | None, binder: Binder | None
) -> Hashable | None:
    """What tells the instances of a definition apart; ``None`` where it captures tensors around its use."""
    own = fingerprint(m, d if d.binder is None else replace(d, binder=None))
    if own is None:
        return None
    args: list[Hashable] = []
    for name, value in bound.items():
        part = fingerprint(m, value)
        if part is None:
            return None
        args.append((name, part))
    types = tuple(p.type if isinstance(p, Tensor) else None for p in leaves(x))
    return (own, tuple(args), shape_of(x), types, want, id(binder) if binder else None)


def owns(m: Machine, binder: Binder, span: Span) -> bool:
    """Whether the name of a let or tied of a file is its own: names of decisions and weights begin with it."""
    other = m.owners.setdefault(binder.name, binder) if not binder.local else binder
    if other is binder:
        return True
    m.fail(
        "E0222",
        span,
        f"two lets that decide are called `{binder.name}`",
        "this use",
        labels=(Label(other.span, "one is defined here"), Label(binder.span, "the other here")),
        notes=("decisions and weights are named after their let, so these would have the same names",),
    )
    return False


def lawful(m: Machine, region: Region, binder: Binder, span: Span) -> bool:
    """The skeleton law: every use of a binder yields the same decisions."""
    m.bodies.setdefault(id(binder), region)
    if m.lawful.get(id(binder)) is region:
        return True
    if (region.searches or binder.kind == "tied") and not owns(m, binder, span):
        return False
    text = skeleton_text(region)
    known = m.skeletons.setdefault(id(binder), (text, span))
    if known[0] == text:
        m.lawful[id(binder)] = region
        return True
    mine, theirs = text.splitlines(), known[0].splitlines()
    differs = next((a or b for a, b in zip([*mine, ""], [*theirs, ""], strict=False) if a != b), "")
    m.fail(
        "E0403",
        span,
        f"two uses of `{binder.name}` give different decisions",
        "this use",
        labels=(Label(known[1], "the first use"),),
        notes=(
            f"they first differ at: {differs}",
            "a let or tied decides once for all its uses; use `def` to decide at each",
        ),
    )
    return False
