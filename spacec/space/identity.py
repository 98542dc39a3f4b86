"""Canonical identity: which architectures of a space denote one network.

Two architectures are one network where their normal forms are isomorphic (:mod:`spacec.space.normal`). The digest
depends on nothing else: not on names of decisions, labels or weights, nor on the process that computes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from math import log10

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.graph import SpaceGraph
from spacec.space.algebra import count, enumerate_architectures
from spacec.space.alignment import unordered_concats
from spacec.space.architecture import Architecture
from spacec.space.bodies import Body, CallCode, Decide
from spacec.space.decisions import DecisionTable
from spacec.space.forms import Normaliser
from spacec.space.labels import Sizes
from spacec.space.live import Liveness, live_values
from spacec.space.values import Value
from spacec.space.workshop import Form
from spacec.space.written import make_bodies

VERSION = 1
"""Of the normal form: it changes where digests do, and is part of them."""


MAX_COMPARED = 4_000_000
"""Architectures times nodes of the space, where all are compared for class sizes: a minute at most."""

MAX_DIGITS = 15
"""Of a count that is shown in full."""


@dataclass(frozen=True, eq=False)
class Networks:
    """The networks of a space up to isomorphism; what it makes of the graph, it makes once."""

    graph: SpaceGraph
    table: DecisionTable
    sizes: dict[str, int] = field(default_factory=dict, init=False)
    """Architectures by network, once they are compared."""

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

    def canonical(self, arch: Architecture, owner: str | None = None) -> str:
        """Forty hexadecimal digits, equal for two architectures of the space exactly where they are one network.

        With an ``owner`` it names the network of a let or tied member alone, where the text first uses it.
        """
        body = self.body if owner is None else self.bodies[owner]
        return self.digest(self.normaliser.form(body, arch.values.get))

    @cached_property
    def bodies(self) -> dict[str, Body]:
        """The first body of every owner."""
        found: dict[str, Body] = {}
        for body in _bodies(self.body):
            found.setdefault(body.owner, body)
        return found

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

    def class_size(self, arch: Architecture) -> int:
        """How many valid architectures are the network of ``arch``.

        All architectures of the space are compared, once for all questions. Raises :class:`SpacecError` (E0540) where
        they are too many for their size (:data:`MAX_COMPARED`).
        """
        self._compare()
        return self.sizes[self.canonical(arch)]

    def _compare(self) -> None:
        """Find the network of every architecture, once."""
        if self.sizes:
            return
        self._check(count(self.table), sum(len(b.nodes) for b in _bodies(self.body)))
        for arch in enumerate_architectures(self.table):
            network = self.canonical(arch)
            self.sizes[network] = self.sizes.get(network, 0) + 1

    def _check(self, architectures: int, nodes: int) -> None:
        if architectures * nodes <= MAX_COMPARED:
            return
        digits = int((architectures.bit_length() - 1) * log10(2))
        shown = f"{architectures:,}" if digits < MAX_DIGITS else f"about 10^{digits}"
        raise SpacecError(
            Diagnostic(
                "E0540",
                f"{shown} architectures are too many to compare",
                notes=(f"each is read from {nodes:,} nodes, and {MAX_COMPARED:,} are read in all at most",),
            )
        )

    def distinct(self, archs: Iterable[Architecture]) -> Iterator[Architecture]:
        """The first architecture of each network, in the order in which they come."""
        seen: set[str] = set()
        for arch in archs:
            found = self.canonical(arch)
            if found not in seen:
                seen.add(found)
                yield arch


def _bodies(root: Body) -> list[Body]:
    """A body and those that it calls, once each, as they are met."""
    found: dict[int, Body] = {}
    stack = [root]
    while stack:
        at = stack.pop()
        if id(at) not in found:
            found[id(at)] = at
            stack.extend(code.body for code in reversed(at.nodes) if isinstance(code, CallCode))
    return list(found.values())
