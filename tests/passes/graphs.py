"""Flat graphs for tests of passes: written as text, specialised, and what they mean without torch.

The meaning of a graph interprets each op as a function of vectors (one number a channel) that satisfies the op's laws
and nothing else, drawn from its name, attributes and key: what a pass may rest on, and no more.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from spacec.hooks import installed
from spacec.ir.dims import Dim
from spacec.ir.flat import (
    FlatChoose,
    FlatGraph,
    FlatInput,
    FlatMeet,
    FlatMix,
    FlatOp,
    FlatSwitch,
    Gate,
    Term,
    sources_of,
)
from spacec.ir.flat_read import read_flat
from spacec.ir.flat_text import flat_text
from spacec.ir.ops import OpTable
from spacec.ir.sizes import evaluate
from spacec.ir.verify import violations
from spacec.passes.base import parse, roots
from spacec.passes.polyphase import SUBSAMPLE
from spacec.passes.separable import SEPARABLE
from spacec.passes.shares import INTERLEAVE, SHARE
from spacec.passes.specialise import Specialise
from spacec.source import NOWHERE

Vector = NDArray[np.float64]

OPS = OpTable({**installed().ops().ops, **{spec.name: spec for spec in (SHARE, INTERLEAVE, SUBSAMPLE, SEPARABLE)}})


def graph(text: str) -> FlatGraph:
    """The graph of a text, which is sound."""
    flat = read_flat(text, OPS)
    assert not violations(flat)
    return flat


def bare(flat: FlatGraph) -> FlatGraph:
    """The graph without places in the source."""
    nodes = (n if isinstance(n, FlatInput) else replace(n, span=NOWHERE) for n in flat.nodes)
    return replace(flat, nodes=tuple(nodes))


def becomes(before: str, name: str, after: str, keep: tuple[str, ...] = ()) -> None:
    """A pass makes the second text of the first; both mean the same."""
    given = graph(before)
    made = parse(name).apply(given, frozenset(keep))
    assert not violations(made)
    assert flat_text(made) == flat_text(graph(after))
    assert same_meaning(given, made)


def all_running(flat: FlatGraph) -> FlatGraph:
    """The graph for a mask under which every candidate runs."""
    chooses = (n for n in flat.nodes if isinstance(n, FlatChoose))
    return Specialise(tuple(tuple(range(len(c.alternatives))) for c in chooses)).apply(flat)


def same_meaning(a: FlatGraph, b: FlatGraph) -> bool:
    """Whether graphs have equal outputs, run layers that are not linear on the same values, and draw in one order."""
    first, second = Meaning(a), Meaning(b)
    outputs = list(a.outputs) == list(b.outputs) and all(
        np.allclose(first.values[a.outputs[n]], second.values[b.outputs[n]], rtol=1e-9, atol=1e-12) for n in a.outputs
    )
    runs = first.runs.keys() == second.runs.keys() and all(
        len(first.runs[k]) == len(second.runs[k])
        and np.allclose(sorted(first.runs[k]), sorted(second.runs[k]), rtol=1e-9, atol=1e-12)
        for k in first.runs
    )
    return outputs and runs and first.draws == second.draws


@dataclass
class Meaning:
    """``values`` by node; ``runs``: what layers that are not linear were given, as numbers; ``draws``: in order."""

    flat: FlatGraph
    values: dict[int, Vector] = field(default_factory=dict)
    runs: dict[str, list[float]] = field(default_factory=dict)
    draws: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        needed = set(roots(self.flat))
        for index in range(len(self.flat.nodes) - 1, -1, -1):
            if index in needed:
                needed.update(sources_of(self.flat.nodes[index]))
        for index in sorted(needed):
            self.values[index] = self.value(index)

    def value(self, index: int) -> Vector:
        node = self.flat.nodes[index]
        width = _number(node.type.channels)
        match node:
            case FlatInput():
                return _drawn(node.name, width)
            case FlatOp():
                return self.of_op(node, [self.values[i] for i in node.inputs], width)
            case FlatChoose():
                slot, options = (node.slot, node.instance), enumerate(node.alternatives)
                terms = [weight(Gate(*slot, k)) * self.values[a] for k, a in options if a is not None]
                total: Vector = sum(terms, np.zeros_like(terms[0]))
                if node.bypass is not None:
                    total = np.concatenate((total, weight(Gate(*slot, None)) * self.values[node.bypass]))
                edge = node.edge
                return total if edge is None else weight(Gate(edge.slot, edge.instance, edge.element)) * total
            case FlatMix():
                return sum((self.of_term(t, width) for t in node.terms), np.zeros(width))
            case FlatSwitch() | FlatMeet():
                given = [self.values[s] for s in sources_of(self.flat.nodes[index])]
                return _mapped(f"{type(node).__name__}", given, width)

    def of_term(self, term: Term, width: int) -> Vector:
        value = self.values[term.source][term.first : term.first + width]
        value = self.run("bn", term.norm, [value], width, zero=False) if term.norm else value
        return float(np.prod([weight(g) for g in term.gates])) * value

    def of_op(self, op: FlatOp, given: list[Vector], width: int) -> Vector:
        laws = op.spec.laws
        alike = len(given) == 1 and self.flat.nodes[op.inputs[0]].type == op.type
        if op.spec.name == "share":
            first = op.attrs["first"]
            assert isinstance(first, int)
            return given[0][first : first + width]
        if laws.identity == "always" or (laws.identity == "same type" and alike) or (laws.alone and alike):
            return given[0]
        if laws.zero:
            return np.zeros(width)
        if laws.adds:
            return sum(given, np.zeros(width))
        if laws.joins or op.spec.name == "interleave":
            return np.concatenate(given)
        keeps = laws.keeps_zero if not any(op.attrs.get(name) for name in laws.unless) else "never"
        if keeps == "any" and any(not v.any() for v in given):
            return np.zeros(width)
        zero = keeps == "all"
        if op.key:
            if not laws.repeatable:
                self.draws.append(op.key)
            return self.run(op.spec.name, op.key, given, width, zero=zero, linear=zero and laws.linear)
        given = sorted(given, key=lambda v: float(v.sum())) if laws.commutes else given
        return _mapped(f"{op.spec.name} {op.attrs}", given, width, zero, zero and laws.linear)

    def run(self, name: str, key: str, given: list[Vector], width: int, *, zero: bool, linear: bool = False) -> Vector:
        if not linear:
            self.runs.setdefault(f"{name} {key}", []).append(float(sum(v.sum() for v in given)))
        return _mapped(f"{name} {key}", given, width, zero, linear)


def weight(gate: Gate) -> float:
    """The mask weight of a candidate; that of all of them is drawn by itself."""
    return float(_drawn(f"{gate}", 1)[0])


def _drawn(name: str, width: int) -> Vector:
    return np.random.default_rng(zlib.crc32(name.encode())).uniform(0.2, 1.0, width)


def _mapped(name: str, given: list[Vector], width: int, zero: bool = False, linear: bool = False) -> Vector:
    """A function of that name: onto ``width`` numbers, zero at zero, linear."""
    x = np.concatenate(given) if given else np.zeros(1)
    along = _drawn(f"{name} in {len(x)}", len(x)) @ x / len(x)  # no steep functions, which would amplify rounding
    out: Vector = _drawn(f"{name} out {width}", width) * (along if linear else np.sin(along) if zero else np.cos(along))
    return out


def _number(dim: Dim) -> int:
    return int(evaluate(dim, lambda symbol: max(symbol.domain) if symbol.domain else 4))
