"""Which architectures are one network: canonical digests, streams without duplicates, what is dead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from spacec.facade.form import Form
from spacec.space.architecture import Architecture
from spacec.space.values import Value

if TYPE_CHECKING:
    from spacec.space.identity import Networks


class Identity(Form):
    """Architectures up to the networks that they denote (:mod:`spacec.space.normal`)."""

    @cached_property
    def networks(self) -> Networks:
        """The normal forms of this space."""
        from spacec.space.identity import Networks  # check, info and sample do without

        return Networks(self.graph, self.table)

    def canonical(self, arch: Architecture, owner: str | None = None) -> str:
        """Forty hexadecimal digits: equal exactly where two architectures of this form are one network.

        One network: the normal forms are isomorphic, that is equal up to the order of vertices and of the terms of
        sums, identities, zeros and code that nothing reads; weights keep their identity, so two convolutions are not
        one used twice. The digest is the same in every process and on every machine. A version of the normal form is
        part of it, and changes only in a release that says so. With an ``owner`` (``"cell"``) it names the network of
        that let or tied member alone, where the text first uses it; :class:`KeyError` for one that it does not use.
        """
        return self.networks.canonical(arch, owner)

    def same(self, a: Architecture, b: Architecture) -> bool:
        """Whether two architectures are one network, up to the names of its weights."""
        return a == b or self.canonical(a) == self.canonical(b)

    def distinct(self, archs: Iterable[Architecture]) -> Iterator[Architecture]:
        """The first architecture of each network, lazily; twenty bytes are kept for each that was seen."""
        return self.networks.distinct(archs)

    def class_size(self, arch: Architecture) -> int:
        """How many valid architectures of this form are the network of ``arch``, itself included.

        All architectures are compared, once for all calls. Raises :class:`SpacecError` (E0540) where they are too many.
        """
        return self.networks.class_size(arch)

    def live(self, arch: Architecture) -> tuple[tuple[str, Value], ...]:
        """The live form of an architecture: decisions on a path from an input to an output, with their values.

        ``zero`` and absent tensors end a path; of a subset only the elements on a path are left. Architectures with
        one live form differ in dead edges alone; NAS-Bench-201 has 9,445 live forms.
        """
        return self.networks.live(arch)

    def dead(self, arch: Architecture) -> tuple[str, ...]:
        """The active decisions of which nothing is in the live form: what they chose is empty or idle."""
        live = {decision for decision, _ in self.live(arch)}
        return tuple(decision for decision in arch if decision not in live)
