"""``graph``: vertices with features and an adjacency matrix, padded and masked, for graph networks.

Per architecture the vertices of all its owners side by side, each owner's in topological order; the
adjacency has a 1 at [i, j] where vertex j reads vertex i, so it is strictly upper triangular and
block diagonal. Features are one-hot over ``labels``: ``input``, the candidates in the order in which the
choices name them, (the joining ops, with ``joins``,) and ``output``. On NAS-Bench-201 these are the eight
vertices of arch2vec (Yan et al., NeurIPS 2020) in their order. Decisions that no vertex shows are one-hot
in ``context``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.conditions import Has, conjuncts
from spacec.space.batch import Batch
from spacec.space.decisions import DecisionTable
from spacec.space.encodings.adjacency import gating
from spacec.space.encodings.model import CHUNK, candidate_names, unfit
from spacec.space.encodings.onehot import Blocks
from spacec.space.encodings.presence import Presence
from spacec.space.encodings.wiring import wirings
from spacec.space.subject import Subject


@dataclass(frozen=True)
class Graphs:
    """A batch of graphs as uint8 arrays.

    ``nodes`` [n, vertices, labels], ``adjacency`` [n, vertices, vertices], ``mask`` [n, vertices] (1: the
    vertex is there), ``context`` [n, columns]. Rows and columns of vertices that are not there are zero.
    """

    nodes: NDArray[np.uint8]
    adjacency: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    context: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.nodes)

    def edges(self) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
        """The batch as one graph of the vertices that are there: what message passing reads.

        Returns the edges as pairs of vertices [2, edges], the features [vertices, labels], and the number of
        the graph that each vertex belongs to [vertices].
        """
        there = self.mask.astype(bool)
        number = np.cumsum(there.ravel()).reshape(there.shape) - 1
        graph, source, target = np.nonzero(self.adjacency)
        pairs = np.stack([number[graph, source], number[graph, target]]).astype(np.int64)
        return pairs, self.nodes[there], np.nonzero(there)[0].astype(np.int64)


@dataclass(frozen=True)
class GraphEncoding:
    """The graphs of a space: what vertices, features and columns of the context stand for.

    With ``compact`` vertices that are not there are left out and the others moved together, so that ``vertices``
    names none; ``size`` is how many a graph has room for.
    """

    table: DecisionTable
    vertices: tuple[str, ...]
    owners: tuple[str, ...]
    """Of each vertex, without ``compact``."""
    labels: tuple[str, ...]
    context: tuple[str, ...]
    size: int
    compact: bool
    tensors: _Tensors
    scheme: str = "graph"
    lossless: bool = False

    def encode(self, batch: Batch) -> Graphs:
        """The graphs of architectures."""
        return self.tensors.encode(batch, self.compact, self.size)

    def decode(self, rows: object) -> Batch:
        """Raises E0621: ``adjacency`` says the same in one row, and is decoded where it can be."""
        note = "`adjacency` has the same wires and vertices in one row, and decodes where they tell every decision"
        raise SpacecError(Diagnostic("E0621", "'graph' cannot be decoded", notes=(note,)))


def graph(subject: Subject, joins: bool = False, compact: bool = False, labels: Sequence[str] = ()) -> GraphEncoding:
    """Graph tensors. ``labels`` puts the features in another order.

    Raises :class:`SpacecError`: E0620 for labels that are not those of the space, E0623 for too many vertices.
    """
    tensors = _Tensors(subject, joins)
    if not tensors.wirings:
        raise unfit("graph", "no choice between operations and no elastic value, so no vertex")
    if labels and sorted(labels) != sorted(tensors.labels):
        note = f"they are {', '.join(tensors.labels)}"
        raise SpacecError(
            Diagnostic("E0620", "the option 'labels' of 'graph' must name every label once", notes=(note,))
        )
    tensors.arrange(tuple(labels) or tensors.labels)
    told = [(v.name, w.owner) for w in tensors.wirings for v in w.vertices]
    names = () if compact else tuple(name for name, _ in told)
    owners = () if compact else tuple(owner for _, owner in told)
    context = tuple(x for p in tensors.rest.places for x in candidate_names(subject.table.decisions[p]))
    size = tensors.most() if compact else len(told)
    return GraphEncoding(subject.table, names, owners, tensors.labels, context, size, compact, tensors)


class _Tensors:
    def __init__(self, subject: Subject, joins: bool) -> None:
        self.table = subject.table
        self.wirings = wirings(self.table, subject.graph, "graph", joins=joins)
        self.presence = Presence(self.table, self.wirings)
        self.places = {d.id: i for i, d in enumerate(self.table.decisions)}
        shown = {v.decision for w in self.wirings for v in w.vertices if v.shows}
        shown |= {name for w in self.wirings for name in gating(self.table, w)}
        self.rest = Blocks(self.table, (i for i, d in enumerate(self.table.decisions) if d.id not in shown))
        found = [
            (v.kind == "join", label)
            for w in self.wirings
            for v in w.vertices
            if v.kind not in ("input", "output")
            for label in v.labels
        ]
        middle = dict.fromkeys(label for _, label in sorted(found, key=lambda f: f[0]))
        self.labels = ("input", *middle, "output") if self.wirings else ()
        self.arrange(self.labels)

    def arrange(self, labels: tuple[str, ...]) -> None:
        """Put the features in this order."""
        self.labels = labels
        place = {label: i for i, label in enumerate(labels)}
        self.features = [np.array([place[x] for x in v.labels]) for w in self.wirings for v in w.vertices]

    def most(self) -> int:
        """A bound on the vertices that are there at once: of a pick's elements, as many as it takes at most."""
        total = 0
        for wiring in self.wirings:
            picked: dict[str, dict[int, int]] = {}
            for vertex in wiring.vertices:
                asked = sorted((str(p.decision), p.element) for p in conjuncts(vertex.guard) if isinstance(p, Has))
                if not asked:
                    total += 1
                    continue
                counts = picked.setdefault(asked[0][0], {})
                counts[asked[0][1]] = counts.get(asked[0][1], 0) + 1
            for name, counts in picked.items():
                total += sum(sorted(counts.values(), reverse=True)[: self.table.by_id[name].high])
        return total

    def encode(self, batch: Batch, compact: bool, size: int) -> Graphs:
        """Made in pieces, so that what is padded away is never held for the whole batch."""
        n = len(batch)
        made = Graphs(
            np.zeros((n, size, len(self.labels)), np.uint8),
            np.zeros((n, size, size), np.uint8),
            np.zeros((n, size), np.uint8),
            np.zeros((n, self.rest.end), np.uint8),
        )
        for start in range(0, n, CHUNK):
            codes = batch.codes[start : start + CHUNK]
            rows = slice(start, start + len(codes))
            own = Graphs(made.nodes[rows], made.adjacency[rows], made.mask[rows], made.context[rows])
            if compact:
                self._gather(codes, own)
            else:
                self._fill(codes, own)
            self.rest.fill(codes, own.context)
        return made

    def _fill(self, codes: NDArray[Any], own: Graphs) -> None:
        there, first = self.presence.of(codes), 0
        for number, wiring in enumerate(self.wirings):
            for index, vertex in enumerate(wiring.vertices):
                present = there.vertices[number][index]
                own.mask[:, first + index] = present
                feature = self.features[first + index]
                if vertex.decision is None:
                    own.nodes[:, first + index, feature[0]] = present
                else:
                    at = np.nonzero(present)[0]
                    own.nodes[at, first + index, feature[codes[at, self.places[vertex.decision]].astype(np.int64)]] = 1
            for index, wire in enumerate(wiring.wires):
                own.adjacency[:, first + wire.source, first + wire.target] = there.wires[number][index]
            first += len(wiring.vertices)

    def _gather(self, codes: NDArray[Any], own: Graphs) -> None:
        """Fill, then move what is there to the front; the order stays."""
        n, size, full = len(codes), own.mask.shape[1], len(self.features)
        whole = Graphs(
            np.zeros((n, full, len(self.labels)), np.uint8),
            np.zeros((n, full, full), np.uint8),
            np.zeros((n, full), np.uint8),
            own.context,
        )
        self._fill(codes, whole)
        front = np.argsort(1 - whole.mask, axis=1, kind="stable")[:, :size]
        rows = np.arange(n)[:, None]
        own.mask[:] = whole.mask[rows, front]
        own.nodes[:] = whole.nodes[rows, front]
        own.adjacency[:] = whole.adjacency[rows[:, :, None], front[:, :, None], front[:, None, :]]
