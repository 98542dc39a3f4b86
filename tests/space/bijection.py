"""The bijection of weights between two networks of one normal form, and the permutation of channels beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spacec import Space
from spacec.ir.ops import OpLaws
from spacec.lower.network import Network
from spacec.space.architecture import Architecture
from spacec.space.canonical import canonical_order
from spacec.space.workshop import Form
from spacec.std.primitives import PRIMITIVE_TABLE

Order = tuple[int, ...] | None
"""For each channel of one network the channel of the other; ``None``: the same."""


@dataclass
class Pair:
    """A vertex of one network and its partner; inputs are places of pairs, in the order of each network."""

    label: str
    inputs: tuple[int, ...]
    partners: tuple[int, ...]
    key: str = ""
    partner_key: str = ""


@dataclass
class Bijection:
    """All vertices of two networks, lets and tied members written out."""

    pairs: list[Pair] = field(default_factory=list)

    def expand(self, a: Form, b: Form, prefixes: tuple[str, str], inputs: Sequence[int]) -> list[int]:
        """The pairs of two forms of one certificate; the places of the graph's outputs."""
        assert a.certificate == b.certificate
        assert a.results == b.results
        there = dict(zip(canonical_order(a.graph), canonical_order(b.graph), strict=True))
        back = {w: v for v, w in there.items()}
        given = dict(zip((f"input:{k}" for k in a.inputs), inputs, strict=False)) if inputs else {}
        place: dict[int, list[int]] = {}
        calls, others = dict(a.calls), dict(b.calls)
        for v, vertex in enumerate(a.graph.vertices):
            partner = b.graph.vertices[there[v]]
            assert vertex.label == partner.label
            sources = tuple(place[u][0] for u in vertex.inputs)
            partners = tuple(place[back[u]][0] for u in partner.inputs)
            if v in calls:
                shared = vertex.label.partition(" as ")[2]
                ends = zip(prefixes, (vertex, partner), strict=True)
                inner = (shared, shared) if shared else tuple(_joined(p, w.weights) for p, w in ends)
                place[v] = self.expand(calls[v], others[there[v]], inner, sources)
            elif vertex.label.startswith("output:"):
                place[v] = [place[vertex.inputs[0]][int(vertex.label[7:])]]
            elif vertex.label in given:
                place[v] = [given[vertex.label]]
            else:
                keys = (_joined(prefixes[0], vertex.weights), _joined(prefixes[1], partner.weights))
                stateful = bool(vertex.weights)
                self.pairs.append(Pair(vertex.label, sources, partners, *(keys if stateful else ("", ""))))
                place[v] = [len(self.pairs) - 1]
        return [place[v][0] for v in a.graph.outputs]


def _joined(prefix: str, key: str) -> str:
    return f"{prefix}.{key}".strip(".")


def bijection(space: Space, a: Architecture, b: Architecture) -> Bijection:
    """The pairs of two architectures of one canonical form."""
    networks = space.networks
    found = Bijection()
    found.expand(networks.form(a.get), networks.form(b.get), ("", ""), ())
    return found


def laws_of(label: str) -> OpLaws:
    return PRIMITIVE_TABLE.ops[re.match(r"\w+", label)[0]].laws


def number(label: str, name: str) -> int:
    return int(re.search(rf"\b{name}=(\d+)", label)[1])


@dataclass
class Channels:
    """Counts and orders of channels of every pair: those of the second network in terms of the first."""

    found: Bijection
    inputs: dict[str, int]
    counts: list[int] = field(default_factory=list)
    parent: list[int] = field(default_factory=list)
    orders: dict[int, Order] = field(default_factory=dict)

    def run(self) -> None:
        self.parent = list(range(len(self.found.pairs)))
        for k, pair in enumerate(self.found.pairs):
            self.counts.append(self.count(pair))
            if self.kind(pair) == "channelwise":
                for u in pair.inputs:
                    self.parent[self.root(u)] = self.root(k)
        self.concats: dict[int, int] = {}
        for k, pair in enumerate(self.found.pairs):
            if pair.label.startswith("concat") and (pair.inputs != pair.partners or any(map(self.moves, pair.inputs))):
                assert self.root(k) not in self.concats
                self.concats[self.root(k)] = k

    def moves(self, k: int) -> bool:
        return self.order(k) is not None

    def root(self, k: int) -> int:
        while self.parent[k] != k:
            k = self.parent[k]
        return k

    def kind(self, pair: Pair) -> str:
        if pair.label.startswith(("input:", "zero ")):
            return "fixed"
        if pair.label.startswith("concat"):
            return "joining"
        channels = laws_of(pair.label).channels
        if channels != "grouped":
            return channels
        groups = number(pair.label, "groups")
        if groups == 1:
            return "mixing"
        by_channel = groups == number(pair.label, "out") == self.counts[pair.inputs[0]]
        return "channelwise" if by_channel else "fixed"

    def count(self, pair: Pair) -> int:
        if pair.label.startswith("input:"):
            return self.inputs[pair.label[6:]]
        if pair.label.startswith("zero "):
            return int(re.search(r"\[(\d+)", pair.label)[1])
        if pair.label.startswith("concat"):
            return sum(self.counts[u] for u in pair.inputs)
        for name in ("out", "channels"):
            if re.search(rf"\b{name}=\d", pair.label):
                return number(pair.label, name)
        first = self.counts[pair.inputs[0]]
        return first // 2 if pair.label.startswith("glu") else max(self.counts[u] for u in pair.inputs) if first else 0

    def order(self, k: int) -> Order:
        concat = self.concats.get(self.root(k))
        if concat is None:
            return None
        if concat not in self.orders:
            pair = self.found.pairs[concat]
            starts: dict[int, list[int]] = {}
            at = 0
            for u in pair.inputs:
                starts.setdefault(u, []).append(at)
                at += self.counts[u]
            order: list[int] = []
            for u in pair.partners:
                start = starts[u].pop(0)
                inner = self.order(u) or range(self.counts[u])
                order += [start + c for c in inner]
            self.orders[concat] = None if order == sorted(order) else tuple(order)
        return self.orders[concat]


def transfer(found: Bijection, channels: Channels, a: Network, b: Network) -> None:
    """Give the second network the weights of the first."""
    source, target = a.state_dict(), b.state_dict()
    for k, pair in enumerate(found.pairs):
        kind = channels.kind(pair)
        if kind == "fixed":
            assert all(channels.order(u) is None for u in pair.inputs)
            assert channels.order(k) is None
        if not pair.key:
            continue
        before = channels.order(pair.inputs[0]) if pair.inputs else None
        behind = channels.order(k)
        names = [n for n in target if n.startswith(f"{pair.partner_key}.")]
        assert names or not any(n.startswith(f"{pair.key}.") for n in source), "one has weights that the other lacks"
        for name in names:
            value = source[pair.key + name.removeprefix(pair.partner_key)]
            target[name].copy_(_ordered(value, kind, before, behind))


def _ordered(value: Tensor, kind: str, before: Order, behind: Order) -> Tensor:
    if not value.dim():
        return value
    if behind is not None:
        value = value[torch.tensor(behind)]
    if kind == "mixing" and before is not None and value.dim() > 1:
        value = value[:, torch.tensor(before)]
    return value
