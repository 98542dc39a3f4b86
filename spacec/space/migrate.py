"""Carrying an architecture over to an edited grammar.

A decision is matched by its id, a value by its label. What the person says (:class:`Edits`) comes first: labels and
ids that were renamed, values for decisions that are new. Nothing is guessed: what has no match is named, with the
reason. Between two tables whose owners have equal digests, migrating is the identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.space.activity import walk
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.codec import named_value
from spacec.space.compare import candidates_text, value_text
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.validate import no_value, unknown_decision, violations
from spacec.space.values import Value, is_value, values


@dataclass(frozen=True)
class Edits:
    """What a person says about an edit: ``labels`` and ``ids`` from old to new, values by new id."""

    labels: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    """Of decisions, or of owners, which stand for all their decisions."""
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Migrated:
    """``arch`` is ``None`` where ``lost`` says what is missing; ``dropped``: values that nothing takes any more."""

    arch: Architecture | None
    lost: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    violated: tuple[str, ...] = ()
    """Constraints of the new space that do not hold."""


class _Lost(Exception):
    """A decision that cannot be given a value."""


def edits_of(old: DecisionTable, new: DecisionTable, renames: Mapping[str, str], given: Mapping[str, str]) -> Edits:
    """Renames and values as a person writes them; a renamed thing is a label, a decision or an owner of ``old``.

    Raises :class:`SpacecError`: E0603 for what neither side has, E0604 for a value that a decision does not have.
    """
    found: list[Diagnostic] = []
    labels, ids, chosen = dict[str, str](), dict[str, str](), dict[str, Value]()
    every = {label for d in old.decisions for label in d.labels}
    fresh = {label for d in new.decisions for label in d.labels}
    for before, after in renames.items():
        if before in old.by_id or before in old.owners:
            ids[before] = after
            found += [] if after in new.by_id or after in new.owners else [_nothing(new, after, [*new.by_id])]
        elif before in every:
            labels[before] = after
            found += [] if after in fresh else [_nothing(new, after, fresh)]
        else:
            found.append(_nothing(old, before, [*every, *old.by_id, *old.owners]))
    for name, text in given.items():
        decision = new.by_id.get(name)
        if decision is None:
            found.append(unknown_decision(new, name))
            continue
        value = named_value(new, decision, text)
        if value is None:
            found.append(no_value(new, decision, text))
        else:
            chosen[name] = value
    if found:
        raise SpacecError(found)
    return Edits(labels, ids, chosen)


def _nothing(table: DecisionTable, name: str, known: Iterable[str]) -> Diagnostic:
    near = nearest(name, known)
    hint = f"did you mean {near!r}?" if near else ""
    return Diagnostic("E0603", f"{table.space} has no decision, owner or candidate {name!r}", help=hint)


def migrate(old: DecisionTable, new: DecisionTable, arch: Architecture, edits: Edits | None = None) -> Migrated:
    """The architecture of ``new`` that ``arch`` of ``old`` stands for."""
    edits = edits or Edits()
    source = {_renamed(edits, name): name for name in old.by_id}
    used: set[str] = set()
    lost: list[str] = []

    def choose(decision: Decision) -> Value:
        before = source.get(decision.id)
        if before is not None and before in arch:
            used.add(before)
        if decision.id in edits.values:
            return edits.values[decision.id]
        if before is not None and before in arch:
            value = _carried(edits, old.by_id[before], decision, arch[before])
            if value is not None:
                return value
            taken = value_text(old.by_id[before], arch[before])
            lost.append(f"{decision.id}: {_unfit(old.by_id[before], decision, taken)}")
        else:
            if decision.cardinality == 1:
                return next(iter(values(decision)))
            why = "is new" if before is None else "was inactive and is active now"
            lost.append(f"{decision.id} {why} and has {candidates_text(decision)}; say --set {decision.id}=VALUE")
        raise _Lost

    try:
        chosen = walk(new, choose)
    except _Lost:  # what is active after a decision without a value is anyone's guess
        return Migrated(None, tuple(lost))
    dropped = tuple(_left(old, new, arch, name, edits) for name in arch if name not in used)
    violated = tuple(d.headline for d in violations(new, chosen))
    return Migrated(architecture_of(new, chosen), (), dropped, violated)


def _left(old: DecisionTable, new: DecisionTable, arch: Architecture, name: str, edits: Edits) -> str:
    why = "inactive now" if _renamed(edits, name) in new.by_id else "no such decision now"
    return f"{name}={value_text(old.by_id[name], arch[name])} ({why})"


def _renamed(edits: Edits, name: str) -> str:
    """The new id of an old decision: its own, or under the longest prefix that is renamed."""
    best = ""
    for before in edits.ids:
        inside = name == before or name.startswith((f"{before}.", f"{before}["))
        best = before if inside and len(before) > len(best) else best
    return edits.ids[best] + name[len(best) :] if best else name


def _carried(edits: Edits, old: Decision, new: Decision, value: Value) -> Value | None:
    """The value in the new decision, or ``None`` where it has none: a label keeps its meaning, its place does not."""
    if old.kind == "subset" or new.kind == "subset":
        same = old.kind == new.kind and old.size == new.size
        return value if same and is_value(new, value) else None
    assert isinstance(value, int), "a candidate's index"
    label = old.labels[value]
    label = edits.labels.get(label, label)
    return new.labels.index(label) if new.labels.count(label) == 1 else None


def _unfit(old: Decision, new: Decision, taken: str) -> str:
    if old.kind == "subset" or new.kind == "subset":
        return f"{taken} of {candidates_text(old)} does not fit {candidates_text(new)}"
    return f"'{taken}' is no candidate any more ({candidates_text(new)}); say --rename '{taken}=NAME'"
