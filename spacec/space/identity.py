"""Canonical identity: which architectures of a space denote one network.

Two architectures are one network where their normal forms are isomorphic (:mod:`spacec.space.normal`). The digest
depends on nothing else: not on names of decisions, labels or weights, nor on the process that computes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

from spacec.ir.graph import SpaceGraph
from spacec.space.alignment import unordered_concats
from spacec.space.architecture import Architecture
from spacec.space.bodies import Body, Decide, Sizes, make_bodies
from spacec.space.decisions import DecisionTable
from spacec.space.forms import Normaliser
from spacec.space.live import Liveness, live_values
from spacec.space.values import Value
from spacec.space.workshop import Form

VERSION = 1
"""Of the normal form: it changes where digests do, and is part of them."""


@dataclass(frozen=True, eq=False)
class Networks:
    """The networks of a space up to isomorphism; what it makes of the graph, it makes once."""

    graph: SpaceGraph
    table: DecisionTable

    @cached_property
    def body(self) -> Body:
        """The body of the whole space, with those of all lets and tied members in it."""
        return make_bodies(self.graph, self.table)

    @cached_property
    def normaliser(self) -> Normaliser:
        return Normaliser(Sizes(self.table), unordered_concats(self.graph))

    def form(self, decide: Decide) -> Form:
        """The normal form of the whole network under decisions."""
        return self.normaliser.form(self.body, decide)

    def canonical(self, arch: Architecture) -> str:
        """Forty hexadecimal digits, equal for two architectures of the space exactly where they are one network."""
        return self.digest(self.form(arch.values.get))

    @cached_property
    def liveness(self) -> Liveness:
        return Liveness()

    def live(self, arch: Architecture) -> tuple[tuple[str, Value], ...]:
        """The decisions that live in an architecture and what lives of their values, in decision order."""
        found = live_values(self.body, self.liveness, arch.values.get)
        return tuple((d, found[d]) for d in arch if d in found)

    @staticmethod
    def digest(form: Form) -> str:
        text = f"spacec normal form {VERSION}\n{form.results}\n".encode()
        return blake2b(text + form.certificate, digest_size=20).hexdigest()

    def distinct(self, archs: Iterable[Architecture]) -> Iterator[Architecture]:
        """The first architecture of each network, in the order in which they come."""
        seen: set[str] = set()
        for arch in archs:
            found = self.canonical(arch)
            if found not in seen:
                seen.add(found)
                yield arch
