"""Decisions that are left open: what their candidates have in common, so that they are labels of one vertex.

**Holes.** ``decide`` may leave an operation decision open (:class:`~spacec.space.bodies.Open`). It becomes one
vertex ``hole:…`` that stands for any of these candidates, and :attr:`spacec.space.workshop.Form.holes` says which. So
graphs with holes that are isomorphic are isomorphic with equal candidates filled in, and candidates may be counted as
labels of vertices. That is sound only where each candidate is a vertex of its own whatever stands around it; else
:class:`~spacec.space.bodies.NotOpen` is raised. Every candidate must be a chain of ops with one input, all from one
node, none of them an identity, a zero or a sum; one without weights must be the only reader of what it reads, so that
no equal vertex is beside it. The decision must be asked nowhere else. That no chain of candidates spells another chain
of the same graph is left to the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from spacec.space.bodies import Body, ChooseCode, Decide, NotOpen, OpCode, Open
from spacec.space.labels import Sizes
from spacec.space.normal import NormalGraph


@dataclass(frozen=True)
class OpLabel:
    """The label of an op that decisions enter."""

    code: OpCode

    @property
    def mentions(self) -> frozenset[str]:
        return frozenset(self.code.mentions)

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({self.code.op.spec.name})

    def text(self, sizes: Sizes, decide: Decide) -> str:
        return sizes.label(self.code, decide)


@dataclass(frozen=True)
class ChosenLabel:
    """One of several labels, by the candidate of a decision."""

    decision: str
    labels: Mapping[int, Label]

    @cached_property
    def mentions(self) -> frozenset[str]:
        """Every decision that it may depend on."""
        inner = (x.mentions for x in self.labels.values() if not isinstance(x, str))
        return frozenset({self.decision}).union(*inner)

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The ops that it may name."""
        return frozenset[str]().union(*map(kinds_of, self.labels.values()))

    def text(self, sizes: Sizes, decide: Decide) -> str:
        value = decide(self.decision)
        assert isinstance(value, int), "a label is asked for under all decisions"
        return text_of(self.labels[value], sizes, decide)


Label = str | OpLabel | ChosenLabel


def text_of(label: Label, sizes: Sizes, decide: Decide) -> str:
    """A label as text, under decisions."""
    return label if isinstance(label, str) else label.text(sizes, decide)


def kinds_of(label: Label) -> frozenset[str]:
    """The ops that a label may name."""
    return frozenset({label.split("(")[0]}) if isinstance(label, str) else label.kinds


@dataclass(frozen=True)
class Hole:
    """What a decision that is left open reads, and the label of its vertex.

    ``pure``: a candidate has no weights. ``sized``: other decisions enter the label.
    """

    source: int
    label: str
    pure: bool
    sized: bool


def hole_of(body: Body, index: int, sizes: Sizes, decide: Decide) -> Hole:
    """The hole that a choice is where its decision is open. Raises :class:`NotOpen`."""
    choice = body.nodes[index]
    assert isinstance(choice, ChooseCode), "a choice is left open"
    decision = choice.decision or ""
    chains = [_chain(body, a) for a in choice.alternatives[choice.shift :]]
    value = decide(decision)
    wanted = value.candidates if isinstance(value, Open) else ()
    opened = [chains[k] for k in wanted] if wanted else chains
    source = _shared(chains)
    if source is None and len(opened) > 1:
        source = _shared(opened)
    if source is None or body.askers[decision] > 1:
        raise NotOpen(decision)
    texts, pure, sized = [], False, False
    for chain in opened:
        codes = [body.nodes[i] for i in chain[: chain.index(source)]]
        ops = [c for c in codes if isinstance(c, OpCode)]
        if not ops or any(not _is_vertex(c, sizes, decide) for c in ops):
            raise NotOpen(decision)
        pure |= not any(c.weights for c in ops)
        sized |= any(c.mentions for c in ops)
        texts.append(" < ".join(sizes.label(c, decide) for c in ops))
    return Hole(source, f"hole:{' | '.join(texts)}", pure, sized)


def _shared(chains: Sequence[Sequence[int]]) -> int | None:
    """The first node that all chains pass."""
    return next((i for i in chains[0] if all(i in chain for chain in chains)), None)


def _chain(body: Body, end: int | None) -> list[int]:
    """A node and what it reads, as long as that is one node."""
    found: list[int] = []
    at = end
    while at is not None:
        found.append(at)
        code = body.nodes[at]
        at = code.inputs[0] if isinstance(code, OpCode) and len(code.inputs) == 1 else None
    return found


def _is_vertex(code: OpCode, sizes: Sizes, decide: Decide) -> bool:
    """Whether an op with one input is a vertex, whatever its input."""
    laws = code.laws
    if laws.zero or laws.alone or laws.identity == "always":
        return False
    return laws.identity == "never" or not sizes.same_type(code, decide)


def check_apart(graph: NormalGraph, pure: set[int], holes: dict[int, str]) -> None:
    """Raise :class:`NotOpen` for a hole with a candidate without weights, beside another reader of its input."""
    readers = Counter([u for v in graph.vertices for u in v.inputs] + list(graph.outputs))
    for v in sorted(pure):
        if readers[graph.vertices[v].inputs[0]] > 1:
            raise NotOpen(holes[v])
