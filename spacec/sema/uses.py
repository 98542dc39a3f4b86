"""What every use of a definition is held to: who owns its decisions, whether it ends, and the skeleton law."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Literal

from spacec.diagnostics.model import Label
from spacec.ir.graph import Binder, Region
from spacec.ir.naming import Layer, skeleton_text, weights_of
from spacec.sema.bounds import levels, nested
from spacec.sema.machine import MAX_NESTING, Machine, fingerprint
from spacec.sema.values import UNKNOWN, Definition, Tensor, Value, Want, leaves, shape_of
from spacec.source import Span


def binder_of(m: Machine, d: Definition, indices: tuple[int | str, ...]) -> Binder:
    """The owner of a let's or tied's decisions; one for each member of a family."""
    if d.binder is not None and not indices:
        return d.binder
    key = (id(d.binding), d.binder, indices)
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
    if d.binding.name in m.endless:
        return False  # reported; more of it would say nothing more
    if len(m.active) < MAX_NESTING:
        return True
    endless(m, d, span)
    return False


def endless(m: Machine, d: Definition, span: Span) -> Value:
    """Report a definition that contains itself without end, with its cycle."""
    names = [name for _, name, _ in m.active]
    entered = {name.partition("[")[0] for name in names}
    if not m.endless.isdisjoint(entered):
        return UNKNOWN  # another way around the same circle
    if nested(m) or d.binding.name not in entered:
        return m.fail("E0408", span, f"over {MAX_NESTING} definitions inside each other", "the limit was passed here")
    m.endless.add(d.binding.name)
    members = [name for name in names if name.partition("[")[0] == d.binding.name != name]
    if members:
        cycle = [*names[names.index(members[0]) :][:4], "…"]
    else:
        start = len(names) - 1 - names[::-1].index(d.binding.name) if d.binding.name in names else len(names) - 3
        cycle = [*names[start:][:8], "…" if len(names) - start > 8 else d.binding.name]
    path = " -> ".join(cycle)
    return m.fail(
        "E0205",
        span,
        f"`{d.binding.name}` contains itself without end",
        "this use begins it again",
        labels=(Label(d.binding.name_span, "defined here"),),
        notes=(
            f"the cycle: {path}",
            f"recursion must reach finitely many instances, at most {MAX_NESTING} inside each other",
        ),
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
    return (own, tuple(args), shape_of(x), types, want, binder, levels(m))


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


def _same_weights(m: Machine, region: Region, binder: Binder, span: Span) -> bool:
    """Every use of a tied binder has the same layers, since all have one set of weights."""
    if binder.kind != "tied":
        return True
    first, where = m.weights.setdefault(binder, (region, span))
    mine, theirs = dict(weights_of(region, m.layers)), dict(weights_of(first, m.layers))
    if mine == theirs:
        return True
    key = next(k for k in (*mine, *theirs) if mine.get(k) != theirs.get(k))
    m.fail(
        "E0415",
        span,
        f"two uses of `{binder.name}` need different weights",
        f"`{key}` is {_layer_text(mine.get(key), theirs.get(key))} here",
        labels=(Label(where, f"and {_layer_text(theirs.get(key), mine.get(key))} here"),),
        notes=("a tied definition has one set of weights for all its uses",),
    )
    return False


def _layer_text(layer: Layer | None, other: Layer | None) -> str:
    """A layer by what tells it from another."""
    if layer is None:
        return "no layer"
    differs = [part for part in layer[1] if other is None or part not in other[1]]
    return f"{layer[0]} ({', '.join(differs)})" if differs else layer[0]


def lawful(m: Machine, region: Region, binder: Binder, span: Span) -> bool:
    """The skeleton law: every use of a binder yields the same decisions."""
    m.bodies.setdefault(binder, region)
    if m.lawful.get(binder) is region:
        return True
    if (region.searches or binder.kind == "tied") and not owns(m, binder, span):
        return False
    text = skeleton_text(region)
    known = m.skeletons.setdefault(binder, (text, span))
    if known[0] == text:
        if not _same_weights(m, region, binder, span):
            return False
        m.lawful[binder] = region
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
