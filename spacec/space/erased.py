"""The networks of skeletons: labellings of erased vertices up to automorphisms, counted and drawn.

A skeleton is a structure with erased labels (:mod:`spacec.space.skeletons`). Every decision that is left open enters
some labels. A *colour* is a class of labels that may stand in one place; an isomorphism of networks keeps colours, so
it is one of skeletons with erased labels coloured. Where the coloured skeleton has no automorphism that moves a vertex
whose label is erased, the networks are the different vectors of labels; else these are listed up to automorphisms, and
so are those of several skeletons that are isomorphic.

Decisions whose activity depends on each other are one *unit*, with its joint values up to equal labels. Vectors of
labels are not listed where the labels tell the units: one label and the units known so far tell another unit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod
from random import Random

from spacec.ir.conditions import Cond, Has, Is, holds
from spacec.space.bodies import Body, Open
from spacec.space.canonical import Symmetry, automorphisms, certificate
from spacec.space.decisions import DecisionTable
from spacec.space.holes import text_of
from spacec.space.labels import Sizes
from spacec.space.normal import NormalGraph, Vertex
from spacec.space.structures import Structure, assumed
from spacec.space.values import Value

LISTED = 50_000
"""Joint values, or vectors of labels, that are listed."""

Row = dict[str, Value | None]
"""Joint values of the decisions of a unit; ``None``: inactive."""


class Unlisted(Exception):
    """More would have to be listed than :data:`LISTED`, or an assumption fails; the message says which."""


@dataclass(frozen=True)
class Labelled:
    """A vertex whose label is erased: its label by the values of its units (places in their lists)."""

    vertex: int
    units: tuple[int, ...]
    texts: Mapping[tuple[int, ...], str]


@dataclass(eq=False)
class Cluster:
    """Units whose labels are told apart together: ``ways`` networks, each by joint values of the units."""

    units: tuple[int, ...]
    sizes: tuple[int, ...]
    listed: list[tuple[int, ...]] | None = None
    """Joint values, one for each network; ``None``: all there are."""

    @property
    def ways(self) -> int:
        return prod(self.sizes) if self.listed is None else len(self.listed)

    def draw(self, rng: Random) -> tuple[int, ...]:
        if self.listed is None:
            return tuple(rng.randrange(n) for n in self.sizes)
        return self.listed[rng.randrange(len(self.listed))]


@dataclass(eq=False)
class ErasedLabels:
    """The labellings of one skeleton. Made for all skeletons of a body by :func:`labellings_of`."""

    structure: Structure
    rows: list[list[Row]]
    """Per unit its joint values, one for each that labels tell apart."""
    labels: list[Labelled]
    coloured: NormalGraph | None = None
    clusters: list[Cluster] = field(default_factory=list)

    @property
    def total(self) -> int:
        return prod(c.ways for c in self.clusters)

    def values(self, rng: Random) -> Iterator[tuple[str, Value]]:
        """The values of decisions left open, of a network drawn uniformly."""
        for cluster in self.clusters:
            for unit, k in zip(cluster.units, cluster.draw(rng), strict=True):
                yield from ((d, v) for d, v in self.rows[unit][k].items() if v is not None)

    @cached_property
    def graph(self) -> NormalGraph:
        return self.structure.form.graph

    @cached_property
    def symmetry(self) -> Symmetry:
        assert self.coloured is not None, "colours come first"
        return automorphisms(self.coloured)

    @cached_property
    def by_vertex(self) -> dict[int, Labelled]:
        return {x.vertex: x for x in self.labels}

    # ------------------------------------------------------------ clusters

    def settle(self) -> None:
        """Find the clusters: units that labels tell are on their own, others are listed with what they touch."""
        groups = _Sets(len(self.rows))
        for x in self.labels:
            groups.join(x.units)
        moved = []
        for parts in self.symmetry.classes:
            touched = [u for p in parts for v in p.nodes if v in self.by_vertex for u in self.by_vertex[v].units]
            groups.join(touched)
            moved += touched
        leaders = {groups.find(u) for u in moved}
        members = defaultdict(list)
        for u in range(len(self.rows)):
            members[groups.find(u)].append(u)
        for leader, units in members.items():
            sizes = tuple(len(self.rows[u]) for u in units)
            cluster = Cluster(tuple(units), sizes)
            if leader in leaders or not self.told(units):
                cluster.listed = list(self.listed(cluster))
            self.clusters.append(cluster)

    def told(self, units: Sequence[int]) -> bool:
        """Whether the vector of labels tells the values of all units."""
        labels = [x for x in self.labels if x.units[0] in units]
        known: set[int] = set()
        found = True
        while found and len(known) < len(units):
            found = False
            for x in labels:
                for at, unit in enumerate(x.units):
                    if unit not in known and self.tells(x, at, known):
                        known.add(unit)
                        found = True
        return len(known) == len(units)

    @staticmethod
    def tells(x: Labelled, at: int, known: set[int]) -> bool:
        """Whether a label tells one of its units, where the known ones are known."""
        seen: dict[Hashable, int] = {}
        given = [k for k, u in enumerate(x.units) if u in known]
        for values, text in x.texts.items():
            key = (text, *(values[k] for k in given))
            if seen.setdefault(key, values[at]) != values[at]:
                return False
        return True

    def listed(self, cluster: Cluster) -> Iterator[tuple[int, ...]]:
        """Joint values with one for each class of labels up to automorphisms."""
        if prod(cluster.sizes) > LISTED:
            raise Unlisted("labels that symmetries or products couple are too many to be listed")
        seen = set()
        for values in product(*map(range, cluster.sizes)):
            mark = self.mark(dict(zip(cluster.units, values, strict=True)))
            if mark not in seen:
                seen.add(mark)
                yield values

    def mark(self, values: Mapping[int, int]) -> Hashable:
        """What is equal for labellings of isomorphic skeletons exactly where they are one network.

        Labels of other units are left out.
        """

        def text(v: int) -> str:
            x = self.by_vertex.get(v)
            if x is None:
                return self.graph.vertices[v].label if v < len(self.graph.vertices) else ""
            return x.texts[tuple(values[u] for u in x.units)] if x.units[0] in values else ""

        fixed = tuple(text(v) for v in self.symmetry.fixed if v in self.by_vertex or len(values) == len(self.rows))
        moved = []
        for parts in self.symmetry.classes:
            marks = []
            for part in parts:
                texts = [text(v) for v in part.nodes]
                marks.append(min(tuple(texts[k] for k in g) for g in part.elements))
            moved.append(tuple(sorted(marks)))
        return fixed, tuple(moved)


def erased_labels(structure: Structure, body: Body, table: DecisionTable, sizes: Sizes) -> ErasedLabels:
    """The labels of one skeleton and the units that they depend on. Raises :class:`Unlisted`."""
    chosen = structure.chosen
    units = _units(structure, body, table)
    place = {d: k for k, rows in enumerate(units) for d in (rows[0] if rows else ())}
    labels = []
    for vertex, label in structure.form.erased:
        assert not isinstance(label, str), "an erased label depends on decisions"
        own = tuple(sorted({place[d] for d in label.mentions if d in place}))
        if prod(len(units[u]) for u in own) > LISTED:
            raise Unlisted("a label depends on too many decisions")
        texts = {}
        for values in product(*(range(len(units[u])) for u in own)):
            row = {d: v for u, k in zip(own, values, strict=True) for d, v in units[u][k].items()}
            texts[values] = text_of(label, sizes, lambda d, row=row: row[d] if d in row else chosen.get(d))  # type: ignore[misc]  # the default binds it now
        labels.append(Labelled(vertex, own, texts))
    return _merged(structure, units, labels)


def _units(structure: Structure, body: Body, table: DecisionTable) -> list[list[Row]]:
    """The joint values of decisions whose activity depends on each other."""
    chosen = structure.chosen
    ids = [d.id for d in table.decisions if isinstance(chosen.get(d.id), Open)]
    place = {d: k for k, d in enumerate(ids)}
    active = {d: assumed(table.by_id[d].active, lambda other: str(other) not in body.askers) for d in ids}
    groups = _Sets(len(ids))
    for d in ids:
        asked = set(_asked(active[d]))
        if not asked <= chosen.keys():
            raise Unlisted("whether a decision is asked depends on one that is not")
        groups.join([place[d], *(place[o] for o in asked if o in place)])
    members = defaultdict(list)
    for d in ids:
        members[groups.find(place[d])].append(d)
    return [_rows(unit, active, structure) for unit in members.values()]


def _rows(unit: Sequence[str], active: Mapping[str, Cond], structure: Structure) -> list[Row]:
    chosen = structure.chosen
    rows: list[Row] = [{}]
    for d in unit:
        after = []
        for row in rows:

            def known(other: Hashable, row: Row = row) -> Value | None:
                found = row.get(str(other)) if str(other) in row else chosen.get(str(other))
                return None if isinstance(found, Open) else found

            value = chosen[d]
            assert isinstance(value, Open), "units are of open decisions"
            taken = value.candidates if holds(active[d], known) else (None,)
            after += [{**row, d: v} for v in taken]
            if len(after) > LISTED:
                raise Unlisted("decisions whose conditions are coupled have too many values")
        rows = after
    return rows


def _asked(condition: Cond) -> Iterator[str]:
    if isinstance(condition, Is | Has):
        yield str(condition.decision)
    else:
        for part in condition.parts:
            yield from _asked(part)


def _merged(structure: Structure, units: list[list[Row]], labels: list[Labelled]) -> ErasedLabels:
    """Values of a unit that give the same labels, whatever the others, are one."""
    kept: list[list[int]] = []
    for u, rows in enumerate(units):
        looks: dict[int, list[str]] = {k: [] for k in range(len(rows))}
        for x in labels:
            if u in x.units:
                at = x.units.index(u)
                for values, text in x.texts.items():
                    looks[values[at]].append(text)
        first: dict[tuple[str, ...], int] = {}
        for k, look in looks.items():
            first.setdefault(tuple(look), k)
        kept.append(sorted(first.values()))
    place = [{k: at for at, k in enumerate(ks)} for ks in kept]
    merged = []
    for x in labels:
        texts = {
            tuple(place[u][k] for u, k in zip(x.units, values, strict=True)): text
            for values, text in x.texts.items()
            if all(k in place[u] for u, k in zip(x.units, values, strict=True))
        }
        merged.append(Labelled(x.vertex, x.units, texts))
    return ErasedLabels(structure, [[units[u][k] for k in ks] for u, ks in enumerate(kept)], merged)


def labellings_of(found: Sequence[Structure], body: Body, table: DecisionTable, sizes: Sizes) -> list[ErasedLabels]:
    """Those of all skeletons of a body; each network is counted in one of them. Raises :class:`Unlisted`."""
    made = [erased_labels(s, body, table, sizes) for s in found]
    colours = _colours(made)
    alike: dict[Hashable, list[ErasedLabels]] = defaultdict(list)
    for one in made:
        vertices = []
        for v, vertex in enumerate(one.graph.vertices):
            x = one.by_vertex.get(v)
            text = vertex.label if x is None else next(iter(x.texts.values()))
            vertices.append(Vertex(colours.get(text, text), vertex.inputs, vertex.ordered, vertex.weights))
        one.coloured = NormalGraph(tuple(vertices), one.graph.outputs)
        alike[certificate(one.coloured), one.structure.form.results].append(one)
    for group in alike.values():
        if len(group) == 1:
            group[0].settle()
        else:
            _settle_together(group)
    return [one for one in made if one.total]


def _colours(made: Sequence[ErasedLabels]) -> dict[str, str]:
    """A name for each class of labels that may stand in one place."""
    places: dict[str, int] = {}
    menus = [sorted(set(x.texts.values())) for one in made for x in one.labels]
    for menu in menus:
        for text in menu:
            places.setdefault(text, len(places))
    groups = _Sets(len(places))
    for menu in menus:
        groups.join([places[text] for text in menu])
    least: dict[int, str] = {}
    for text in sorted(places):
        least.setdefault(groups.find(places[text]), text)
    return {text: f"colour of {least[groups.find(k)]}" for text, k in places.items()}


def _settle_together(group: Sequence[ErasedLabels]) -> None:
    """Skeletons that are isomorphic up to labels: what several give is counted in the first."""
    if sum(prod(map(len, one.rows)) for one in group) > LISTED:
        raise Unlisted("networks that are made in several ways are too many to be listed")
    seen = set()
    for one in group:
        cluster = Cluster(tuple(range(len(one.rows))), tuple(map(len, one.rows)), [])
        assert cluster.listed is not None, "it is empty"
        for values in product(*map(range, cluster.sizes)):
            mark = one.mark(dict(enumerate(values)))
            if mark not in seen:
                seen.add(mark)
                cluster.listed.append(values)
        one.clusters.append(cluster)


class _Sets:
    """Disjoint sets of numbers."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))

    def find(self, a: int) -> int:
        while self.parent[a] != a:
            self.parent[a] = self.parent[self.parent[a]]
            a = self.parent[a]
        return a

    def join(self, found: Sequence[int]) -> None:
        for other in found[1:]:
            self.parent[self.find(other)] = self.find(found[0])
