"""Structures of a body whose alike alternatives are not told apart: skeletons with labels that decisions enter.

Where all candidates of a decision give one graph but for the labels of its vertices (blocks of other kernels and
expansions, elastic sizes), the decision is left open. :class:`Skeleton` builds the graph with such labels erased and
says of each vertex which label it has under which candidates; it raises :class:`~spacec.space.bodies.NotOpen` where
candidates are not alike, and the decision is then branched on, by groups of candidates that are.

A vertex of a skeleton stands for one vertex under every candidate: what is joined is in one place only, no vertex that
is joined stands elsewhere too, weights are shared with nobody, and no two vertices without weights could be one under
some candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from spacec.ir.conditions import All, Any, Cond, Has, Is
from spacec.space.bodies import Body, CallCode, ChooseCode, NotOpen, OpCode, Open, SwitchCode, mentioned
from spacec.space.decisions import Decision
from spacec.space.forms import Walk
from spacec.space.holes import ChosenLabel, Label, OpLabel, kinds_of
from spacec.space.structures import Structures, assumed
from spacec.space.values import Value, values
from spacec.space.workshop import Form

_ALONE = ("input:", "call ", "output:", "zero ")
"""Begin the labels of vertices that are never joined with others."""


@dataclass(eq=False, kw_only=True)
class Skeleton(Walk):
    """Labels that open decisions enter are erased; ``erased`` says by the text in their place what they are."""

    erased: dict[str, Label] = field(default_factory=dict)
    opened: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    """Candidates and their nodes, of choices that are left open."""
    joined: dict[int, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    """The vertices that each vertex is joined with, by which decision."""
    shared: frozenset[str] | None = None

    def open(self, index: int, code: ChooseCode | SwitchCode) -> tuple[int, ...]:
        value = code.taken(self.decide)
        if not isinstance(code, ChooseCode) or not isinstance(value, Open):
            raise NotOpen(str(next(iter(mentioned(code)))))
        candidates, ends, absent = ends_of(code, value)
        if absent:
            raise NotOpen(code.decision, [candidates, *((k,) for k in absent)] if candidates else ())
        self.opened[index] = candidates, ends
        return tuple(self.source(e, code)[0] for e in ends)

    def hole(self, index: int, code: ChooseCode | SwitchCode) -> int:
        assert isinstance(code, ChooseCode), "a choice is left open"
        candidates, ends = self.opened[index]
        made = [self.chain(e, code) for e in ends]
        groups: list[list[int]] = []
        for k, v in enumerate(made):
            for group in groups:
                if self.alike((made[group[0]], v)):
                    group.append(k)
                    break
            else:
                groups.append([k])
        decision = code.decision or ""
        if len(groups) > 1:
            raise NotOpen(decision, [tuple(candidates[k] for k in group) for group in groups])
        return self.join(decision, candidates, tuple(made), {})

    def alike(self, found: tuple[int, ...]) -> bool:
        """Whether vertices can be joined, as far as one sees from them down."""
        seen, stack = {found}, [found]
        while stack:
            below = self.below(stack.pop())
            if below is None:
                return False
            stack.extend(b for b in below if b not in seen)
            seen.update(below)
        return True

    def below(self, found: tuple[int, ...]) -> list[tuple[int, ...]] | None:
        """What joined vertices read, place by place; nothing where they are one, ``None`` where they are not alike."""
        if len(set(found)) == 1:
            return []
        if min(found) < 0:
            return None
        vertices = [self.graph.vertices[v] for v in found]
        looks = {(v.ordered, bool(v.weights), len(v.inputs)) for v in vertices}
        alone = any(v.label.startswith(_ALONE) or v.weights in self.sharing() for v in vertices)
        if alone or len(looks) > 1 or not vertices[0].inputs:
            return None
        inputs = [v.inputs for v in vertices]
        if not vertices[0].ordered:
            common = Counter(inputs[0])
            for given in inputs[1:]:
                common &= Counter(given)
            same = tuple(sorted(common.elements()))
            inputs = [(*same, *sorted((Counter(given) - common).elements())) for given in inputs]
        return list(zip(*inputs, strict=True))

    def sharing(self) -> frozenset[str]:
        """Keys of weights that several nodes have."""
        if self.shared is None:
            keys = Counter(c.weights for c in self.body.nodes if isinstance(c, OpCode | CallCode) and c.weights)
            self.shared = frozenset(key for key, n in keys.items() if n > 1)
        return self.shared

    def join(
        self, decision: str, candidates: tuple[int, ...], found: tuple[int, ...], done: dict[tuple[int, ...], int]
    ) -> int:
        """One vertex for those of all candidates."""
        if len(set(found)) == 1:
            return found[0]
        if found in done:
            return done[found]
        below = self.below(found)
        assert below is not None, "they were compared"
        inputs = tuple(self.join(decision, candidates, b, done) for b in below)
        for v in found:
            if self.joined.setdefault(v, (decision, found)) != (decision, found):
                raise NotOpen(decision)
        vertices = [self.graph.vertices[v] for v in found]
        label = self.label_of(decision, candidates, [v.label for v in vertices])
        if all(v in self.graph.terms for v in found):
            done[found] = self.graph.sum(label, inputs)
            return done[found]
        weights = f"joined {decision} {found}" if vertices[0].weights else ""
        own = (decision, found) if weights else None
        done[found] = self.graph.add(label, inputs, vertices[0].ordered, weights, own)
        return done[found]

    def label_of(self, decision: str, candidates: tuple[int, ...], labels: Sequence[str]) -> str:
        if len(set(labels)) == 1:
            return labels[0]
        pairs = list(zip(candidates, labels, strict=True))
        text = f"erased {decision} {{{', '.join(f'{k}: {x}' for k, x in pairs)}}}"
        self.erased[text] = ChosenLabel(decision, {k: self.erased.get(x, x) for k, x in pairs})
        return text

    def label(self, code: OpCode) -> str:
        values = [self.decide(d) for d in code.mentions]
        if not any(isinstance(v, Open) for v in values):
            return super().label(code)
        text = f"erased op {self.body.nodes.index(code)} {values}"
        self.erased[text] = OpLabel(code)
        return text

    def finished(self, form: Form) -> Form:
        """Raises :class:`NotOpen` where a vertex would not stand for one vertex under all candidates."""
        for v in form.kept:
            if v in self.joined:
                raise NotOpen(self.joined[v][0])
        readers: dict[tuple[object, ...], list[Label]] = {}
        erased = []
        for place, v in enumerate(form.kept):
            vertex = self.graph.vertices[v]
            label = self.erased.get(vertex.label, vertex.label)
            if not isinstance(label, str):
                erased.append((place, label))
            if not vertex.weights:
                given = vertex.inputs if vertex.ordered else tuple(sorted(vertex.inputs))
                readers.setdefault((vertex.ordered, given), []).append(label)
        for labels in readers.values():
            for k, label in enumerate(labels):
                for other in labels[:k]:
                    self.check_apart(label, other)
        return replace(form, erased=tuple(erased))

    def check_apart(self, a: Label, b: Label) -> None:
        """Two vertices without weights that read the same are never one."""
        if kinds_of(a).isdisjoint(kinds_of(b)):
            return
        for label in (a, b):
            if not isinstance(label, str):
                raise NotOpen(next(d for d in sorted(label.mentions) if isinstance(self.decide(d), Open)))


def ends_of(code: ChooseCode, value: Open) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Candidates that are there and their nodes; candidates that are absent."""
    wanted = value.candidates or tuple(range(len(code.alternatives) - code.shift))
    ends = {k: code.alternatives[k + code.shift] for k in wanted}
    there = {k: end for k, end in ends.items() if end is not None}
    return tuple(there), tuple(there.values()), tuple(k for k in wanted if k not in there)


@dataclass(eq=False)
class Skeletons(Structures):
    """Finds the skeletons of a body; its normaliser walks by :class:`Skeleton`."""

    free: set[str] = field(default_factory=set)
    """Decisions that may be left open."""

    def __post_init__(self) -> None:
        super().__post_init__()
        called = {d for c in self.body.nodes if isinstance(c, CallCode) for d in c.body.mentions}
        self.free = erasable(self.body, self.table.decisions) - self.coupled - called

    def values(self, decision: Decision) -> Iterator[Value | Open]:
        if decision.id in self.free and len(decision.labels) > 1:
            yield Open(tuple(range(len(decision.labels))))
        else:
            yield from values(decision)

    def closer(
        self, chosen: dict[str, Value | Open | None], name: str, groups: Iterable[tuple[int, ...]] = ()
    ) -> Iterator[dict[str, Value | Open | None]]:
        """Candidates that are alike together; where that is not known, each on its own from now on."""
        value = chosen[name]
        assert isinstance(value, Open), "only what is open is not open"
        parts = list(groups)
        if not parts:
            self.free.discard(name)
            parts = [(k,) for k in value.candidates]
        for part in parts:
            after = {**chosen, name: part[0] if len(part) == 1 else Open(part)}
            yield {d: v for d, v in after.items() if v is None or self.is_active(d, after)}

    def opened(self, index: int, code: ChooseCode, value: Open) -> tuple[int, ...]:
        candidates, ends, absent = ends_of(code, value)
        if absent:
            raise NotOpen(code.decision, [candidates, *((k,) for k in absent)] if candidates else ())
        return ends

    def is_active(self, name: str, chosen: dict[str, Value | Open | None]) -> bool:  # type: ignore[override]  # as it is called
        """Whether a decision may be asked under some of what is open."""
        own = self.body.askers
        return name in self.uses or may_hold(
            assumed(self.table.by_id[name].active, lambda other: str(other) not in own), chosen
        )


def erasable(body: Body, decisions: Iterable[Decision]) -> set[str]:
    """Decisions of a body that take one of several candidates, and that no switch asks."""
    switched = {d for c in body.nodes if isinstance(c, SwitchCode) for d in c.mentions}
    return {d.id for d in decisions if d.id in body.askers and d.kind != "subset"} - switched


def may_hold(condition: Cond, chosen: dict[str, Value | Open | None]) -> bool:
    """Whether a condition holds under some of what is left open; what is not decided does not help."""
    match condition:
        case Is():
            value = chosen.get(str(condition.decision))
            taken = value.candidates if isinstance(value, Open) else (value,)
            return not condition.candidates.isdisjoint(taken)
        case Has():
            value = chosen.get(str(condition.decision))
            return isinstance(value, tuple) and condition.element in value
        case All():
            return all(may_hold(p, chosen) for p in condition.parts)
        case Any():
            return any(may_hold(p, chosen) for p in condition.parts)
