"""What an expression of a space file can be while it is elaborated.

Data: numbers, strings, sizes, tensors, packs (tuples, lists and pyramids alike), type views. A
network is never a value of its own until it is applied: it travels as a :class:`Closure`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from spacec.ir.conditions import ALWAYS, Cond
from spacec.ir.dims import Dim, Poly
from spacec.ir.graph import Binder, DecisionRef, Ref, Region, SlotDecl, Step
from spacec.ir.ops import OpSpec
from spacec.ir.types import TensorType
from spacec.source import NOWHERE, Span
from spacec.syntax import ast


class _Singleton:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


ABSENT: Final = _Singleton("absent")
"""Statically absent: an empty sum, an element no form picks."""

UNKNOWN: Final = _Singleton("unknown")
"""The result of something already reported; whatever uses it stays silent."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the region at hand, with its type and when it is present (relative to the region)."""

    ref: Ref
    type: TensorType
    presence: Cond = ALWAYS
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Pack:
    """Several values: a tuple, a list, or the scales of a pyramid."""

    items: tuple[Value, ...]

    @cached_property
    def size(self) -> int:
        """How many values there are, those of nested packs counted; a list may hold another many times over."""
        return sum(item.size if isinstance(item, Pack) else 1 for item in self.items)


@dataclass(frozen=True)
class TypeView:
    """``in`` and ``out`` inside a definition: a type to read, not a tensor."""

    type: TensorType


@dataclass(frozen=True)
class Options:
    """A value choice that is not elastic: one value for each candidate of a decision.

    ``ruled_out``: candidates that a guard around the text at hand excludes; nothing is built for them.
    """

    decision: DecisionRef
    values: tuple[Value, ...]
    ruled_out: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Test:
    """A condition over value decisions: the candidates, one for each of ``decisions``, for which it holds."""

    decisions: tuple[DecisionRef, ...]
    holds: frozenset[tuple[int, ...]]


@dataclass(frozen=True)
class Picked:
    """An element of a pick of numbers: the number, when it is there, and the slots that weigh what it lets in."""

    value: Value
    presence: Cond
    gates: tuple[SlotDecl, ...]


@dataclass(frozen=True, eq=False)
class Definition:
    """A ``def``, ``let`` or ``tied`` with the scope it was written in."""

    binding: ast.Binding
    env: Env
    binder: Binder | None = None
    networks: dict[frozenset[str], bool] = field(default_factory=dict, repr=False)
    """Whether it is a network where these of its parameters are; filled by :mod:`spacec.sema.classify`."""


@dataclass(frozen=True, eq=False)
class Closure:
    """A network expression handed on as an argument, with the scope that gives its names meaning."""

    expr: ast.Expr
    env: Env


@dataclass(frozen=True)
class Argument:
    """What :mod:`spacec.sema.classify` knows of an argument that nobody has evaluated."""

    network: bool
    open: frozenset[str] = frozenset()


Data = int | float | str | bool | Poly | Tensor | Pack | TypeView | Options | Picked | Test | _Singleton
Value = Data | Closure | Argument | Definition | OpSpec


@dataclass(frozen=True, eq=False)
class Home:
    """The activation a piece of text runs in: anonymous and local binders written there belong to it."""

    region: Region
    step: Step


@dataclass(frozen=True, eq=False)
class Env:
    """Names in scope; binding makes a new scope, so a closure keeps what it saw."""

    names: Mapping[str, Value]
    parent: Env | None = None
    home: Home | None = None
    top: bool = False
    """The names of a whole file: what they mean is the same wherever they are mentioned."""

    def get(self, name: str) -> Value | None:
        env: Env | None = self
        while env is not None:
            if name in env.names:
                return env.names[name]
            env = env.parent
        return None

    def bind(self, **values: Value) -> Env:
        """A scope in which these names are (re)bound at this level."""
        return Env({**self.names, **values}, self.parent, self.home)

    def nest(self, values: Mapping[str, Value], home: Home | None = None) -> Env:
        """An inner scope; ``home`` is given where a new activation begins."""
        return Env(values, self, home or self.home)

    def depth_of(self, name: str) -> Env | None:
        """The scope that binds ``name``."""
        env: Env | None = self
        while env is not None and name not in env.names:
            env = env.parent
        return env

    def all_names(self) -> Iterator[str]:
        env: Env | None = self
        while env is not None:
            yield from env.names
            env = env.parent


@dataclass(frozen=True)
class Want:
    """What a stated type asks of a stage: channels, space, or both; ``span`` is where it is stated.

    Of a stage that gives several values, a pyramid asks by ``scales``, and of nothing else.
    """

    out: Dim | None = None
    space: tuple[Dim, ...] | None = None
    span: Span = field(default=NOWHERE, compare=False, repr=False)
    scales: tuple[Want | None, ...] = ()

    def only(self, *, out: bool, space: bool) -> Want | None:
        kept = Want(self.out if out else None, self.space if space else None, self.span)
        return kept if kept.out is not None or kept.space is not None else None


def wants_of(want: Want | None, count: int) -> tuple[Want | None, ...]:
    """What is asked of each of ``count`` values: what a pyramid of as many scales asks, else nothing."""
    return want.scales if want is not None and len(want.scales) == count else (None,) * count


def leaves(value: Value) -> list[Value]:
    """The values of nested packs, left to right."""
    if isinstance(value, Pack):
        return [leaf for item in value.items for leaf in leaves(item)]
    return [value]


def rebuild(value: Value, new: Iterator[Value]) -> Value:
    """The same nesting with its leaves replaced in order."""
    if isinstance(value, Pack):
        return Pack(tuple(rebuild(item, new) for item in value.items))
    return next(new)


def shape_of(value: Value) -> object:
    """The nesting of packs, without the leaves."""
    if isinstance(value, Pack):
        return tuple(shape_of(item) for item in value.items)
    return None


def describe(value: Value) -> str:
    """What a value is, in the words of a diagnostic."""
    match value:
        case bool() | int() | float():
            return f"the number {value}"
        case Poly():
            return f"the size `{value}`"
        case str():
            return f'the text "{value}"'
        case Tensor():
            return f"a tensor {value.type}"
        case Pack():
            return "1 value" if len(value.items) == 1 else f"{len(value.items)} values"
        case TypeView():
            return f"the type {value.type}"
        case Options():
            return "a choice of values"
        case Test():
            return "a condition on what an architecture chooses"
        case Picked():
            return f"{describe(value.value)}, where it is picked"
        case Definition():
            return f"the definition `{value.binding.name}`"
        case Closure():
            return "a network"
        case OpSpec():
            return f"the op `{value.name}`"
        case _:
            return repr(value)
