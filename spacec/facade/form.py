"""What a compiled space is: the values that every part of the facade reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from spacec.diagnostics.model import Diagnostic
from spacec.ir.flat import FlatGraph
from spacec.ir.flatten import flatten
from spacec.ir.graph import SpaceGraph
from spacec.ir.ops import Precondition
from spacec.ir.types import TensorType
from spacec.memory import no_collection
from spacec.source import SourceFile
from spacec.space.applications import CostFunction
from spacec.space.decisions import Decision, DecisionTable, Slot


@dataclass(frozen=True, eq=False, repr=False)
class Form:
    """One form of a space: its text, its ports, its graph and its decisions."""

    name: str
    text: str
    """The grammar."""
    header: Mapping[str, Any]
    """Values of the header parameters of this form."""
    presets: tuple[str, ...]
    graph: SpaceGraph = field(repr=False)
    make_table: Callable[[], DecisionTable] = field(repr=False)
    """Makes :attr:`table`; called once."""
    make_narrower: Callable[[tuple[SourceFile, ...]], Form] = field(repr=False)
    """Makes this form with other constraints beside those of the text."""
    make_costed: Callable[[str, CostFunction, Mapping[str, int]], Form] = field(repr=False)
    """Makes this form with one more cost, of a user's own."""
    narrowed_by: tuple[SourceFile, ...] = ()
    """The constraints beside those of the text."""
    limited: bool = False
    """Whether the space has constraints."""
    warnings: tuple[Diagnostic, ...] = ()

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.header.items())
        return f"<Space {self.name}({given}) {self.digest}: {len(self.decisions)} decisions>"

    def __reduce__(self) -> tuple[Callable[[tuple[SourceFile, ...]], Form], tuple[tuple[SourceFile, ...]]]:
        """A pickle holds the text and how it was loaded, and another process compiles it again, to an equal space.

        Files that the text uses or measures by, and those of the user's own ops, must be there too.
        """
        return self.make_narrower, (self.narrowed_by,)

    @cached_property
    def table(self) -> DecisionTable:
        """Decisions, slots and costs under their global names."""
        with no_collection():
            return self.make_table()

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that name the decisions of this space, whatever its header parameters."""
        return self.table.digest

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What an architecture decides, in order."""
        return self.table.decisions

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The mask slots of the supernet."""
        return self.table.slots

    @property
    def inputs(self) -> dict[str, TensorType]:
        """Input names and types, without the batch axis."""
        return {port.name: port.type for port in self.graph.inputs}

    @property
    def outputs(self) -> dict[str, TensorType]:
        """Output names and types, without the batch axis."""
        return {port.name: port.type for port in self.graph.outputs}

    @property
    def preconditions(self) -> tuple[Precondition, ...]:
        """What the sizes of the inputs must satisfy; networks check it at their entry."""
        return self.graph.root.preconditions

    @cached_property
    def flat(self) -> FlatGraph:
        """The expanded graph that the back end reads."""
        with no_collection():
            return flatten(self.graph)
