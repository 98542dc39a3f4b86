"""What a report draws of the values of a probe or a strategy.

They say it, the run record keeps it, and it is drawn from the record alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

EPOCH = "epoch"

Table = Mapping[tuple[str, ...], float]
"""Numbers by place: ``("cells[0]", "edge 1", "conv3")``. All keys of one table have one length."""


def owner(strategy: str) -> str:
    """Whose readings those of a strategy are in the record, beside those of probes."""
    return f"strategy {strategy}"


@dataclass(frozen=True)
class Figure:
    """One figure over the measurements of a probe or a strategy.

    Without ``table``: one line per metric of ``lines`` (names as they are given, without the probe's own). ``x`` is
    ``"epoch"``, or another metric of the probe: every line then joins its points in the order of the epochs. ``log``
    makes the upright axis logarithmic, and both where ``x`` is a metric; values that are not positive forbid it.

    With ``table``: the rows of that table whose key starts with ``where``; the next ``panel`` entries of the key name a
    panel (0: all lines in one), the rest of it names the line; ``panels`` and ``lines`` then are the only ones shown,
    in this order (empty: all of them).

    With ``table`` and ``shade``: each place of the table is a stroke at its value in the epochs that have it, coloured
    by its value in the table ``shade``, and a line joins the largest ones; ``shade_label`` is the label of the colours.

    ``y`` is the label of the upright axis, with its unit.
    """

    title: str
    y: str
    lines: tuple[str, ...] = ()
    table: str = ""
    where: tuple[str, ...] = ()
    panel: int = 0
    panels: tuple[str, ...] = ()
    x: str = EPOCH
    x_label: str = ""
    log: bool = False
    shade: str = ""
    shade_label: str = ""

    def describe(self) -> dict[str, Any]:
        """JSON-ready, for the run record."""
        return asdict(self)

    @staticmethod
    def read(values: Mapping[str, Any]) -> Figure:
        """What :meth:`describe` gave, from a record; entries of later versions are passed over."""
        known = {f.name for f in fields(Figure)}
        kept: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if name in known
        }
        return Figure(**kept)
