"""Identity of architectures across the forms of a space (language rule 3).

An architecture builds in every form with the same digest, or whose owners, as far as that form
uses them, all have the digests that they had where it was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.source import Span
from spacec.space.activity import walk
from spacec.space.architecture import Architecture, architecture_of, owner_digests
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.validate import SHOWN, findings, missing
from spacec.space.values import Value, is_value


def adapt(table: DecisionTable, arch: Architecture) -> Architecture:
    """The same architecture in another form; decisions of owners that this form does not use are dropped.

    Constraints are not looked at. Raises :class:`SpacecError`: E0602, naming the differing
    decisions, where it belongs to another space.
    """
    if not belongs(table, arch.digest, dict(arch.owner_digests)):
        raise SpacecError(
            foreign(table, arch.space, arch.digest, differing(table, arch.values, dict(arch.owner_digests)))
        )
    chosen = {name: value for name, value in arch.values.items() if arch.digest == table.digest or name in table.by_id}
    wrong = findings(table, chosen, where=False)
    if wrong:
        raise SpacecError(wrong)
    return architecture_of(table, chosen)


def belongs(table: DecisionTable, digest: str, owners: Mapping[str, str]) -> bool:
    """Whether digests say that an architecture builds in this form."""
    own = dict(owner_digests(table))
    return digest == table.digest or (len(own) == len(table.owners) > 0 and all(owners.get(o) == own[o] for o in own))


def differing(table: DecisionTable, chosen: Mapping[str, Value], owners: Mapping[str, str]) -> list[str]:
    """Ids that only one side decides, or that cannot take the value; else the owners whose digests differ."""
    names = [name for name in chosen if name not in table.by_id]

    def choose(decision: Decision) -> Value:
        value = chosen.get(decision.id)
        if value is not None and is_value(decision, value):
            return value
        names.append(decision.id)
        raise SpacecError(missing(decision))

    try:
        answered = walk(table, choose)
        names += [d.id for d in table.decisions if d.id in chosen and d.id not in answered]
    except SpacecError:
        pass  # what is active after a decision that differs is anyone's guess
    return names or [o for o, digest in owner_digests(table) if owners.get(o) != digest]


def foreign(
    table: DecisionTable, space: str, digest: str, names: Iterable[str], span: Span | None = None
) -> Diagnostic:
    """E0602 for an architecture of ``space`` (empty: unknown)."""
    home = "another form of this space" if space == table.space else space or "another space"
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return Diagnostic(
        "E0602",
        f"this architecture belongs to {home} ({digest}); {table.space} is {table.digest}",
        span,
        notes=(f"they differ in {', '.join(names[:SHOWN])}{more}",) if names else (),
    )
