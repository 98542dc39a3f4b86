"""Architectures dealt from decks of cards: each candidate of a decision once before any again.

Every decision has a deck with a card for each of its candidates (of a subset: each of its elements), shuffled; a path
takes a card from the deck of every decision that is active in it, and an empty deck is shuffled anew. So at any time,
of all candidates of a decision, none has been dealt more than once more often than another: over the paths in which the
decision was active at all, however many candidates the others have.

A path that breaks a constraint is taken back and dealt from the same cards shuffled again. Where none is found in
:data:`TRIES`, a valid architecture is drawn uniformly and takes its cards out of the decks as far as they are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from random import Random

from spacec.space.activity import walk
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.constraints import all_satisfied
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.values import Value

TRIES = 100
"""How often a path is dealt before one is drawn."""


class Decks:
    """``left``: by decision, the cards that were not dealt, the next one last."""

    def __init__(self, table: DecisionTable) -> None:
        self.table = table
        self.left: dict[str, list[int]] = {d.id: [] for d in table.decisions}

    def deal(self, rng: Random) -> Architecture | None:
        """A valid architecture; ``None``, and decks as they were, where the cards give none."""
        before = {name: list(cards) for name, cards in self.left.items()}
        for _ in range(TRIES):
            values = walk(self.table, lambda decision: self._value(decision, rng))
            if all_satisfied(self.table, values):
                return architecture_of(self.table, values)
            self.left = {name: rng.sample(cards, len(cards)) for name, cards in before.items()}
        self.left = before
        return None

    def take_out(self, arch: Architecture) -> None:
        """Count an architecture that was not dealt: its cards leave the decks that have them."""
        for name, value in arch.choices:
            for card in value if isinstance(value, tuple) else (value,):
                if card in self.left[name]:
                    self.left[name].remove(card)

    def state(self) -> dict[str, list[int]]:
        """For a checkpoint."""
        return {name: list(cards) for name, cards in self.left.items()}

    def load(self, state: Mapping[str, Sequence[int]]) -> None:
        """Take over a :meth:`state`."""
        self.left = {name: list(state[name]) for name in self.left}

    def _value(self, decision: Decision, rng: Random) -> Value:
        if decision.kind != "subset":
            return self._card(decision, rng)
        sizes = range(decision.low, decision.high + 1)
        (size,) = rng.choices(sizes, [comb(decision.size, k) for k in sizes])
        return self._hand(decision, size, rng)

    def _hand(self, decision: Decision, size: int, rng: Random) -> tuple[int, ...]:
        """``size`` different elements: one that is in the hand already stays the deck's next."""
        hand: list[int] = []
        again: list[int] = []
        while len(hand) < size:
            card = self._card(decision, rng)
            (again if card in hand else hand).append(card)
        self.left[decision.id].extend(again)
        return tuple(sorted(hand))

    def _card(self, decision: Decision, rng: Random) -> int:
        deck = self.left[decision.id]
        if not deck:
            deck.extend(rng.sample(range(cards(decision)), cards(decision)))
        return deck.pop()


def cards(decision: Decision) -> int:
    """How many cards a decision's deck has."""
    return decision.size if decision.kind == "subset" else len(decision.labels)


def most_cards(table: DecisionTable) -> int:
    """The most paths that a decision needs until each of its candidates was dealt."""
    return max((-(-cards(d) // max(1, d.high)) for d in table.decisions), default=1)
