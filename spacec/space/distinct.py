"""How many networks a space has, and one of them uniformly.

Architectures are one network where their normal forms are isomorphic (:mod:`spacec.space.normal`). The body of the
whole space and those of the lets and tieds that it uses are taken apart: the structures of each
(:mod:`spacec.space.structures`), times the labellings of their holes (:mod:`spacec.space.orbits`), give its networks
(or skeletons with erased labels, :mod:`spacec.space.skeletons`, where decisions enter labels otherwise),
and a structure of the whole space stands for as many networks as the owners that live in it have together.

Exact, or refused (:class:`NotCounted`): every assumption is checked. Owners share no decision and no constraint; all
regions of one owner are alike, so that networks that are one in a region are one in all; no automorphism of the whole
exchanges owners that have a network in common; chains of ops spell no others (:mod:`spacec.space.spelling`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from itertools import combinations
from math import prod
from random import Random
from typing import TypeVar

from spacec.ir.dims import Poly
from spacec.space.algebra import Algebra, algebra
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.bodies import (
    Body,
    CallCode,
    ChooseCode,
    Decide,
    InputCode,
    OpCode,
    Open,
    OutCode,
    SwitchCode,
    mentioned,
)
from spacec.space.canonical import TooManyAutomorphisms, automorphisms
from spacec.space.components import concerns
from spacec.space.constraints import LinearLimit, linear_limit
from spacec.space.diagram import Meter, TooManyStates
from spacec.space.erased import ErasedLabels, Unlisted, labellings_of
from spacec.space.forms import Normaliser
from spacec.space.holes import kinds_of
from spacec.space.identity import Networks
from spacec.space.normal import NormalGraph
from spacec.space.orbits import HOLE, Labellings, menu_of
from spacec.space.schedule import IN, Step
from spacec.space.skeletons import Skeleton, Skeletons
from spacec.space.spelling import Spelling
from spacec.space.structures import Chosen, Completions, Structure, Structures, removable, sums_of
from spacec.space.values import Value
from spacec.space.workshop import Form, Given, Result

_T = TypeVar("_T")

WORK = 1_000_000
"""Of one count: nodes of bodies that are read, in fifties; about half a minute on one core."""

USE = "use "
"""Begins the name of what stands for all decisions of an owner in the body that uses it."""


class NotCounted(Exception):
    """The networks are not counted exactly; the message says why."""


@dataclass(frozen=True)
class Class:
    """The networks of one structure."""

    structure: Structure
    labellings: Labellings | ErasedLabels

    @cached_property
    def total(self) -> int:
        try:
            return self.labellings.total
        except TooManyAutomorphisms:
            raise NotCounted("a network has too many symmetries") from None


@dataclass(frozen=True)
class Kind:
    """What an owner's networks look like to whoever uses them."""

    results: tuple[Result, ...]
    inputs: tuple[int, ...]
    stateful: bool


@dataclass(frozen=True)
class OwnerClasses:
    """The networks of one owner by their kind."""

    name: str
    kinds: Mapping[Kind, tuple[Class, ...]]

    @cached_property
    def totals(self) -> tuple[int, ...]:
        """How many networks there are of each kind."""
        return tuple(sum(c.total for c in found) for found in self.kinds.values())


@dataclass(frozen=True)
class Whole:
    """A structure of the whole space: how many networks it stands for, and the owners that live in it."""

    own: Class
    total: int
    live: tuple[str, ...]


@dataclass(eq=False)
class _Standing(Normaliser):
    """Forms of a body in which each use of an owner stands for all its networks of one kind."""

    owners: Mapping[str, OwnerClasses] = field(default_factory=dict)
    shapes: Mapping[int, str] = field(default_factory=dict)
    """What tells apart the bodies of an owner, by identity."""

    def form(self, body: Body, decide: Decide, wanted: tuple[int, ...] | None = None, given: Given = ()) -> Form:
        if body.owner not in self.owners or wanted is None:
            return self._form(body, decide, tuple(range(len(body.outputs))), given)
        kind = decide(USE + body.owner)
        classes = list(self.owners[body.owner].kinds.values())[kind if isinstance(kind, int) else 0]
        form = classes[0].structure.form
        if wanted != tuple(range(len(body.outputs))) or (any(given) and form.graph.outputs):
            raise NotCounted(f"`{body.owner}` is used in part, or on zeros")
        name = f"{body.owner} {kind} {self.shapes[id(body)]}"
        return replace(form, certificate=blake2b(name.encode(), digest_size=20).digest(), holes=(), calls=())


@dataclass(eq=False)
class Distinct:
    """The networks of a space. Raises :class:`NotCounted`, also where it takes more than ``work``."""

    networks: Networks
    work: int = WORK
    counts: dict[str, int] = field(default_factory=dict)
    """What was counted, by notion."""

    def __post_init__(self) -> None:
        self.table = self.networks.table
        self.meter = Meter(self.work)

    @cached_property
    def found(self) -> int | str:
        """How many there are, or why that is not known."""
        try:
            return sum(whole.total for whole in self.wholes)
        except NotCounted as error:
            return str(error)
        except TooManyStates:
            return "their structures are too many"

    @property
    def total(self) -> int:
        """How many there are."""
        if isinstance(self.found, str):
            raise NotCounted(self.found)
        return self.found

    @cached_property
    def algebra(self) -> Algebra:
        return algebra(self.table)

    @cached_property
    def limits(self) -> list[LinearLimit]:
        return [linear_limit(self.table, c) for c in self.table.constraints]

    @cached_property
    def bodies(self) -> dict[str, list[Body]]:
        """The bodies with decisions that the whole uses, by owner."""
        found: dict[str, dict[int, Body]] = {}
        for code in self.networks.body.nodes:
            if isinstance(code, CallCode) and code.body.mentions:
                found.setdefault(code.body.owner, {})[id(code.body)] = code.body
        return {owner: list(bodies.values()) for owner, bodies in found.items()}

    @cached_property
    def owners(self) -> dict[str, OwnerClasses]:
        self._check_apart()
        return {owner: self._owner(owner, bodies) for owner, bodies in self.bodies.items()}

    @cached_property
    def wholes(self) -> tuple[Whole, ...]:
        """The structures of the whole space."""
        body, known = self.networks.body, self.networks.normaliser
        shapes = {id(b): f"{k}" for bodies in self.bodies.values() for k, b in enumerate(bodies)}
        standing = _Standing(known.sizes, known.unordered, owners=self.owners, shapes=shapes)
        kinds = {USE + name: len(owner.kinds) for name, owner in self.owners.items()}
        classes = self._classes(body, standing, kinds)
        calls = {}
        for name in self.owners:
            for k in range(kinds[USE + name]):
                for b in self.bodies[name]:
                    label = blake2b(f"{name} {k} {shapes[id(b)]}".encode(), digest_size=20).hexdigest()
                    calls[label] = name
        found = [self._whole(c, calls) for c in classes]
        self._check_exchange(found)
        return tuple(found)

    def _whole(self, own: Class, calls: Mapping[str, str]) -> Whole:
        words = {
            word for v in own.structure.form.graph.vertices if v.label.startswith("call ") for word in v.label.split()
        }
        live = sorted({calls[word] for word in words if word in calls})
        kinds = (own.structure.chosen[USE + name] for name in live)
        ways = (self.owners[name].totals[k] for name, k in zip(live, kinds, strict=True) if isinstance(k, int))
        return Whole(own, own.total * prod(ways), tuple(live))

    def _owner(self, name: str, bodies: list[Body]) -> OwnerClasses:
        if len({signature(b, self.networks.normaliser) for b in bodies}) > 1:
            raise NotCounted(f"the regions of `{name}` differ by more than sizes")
        kinds: dict[Kind, list[Class]] = {}
        for found in self._classes(bodies[0], self.networks.normaliser, {}):
            form = found.structure.form
            kinds.setdefault(Kind(form.results, form.inputs, form.stateful), []).append(found)
        return OwnerClasses(name, {kind: tuple(classes) for kind, classes in kinds.items()})

    def _classes(self, body: Body, normaliser: Normaliser, uses: Mapping[str, int]) -> list[Class]:
        """The networks of one body, as structures with labellings."""
        coupled = frozenset(d for limit in self.limits for d in concerns(limit, self.table.by_id))
        return self._erased(body, normaliser, uses, coupled) or self._holed(body, normaliser, uses, coupled)

    def _erased(
        self, body: Body, normaliser: Normaliser, uses: Mapping[str, int], coupled: frozenset[str]
    ) -> list[Class]:
        """The skeletons of one body, where decisions enter labels otherwise than by holes; else, or in vain, none."""
        search = Skeletons(
            replace(normaliser, walker=Skeleton, known={}, shops={}),
            body,
            self.table,
            Completions(self.algebra, self.table.by_id),
            coupled,
            frozenset(),
            Meter(self.work),
            sums_of(self.limits, self.table),
            uses=uses,
        )
        if search.free <= {d for d, menu in search.menus.items() if menu}:
            return []
        try:
            labels = labellings_of(list(search.find()), body, self.table, normaliser.sizes)
        except (Unlisted, TooManyStates, TooManyAutomorphisms):
            return []
        return [Class(x.structure, x) for x in labels]

    def _holed(
        self, body: Body, normaliser: Normaliser, uses: Mapping[str, int], coupled: frozenset[str]
    ) -> list[Class]:
        """The structures of one body, operations left open as holes.

        Holes whose candidates may spell others are closed, and all is done again.
        """
        closed: frozenset[str] = frozenset()
        pure = True
        while True:
            search = Structures(
                normaliser,
                body,
                self.table,
                Completions(self.algebra, self.table.by_id),
                coupled,
                removable(body, self.table, self.limits),
                self.meter,
                sums_of(self.limits, self.table),
                closed,
                uses,
                pure,
            )
            found, spelling = list(search.find()), Spelling()
            for structure in found:
                spelling.add(structure.form)
            doubtful = spelling.doubtful()
            if not doubtful:
                return [Class(s, Labellings.of(s.form)) for s in found]
            if pure:  # without the candidates that have no weights there may be no doubt
                pure = False
                continue
            closed |= {d for s in found for v, d in s.form.holes if s.form.graph.vertices[v].label in doubtful}

    # ------------------------------------------------------------ what is assumed

    def _check_apart(self) -> None:
        """Owners share no decision, and no constraint concerns two of them."""
        groups = [{d for b in bodies for d in b.mentions} for bodies in self.bodies.values()]
        groups.append(
            {d for code in self.networks.body.nodes if not isinstance(code, CallCode) for d in mentioned(code)}
        )
        if sum(map(len, groups)) > len(set().union(*groups)):
            raise NotCounted("two lets or tieds share decisions")
        for limit in self.limits:
            concerned = set(concerns(limit, self.table.by_id))
            if sum(not concerned.isdisjoint(g) for g in groups) > 1:
                raise NotCounted("a constraint couples what two lets or tieds decide")

    def _check_exchange(self, found: list[Whole]) -> None:
        """No two structures of the whole, and no automorphism, exchange calls that may be of one network."""
        looks = {
            name: [_look_of(c.structure.form) for of in owner.kinds.values() for c in of]
            for name, owner in self.owners.items()
        }
        if not looks or not found or (len(found) == 1 and not _may_exchange(found[0].own.structure.form)):
            return
        for code in self.networks.body.nodes:
            if isinstance(code, CallCode) and not code.body.mentions:
                form = self.networks.normaliser.form(code.body, lambda _: None)
                looks.setdefault(code.body.owner, [_look_of(form)])
        for name, other in combinations(looks, 2):
            if not {name, other} & self.owners.keys():
                continue
            if any(a[0] <= b[1] and b[0] <= a[1] for a in looks[name] for b in looks[other]):
                raise NotCounted(f"`{name}` and `{other}` may be one network, and stand for each other")

    # ------------------------------------------------------------ drawing

    def sample(self, n: int, rng: Random) -> Iterator[Architecture]:
        """Architectures whose networks are independent and uniform over the networks."""
        wholes, total = self.wholes, self.total
        known: dict[tuple[int, ...], dict[str, Value]] = {}
        for _ in range(n):
            whole = _drawn(wholes, [w.total for w in wholes], rng.randrange(total))
            classes = [whole.own]
            for name in self.owners:
                kind = whole.own.structure.chosen.get(USE + name)
                if isinstance(kind, int):
                    among = list(self.owners[name].kinds.values())[kind]
                    totals = [c.total for c in among]
                    point = rng.randrange(sum(totals)) if name in whole.live else 0
                    classes.append(_drawn(among, totals, point))
            labels = dict([pair for c in classes for pair in _labels(c, rng)])
            parts = [c.structure.chosen for c in classes]
            if any(isinstance(c.labellings, ErasedLabels) for c in classes):  # other decisions may depend on these
                yield architecture_of(self.table, self._completed(parts, labels))
                continue
            key = tuple(map(id, classes))
            if key not in known:
                known[key] = self._completed(parts, {})
            yield architecture_of(self.table, {**known[key], **labels})

    def _completed(self, parts: list[Chosen], drawn: Mapping[str, Value]) -> dict[str, Value]:
        """A whole assignment out of what was read and drawn; what is open else takes its first candidate."""
        chosen = {**{d: v for part in parts for d, v in part.items() if v is not None}, **drawn}

        def allowed(step: Step, outcome: int) -> bool:
            value = chosen.get(step.decision)
            if value is None:
                return True
            if step.element is not None:
                return isinstance(value, tuple) and (step.element in value) == (outcome == IN)
            return step.domain[outcome] == ((value.candidates or (0,))[0] if isinstance(value, Open) else value)

        return self.algebra.restricted(allowed).assignment(0)


def expression(form: Form) -> bytes:
    """The digest of a form without the identity of weights: equal ops of equal inputs are one, weights or not."""
    callees = dict(form.calls)
    digests: list[bytes] = []
    for v, vertex in enumerate(form.graph.vertices):
        inputs = [digests[u] for u in vertex.inputs]
        label = f"call {expression(callees[v]).hex()}" if v in callees else vertex.label
        parts = (label.encode(), b"ordered" if vertex.ordered else b"", *(inputs if vertex.ordered else sorted(inputs)))
        digests.append(blake2b(b"\x1f".join(parts), digest_size=20).digest())
    ends = b"\x1f".join((repr(form.results).encode(), *(digests[v] for v in form.graph.outputs)))
    return blake2b(ends, digest_size=20).digest()


def _drawn(among: Sequence[_T], totals: Sequence[int], point: int) -> _T:
    for one, total in zip(among, totals, strict=True):
        if point < total:
            return one
        point -= total
    raise IndexError(point)


def _labels(found: Class, rng: Random) -> Iterator[tuple[str, Value]]:
    """A candidate for each hole of a structure."""
    form, chosen = found.structure.form, found.structure.chosen
    if isinstance(found.labellings, ErasedLabels):
        yield from found.labellings.values(rng)
        return
    drawn = found.labellings.draw(rng)
    for v, decision in form.holes:
        label = form.graph.vertices[v].label
        text = menu_of(label)[drawn[v]]
        value = chosen[decision]
        place = label.removeprefix(HOLE).split(" | ").index(text)
        yield decision, value.candidates[place] if isinstance(value, Open) and value.candidates else place


_Look = tuple[frozenset[str], frozenset[str]]
"""The ops that every network of a class has, and those that one may have."""


def _look_of(form: Form) -> _Look:
    erased = dict(form.erased)
    all_have, may_have = set[str](), set[str]()
    for v, vertex in enumerate(form.graph.vertices):
        if v in erased:
            may_have |= kinds_of(erased[v])
        elif vertex.label.startswith(HOLE):
            may_have.update(op.split("(")[0] for text in menu_of(vertex.label) for op in text.split(" < "))
        elif not vertex.label.startswith("input:"):
            all_have.add(vertex.label.split("(")[0].split(" ")[0])
    return frozenset(all_have), frozenset(all_have | may_have)


def _may_exchange(form: Form) -> bool:
    """Whether calls, were they all of one network, could be exchanged."""
    vertices = (replace(v, label="call") if v.label.startswith("call ") else v for v in form.graph.vertices)
    return bool(automorphisms(NormalGraph(tuple(vertices), form.graph.outputs)).classes)


def signature(body: Body, normaliser: Normaliser) -> Hashable:
    """What the isomorphism of a body's networks depends on: all but the numbers that sizes are."""
    labels: dict[object, int] = {}
    zeros = any(isinstance(c, OpCode) and c.laws.zero for c in body.nodes)
    lines: list[Hashable] = [body.outputs]
    for index, code in enumerate(body.nodes):
        if zeros:
            lines.append(labels.setdefault(body.types[index], len(labels)))
        match code:
            case OpCode():
                attrs = tuple((k, str(v)) for k, v in code.attrs.items())
                label = labels.setdefault((code.op.spec.name, attrs, code.frozen), len(labels))
                same = code.laws.identity == "same type" and code.sources[0] == code.type
                keeps = tuple(code.attrs[name] == 0 for name in code.laws.unless)
                order = id(code.op) in normaliser.unordered
                sized = tuple(str(v) for v in code.attrs.values() if isinstance(v, Poly)) if code.mentions else ()
                lines.append(
                    (code.op.spec.name, code.inputs, label, bool(code.weights), code.apart, same, keeps, order, sized)
                )
            case ChooseCode():
                lines.append((code.decision, code.pick, code.element, code.shift, code.alternatives))
            case SwitchCode():
                lines.append((code.mentions, code.alternatives, tuple(map(repr, code.conditions))))
            case CallCode():
                lines.append((code.body.owner, code.inputs, code.name, signature(code.body, normaliser)))
            case OutCode():
                lines.append((code.call, code.place))
            case InputCode():
                lines.append(code.place)
    return tuple(lines)
