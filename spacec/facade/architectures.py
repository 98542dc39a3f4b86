"""The architectures of a space: counted, read, checked and varied, all without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from spacec.diagnostics.model import Diagnostic
from spacec.facade.form import Form
from spacec.memory import no_collection
from spacec.source import SourceFile
from spacec.space import algebra, codec
from spacec.space.architecture import Architecture
from spacec.space.derive import derive
from spacec.space.feasible import infeasible, violated
from spacec.space.regions import RegionCounts, count_by_regions
from spacec.space.validate import validate

FEW = 1_000
"""Decisions of a table, once it is made, whose diagram is made as fast as its regions are counted."""


class Architectures(Form):
    """The space as a set of architectures."""

    def where(self, text: str, name: str = "<where>") -> Self:
        """The space with further constraints: conditions as a ``where`` of its text has them (``"params <= 2M"``).

        It has the same digest, and with it the same architectures. Raises :class:`SpacecError` for what the text of a
        space would be refused for; messages call the text ``name``.
        """
        narrowed = self.make_narrower((*self.narrowed_by, SourceFile(name, text)))
        assert isinstance(narrowed, type(self))
        return narrowed

    def count(self, owner: str | None = None, where: bool | str = True) -> int:
        """Exact number of valid architectures; of one owner's part; or, with ``where=False``, before constraints.

        ``where="params <= 2M"`` counts under further constraints, see :meth:`where`. Raises :class:`SpacecError`
        (E0510) where the constraints couple too much to count.
        """
        if isinstance(where, str):
            return self.where(where).count(owner)
        by_region = not (where and self.limited) and ("table" not in self.__dict__ or len(self.decisions) > FEW)
        known = self.region_counts if by_region else None
        if known is not None and (owner is None or self.table.owners == (owner,)):
            return known.total
        if known is not None and owner is not None and owner in known.owners:
            return known.owners[owner]
        return algebra.count(self.table, owner, where)

    @cached_property
    def region_counts(self) -> RegionCounts | None:
        """Counts before constraints that need no :attr:`table`; ``None`` where only its diagram can tell."""
        with no_collection():
            return count_by_regions(self.graph)

    def architecture(self, spec: str | Path | Mapping[str, Any] | Sequence[Any]) -> Architecture:
        """An architecture from its one-line text, from JSON (data or a file's name), or ``random:SEED``.

        What is plainly of another project (a genotype, ``|op~0|+…``; as a value, as text or in a file) is read as
        :meth:`Formats.read` does.
        Raises :class:`SpacecError` where it does not belong to this space, naming what differs.
        """
        from spacec.space.formats.registry import native, read, text_of
        from spacec.space.subject import Subject

        def of_others(text: str) -> Architecture | None:
            return read(Subject(self.table, self.graph), text) if native(text) else None

        return codec.read_architecture(
            self.table, spec if isinstance(spec, Path | Mapping) else text_of(spec), of_others
        )

    def to_json(self, arch: Architecture) -> dict[str, Any]:
        """An architecture as plain data; :meth:`architecture` reads it back."""
        data: dict[str, Any] = json.loads(codec.to_json(arch))
        return data

    def validate(self, arch: Architecture, where: bool = True) -> None:
        """Raise :class:`SpacecError` where ``arch`` is no valid architecture of this form."""
        validate(self.table, arch, where)

    def infeasible(self) -> Diagnostic | None:
        """A warning (W0511) where the constraints are known, after bounded work, to leave no architecture."""
        return infeasible(self.table) if self.limited else None

    def violated(self, arch: Architecture) -> tuple[Diagnostic, ...]:
        """Warnings (W0606) for the constraints that ``arch`` does not satisfy: it is built all the same."""
        return violated(self.table, arch.values)

    def derive(self, probabilities: Mapping[str, Sequence[float]]) -> Architecture:
        """The architecture that slot probabilities stand for (language, rule 7)."""
        return derive(self.table, probabilities)
