"""Architectures as other projects write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spacec.facade.form import Form
from spacec.space.architecture import Architecture
from spacec.space.validate import validate


class Formats(Form):
    """The space's architectures in the formats of other projects."""

    def read(self, given: str | Mapping[str, Any] | Sequence[Any], format: str | None = None) -> Architecture:
        """The architecture that a text of another project names; without ``format`` it is found out.

        A value is read as the text that Python prints for it (DARTS' ``Genotype``, NASLib's tuples), a mapping as JSON.
        The formats: ``darts``, ``nas-bench-101``, ``nas-bench-201``, ``nas-bench-301``, ``transnas-bench-101``,
        ``nas-bench-macro``, ``nats-bench-size``, ``naslib``, ``nni``. Raises :class:`SpacecError`: E0630 for an unknown
        one, E0631 where this space has not its shape, E0632 for a text that is not of it.
        """
        from spacec.space.formats.registry import read, text_of
        from spacec.space.subject import Subject

        return read(Subject(self.table, self.graph), text_of(given), format)

    def write(self, arch: Architecture, format: str) -> str:
        """The text of an architecture in a format.

        Raises :class:`SpacecError`: E0630 for an unknown one, E0631 where this space has not its shape, E0633 for
        an architecture that it cannot say.
        """
        from spacec.space.formats.registry import write
        from spacec.space.subject import Subject

        validate(self.table, arch, where=False)
        return write(Subject(self.table, self.graph), arch, format)

    def formats(self) -> tuple[str, ...]:
        """The formats whose shape this space has."""
        from spacec.space.formats.registry import fitting
        from spacec.space.subject import Subject

        return fitting(Subject(self.table, self.graph))
