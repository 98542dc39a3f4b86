"""Whether the constraints of a space leave anything, as far as a bounded amount of work can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.space.algebra import algebra
from spacec.space.constraints import constraint_text
from spacec.space.decisions import DecisionTable
from spacec.space.diagram import QUICK, TooManyStates
from spacec.space.validate import violations
from spacec.space.values import Value


def count_within(table: DecisionTable, where: bool = True, limit: int = QUICK) -> int | None:
    """The number of architectures, or ``None`` where it takes more work or the constraints cannot be counted under."""
    try:
        return algebra(table, where, limit=limit).total
    except TooManyStates:
        return None
    except SpacecError as error:
        if error.diagnostics[0].code == "E0513":
            return None
        raise


def infeasible(table: DecisionTable) -> Diagnostic | None:
    """W0511 where the constraints are known to leave no architecture; it names one that alone leaves none."""
    if not table.constraints or count_within(table) != 0:
        return None
    alone = (c for c in table.constraints if count_within(replace(table, constraints=(c,))) == 0)
    guilty = next(alone, None)
    shown = guilty or table.constraints[-1]
    named = f"`{constraint_text(guilty)}`" if guilty else "every `where`"
    return Diagnostic("W0511", f"no architecture satisfies {named}", shown.span, "nothing is left", severity="warning")


def violated(table: DecisionTable, chosen: Mapping[str, Value]) -> tuple[Diagnostic, ...]:
    """W0606 for each constraint that a named architecture does not satisfy: it is built all the same (rule 3)."""
    return tuple(replace(d, code="W0606", severity="warning") for d in violations(table, chosen))
