"""``tokens``: an integer sequence over a vocabulary, for sequence models; lossless.

``BOS``, then the active decisions in the table's order, then ``EOS``, then ``PAD``. A decision is one
token, the label of what it takes (one token for a label wherever it stands); a subset is one token
``in`` or ``out`` for each of its elements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.space.decisions import Decision, DecisionTable
from spacec.space.encodings.model import Encoding
from spacec.space.subject import Subject
from spacec.space.truths import has_element
from spacec.space.values import Value

PAD, BOS, EOS, OUT, IN = range(5)
SPECIAL = ("<pad>", "<bos>", "<eos>", "<out>", "<in>")
"""The first tokens of every vocabulary."""


@dataclass(frozen=True)
class Vocabulary:
    """What a token stands for, by its number; the numbers of a table depend on its labels' first places."""

    words: tuple[str, ...]

    @staticmethod
    def of(table: DecisionTable) -> Vocabulary:
        labels = dict.fromkeys(label for d in table.decisions if d.kind != "subset" for label in d.labels)
        return Vocabulary((*SPECIAL, *labels))


def tokens(subject: Subject) -> Encoding:
    """Token numbers: int32, shape [length]; the length is that of all decisions active, and ``BOS`` and ``EOS``."""
    sequence = _Sequence(subject.table)
    names = [f"token {i}" for i in range(sequence.length)]
    options = {"vocabulary": sequence.vocabulary.words}
    return Encoding(
        "tokens",
        subject.table,
        (sequence.length,),
        np.dtype(np.int32),
        lambda: names,
        sequence.fill,
        sequence.reader,
        options=options,
    )


class _Sequence:
    def __init__(self, table: DecisionTable) -> None:
        self.table = table
        self.vocabulary = Vocabulary.of(table)
        self.number = {word: i for i, word in enumerate(self.vocabulary.words)}
        widths = [d.size if d.kind == "subset" else 1 for d in table.decisions]
        self.starts = list(accumulate(widths, initial=0))
        self.length = self.starts[-1] + 2
        chosen = [i for i, d in enumerate(table.decisions) if d.kind != "subset"]
        offsets = list(accumulate((len(table.decisions[i].labels) for i in chosen), initial=0))
        words = [self.number[label] for i in chosen for label in table.decisions[i].labels]
        self.words = np.array([*words, PAD], dtype=np.int32)
        self.chosen = np.array(chosen, dtype=np.int64)
        self.offsets = np.array(offsets[:-1], dtype=np.int64)
        self.places = np.array([self.starts[i] for i in chosen], dtype=np.int64)
        self.subsets = [i for i, d in enumerate(table.decisions) if d.kind == "subset"]

    def fill(self, codes: NDArray[Any], rows: NDArray[Any]) -> None:
        """Every decision at its place, then what is there moved together."""
        spread = np.zeros((len(codes), self.starts[-1]), dtype=np.int32)
        own = codes[:, self.chosen].astype(np.int64, copy=False)
        spread[:, self.places] = np.where(own >= 0, self.words[self.offsets + own], PAD)
        for place in self.subsets:
            masks, start = codes[:, place], self.starts[place]
            active = (masks >= 0).astype(bool)
            for element in range(self.table.decisions[place].size):
                spread[:, start + element] = np.where(active, np.where(has_element(masks, element), IN, OUT), PAD)
        there = spread != PAD
        at = np.cumsum(there, axis=1)
        row, column = np.nonzero(there)
        rows[:, 0] = BOS
        rows[row, at[row, column]] = spread[row, column]
        rows[np.arange(len(rows)), there.sum(axis=1) + 1] = EOS

    def reader(self, row: NDArray[Any]) -> Callable[[Decision], Value | None]:
        """Decisions are read in order: each takes its tokens from where the last one ended."""
        given = [int(token) for token in row]
        at = 1

        def read(decision: Decision) -> Value | None:
            nonlocal at
            own = given[at : at + (decision.size if decision.kind == "subset" else 1)]
            at += len(own)
            if decision.kind == "subset":
                return tuple(e for e, token in enumerate(own) if token == IN)
            word = self.vocabulary.words[own[0]] if own and 0 <= own[0] < len(self.vocabulary.words) else None
            return decision.labels.index(word) if word in decision.labels else None

        return read
