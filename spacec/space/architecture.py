"""An architecture: the active decisions of one network of a space, as an immutable value.

It is made from a table by :func:`architecture_of`, and from then on stands alone: it prints,
compares, hashes and travels between processes without the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from spacec.space.decisions import DecisionTable
from spacec.space.values import Value

EMPTY = "-"
"""Text of a subset with no element."""


@dataclass(frozen=True)
class Architecture:
    """The active decisions and their values, in decision order.

    ``choices``: id and value, a candidate index or a sorted tuple of picked elements. Two
    architectures are equal if digest and choices are, whichever form of the space they were found
    in. ``owner_digests`` and ``spelling`` come from the table; the text form is made when it is first
    asked for, and a pickle carries the text of this architecture instead of the whole spelling.
    """

    space: str = field(compare=False)
    digest: str
    choices: tuple[tuple[str, Value], ...]
    owner_digests: tuple[tuple[str, str], ...] = field(compare=False, repr=False)
    spelling: Spelling = field(compare=False, repr=False)

    @cached_property
    def tokens(self) -> tuple[tuple[str, str], ...]:
        """Per choice, its owner and its value as the text form spells them."""
        owners, token = self.spelling.owner_of, self.spelling.token
        return tuple((owners[name], token(name, value)) for name, value in self.choices)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "space": self.space,
            "digest": self.digest,
            "choices": self.choices,
            "owner_digests": self.owner_digests,
            "tokens": self.tokens,
            "spelling": NO_SPELLING,
        }

    @cached_property
    def values(self) -> dict[str, Value]:
        """Values of the active decisions by id; not to be changed."""
        return dict(self.choices)

    def __getitem__(self, decision: str) -> Value:
        return self.values[decision]

    def __contains__(self, decision: object) -> bool:
        return decision in self.values

    def __iter__(self) -> Iterator[str]:
        return (d for d, _ in self.choices)

    def __len__(self) -> int:
        return len(self.choices)

    def get(self, decision: str) -> Value | None:
        """The value of a decision, or ``None`` where it is inactive."""
        return self.values.get(decision)

    def text(self) -> str:
        """One line without spaces, safe in a shell: digest, then per owner its values in decision order."""
        owners: dict[str, list[str]] = {}
        for owner, token in self.tokens:
            owners.setdefault(owner, []).append(token)
        return ":".join((self.digest, *(f"{owner}={','.join(tokens)}" for owner, tokens in owners.items())))

    def __str__(self) -> str:
        return self.text()


def architecture_of(table: DecisionTable, chosen: Mapping[str, Value]) -> Architecture:
    """The architecture with these values; ``chosen`` must hold exactly the active decisions."""
    choices = tuple((d.id, chosen[d.id]) for d in table.decisions if d.id in chosen)
    return Architecture(table.space, table.digest, choices, owner_digests(table), spelling_of(table))


def owner_digests(table: DecisionTable) -> tuple[tuple[str, str], ...]:
    """Digests of the owners that have decisions in this form, as far as they are known."""
    found: tuple[tuple[str, str], ...] | None = table.memo.get("owner digests")
    if found is None:
        known = table.owner_digests
        found = table.memo["owner digests"] = tuple((o, known[o]) for o in table.owners if o in known)
    return found


@dataclass(frozen=True)
class Spelling:
    """How owners and candidates are written in the text form.

    A candidate is written as the slug of its label; where the slugs of a decision are not
    distinct, all its candidates are written as their index.
    """

    owners: Mapping[str, str]
    owner_of: Mapping[str, str]
    """By decision, its owner as spelled."""
    candidates: Mapping[str, tuple[str, ...]]

    def token(self, decision: str, value: Value) -> str:
        if isinstance(value, tuple):
            return "+".join(map(str, value)) or EMPTY
        return self.candidates[decision][value]


NO_SPELLING = Spelling({}, {}, {})
"""Of an architecture that has been pickled: its text is with it."""


def spelling_of(table: DecisionTable) -> Spelling:
    """The spelling of a table, made once."""
    found: Spelling | None = table.memo.get("spelling")
    if found is None:
        owners = dict(zip(table.owners, _distinct(table.owners), strict=True))
        written = {labels: _distinct(labels) for labels in {d.labels for d in table.decisions}}
        owner_of = {d.id: owners[d.owner] for d in table.decisions}
        candidates = {d.id: written[d.labels] for d in table.decisions}
        found = table.memo["spelling"] = Spelling(owners, owner_of, candidates)
    return found


def slug(text: str) -> str:
    """A name without characters that a shell, or the text form, would read; ``walk[1, 2]`` becomes ``walk@1.2``."""
    inside = re.sub(r"\[([^\]]*)\]", lambda m: "@" + re.sub(r"\s*,\s*", ".", m[1].strip()), text.strip())
    return re.sub(r"[^A-Za-z0-9_@%./]+", "-", inside).strip("-")


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    slugs = tuple(map(slug, names))
    return slugs if all(slugs) and len(set(slugs)) == len(slugs) else tuple(map(str, range(len(names))))
