"""What a search optimises: metrics of the task and costs of the space, each with its direction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.search.context import SearchContext
from spacec.space.architecture import Architecture


@dataclass(frozen=True)
class Objective:
    """``cost``: whether it is one of the space's costs, else a metric of the task."""

    name: str
    direction: Literal["max", "min"]
    cost: bool = False


def objectives(ctx: SearchContext, names: str) -> tuple[Objective, ...]:
    """``val_acc,params``: metrics and costs by name, ``NAME:max`` or ``NAME:min`` to turn one around.

    Empty: the task's first metric. Costs are better where they are less. Raises :class:`SpacecError` (E0868) for a name
    that is neither.
    """
    metrics = {m.name: m for m in ctx.task.metrics}
    costs = tuple(ctx.space.table.costs)
    found: list[Objective] = []
    for text in [t.strip() for t in names.split(",") if t.strip()] or [ctx.task.metrics[0].name]:
        name, _, way = text.partition(":")
        if way not in ("", "max", "min") or (name not in metrics and name not in costs):
            raise SpacecError(_unknown(text, (*metrics, *costs)))
        own: Literal["max", "min"] = metrics[name].direction if name in metrics else "min"
        found.append(Objective(name, "max" if way == "max" else "min" if way == "min" else own, name not in metrics))
    return tuple(found)


def values(
    ctx: SearchContext, wanted: tuple[Objective, ...], arch: Architecture, metrics: Mapping[str, float]
) -> list[float] | None:
    """The objectives of a trial that succeeded; ``None`` where it lacks one of the metrics, or one is no number."""
    found = [float(ctx.cost(arch, o.name)) if o.cost else float(metrics.get(o.name, "nan")) for o in wanted]
    return found if all(v == v for v in found) else None


def _unknown(text: str, known: tuple[str, ...]) -> Diagnostic:
    near = nearest(text.partition(":")[0], known)
    return Diagnostic(
        "E0868",
        f"'{text}' is no objective",
        notes=(f"objectives are {', '.join(known)}, each perhaps with :max or :min",),
        help=f"did you mean '{near}'?" if near else "",
    )
