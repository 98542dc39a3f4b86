"""What a primitive operation is to the compiler: a signature, a shape-and-cost rule, and the name of its lowering.

Rules are torch-free functions from types to a type and its cost; lowerings are named
(``"module:attr"``) and loaded only when a network is built. Plugins describe their ops in the
same way through the ``spacec_ops`` hook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from spacec.ir.dims import Dim
from spacec.ir.types import TensorType

AttrValue = int | float | str | bool | Dim | tuple["AttrValue", ...] | None


class _Marker:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


REQUIRED: Final = _Marker("REQUIRED")
OPEN: Final = _Marker("OPEN")
"""Default of ``out`` and ``stride``: inferred from a stated type, else ``out = in`` and ``stride = 1``."""


@dataclass(frozen=True)
class OpParam:
    """One parameter: ``default`` is a value, :data:`REQUIRED`, or :data:`OPEN` (only ``out`` and ``stride``)."""

    name: str
    default: AttrValue | _Marker = REQUIRED
    kind: Literal["size", "int", "float", "flag", "text", "any"] = "int"
    help: str = ""
    counts: Literal["", "channels", "groups"] = ""
    """What a size counts, for passes that narrow an op: channels of its result, or groups of its channels."""


@dataclass(frozen=True)
class Precondition:
    """``dim % divisor == 0``: needed for symbols, checked by the network at its entry."""

    dim: Dim
    divisor: int

    def __str__(self) -> str:
        return f"{self.dim} must be divisible by {self.divisor}"


@dataclass(frozen=True)
class Bound:
    """``small <= large``, in every architecture that has the op: proved when the space is compiled."""

    small: Dim
    large: Dim


@dataclass(frozen=True)
class OpResult:
    """What a rule finds: output type, number of weights, multiplies of one forward pass of one sample."""

    type: TensorType
    params: Dim = 0
    macs: Dim = 0
    preconditions: tuple[Precondition, ...] = ()
    bounds: tuple[Bound, ...] = ()


class RuleError(Exception):
    """A rule's refusal: ``message`` names what was found; the elaborator adds the place."""

    def __init__(self, message: str, note: str = "", code: str = "E0302") -> None:
        super().__init__(message)
        self.message = message
        self.note = note
        self.code = code


Rule = Callable[[Mapping[str, AttrValue], tuple[TensorType, ...]], OpResult]


Channels = Literal["fixed", "mixing", "channelwise", "grouped"]


@dataclass(frozen=True)
class OpLaws:
    """What an op's function satisfies for every input and every value of its weights and buffers.

    The normal form of a network (:mod:`spacec.space.normal`) rests on these. The default claims nothing, which is
    always sound: such an op stays as it is written.

    ``channels`` says what becomes of a permutation of channels. ``"mixing"``: one of its input's, and one of its
    output's, is absorbed by permuting its weights (a convolution, a linear map). ``"channelwise"``: a permutation of
    all its inputs comes out, with the weights permuted along (an activation, a norm, a sum). ``"grouped"``: mixing
    with one group, channelwise with a group for each channel, else fixed. ``"fixed"``: nothing is known. Ops that
    draw random numbers satisfy a law where they do in distribution.
    """

    identity: Literal["never", "always", "same type"] = "never"
    """It gives its input: always, or where its output has its input's type."""
    zero: bool = False
    """It gives zeros, whatever its input."""
    keeps_zero: Literal["never", "all", "any"] = "never"
    """It gives zeros where all, or any, of its inputs are zeros."""
    unless: tuple[str, ...] = ()
    """Attributes that must be 0 for ``keeps_zero`` and ``linear``: a bias, a shift, an affine norm."""
    adds: bool = False
    """It adds its inputs: zeros drop out, and a sum among its terms is its terms."""
    joins: bool = False
    """It puts the channels of its inputs side by side."""
    commutes: bool = False
    """Its inputs may come in any order."""
    alone: bool = False
    """Of one input it is that input."""
    channels: Channels = "fixed"
    linear: bool = False
    """Of one input it is linear, where the attributes ``unless`` are 0: f(a x + b y) = a f(x) + b f(y)."""
    repeatable: bool = False
    """With state, it draws no random numbers and hands nothing on but its result; ops without state never do."""


NO_LAWS: Final = OpLaws()

DROPS_ABSENT: Final = frozenset(("sum", "concat"))
"""Ops whose absent terms are left out; every other op is absent if an input is."""


@dataclass(frozen=True)
class OpSpec:
    """A primitive.

    ``rule`` maps resolved attributes (every parameter of ``params``; ``out`` and ``stride`` already
    inferred) and input types to an :class:`OpResult`. ``lowering`` is ``"module:attr"`` of a
    lowering (see ``spacec.lower``). ``state``: the op has weights, buffers or randomness, so equal
    nodes are never merged and each carries a stable key. ``inputs`` is the number of tensors, or
    ``None`` for any number (``sum``, ``concat``).
    """

    name: str
    rule: Rule
    lowering: str
    params: tuple[OpParam, ...] = ()
    state: bool = False
    inputs: int | None = 1
    elastic: bool = False
    """The lowering can run slices of the largest size (elastic ``out``, inputs, ``kernel``)."""
    help: str = ""
    origin: str = "spacec"
    laws: OpLaws = NO_LAWS

    def param(self, name: str) -> OpParam | None:
        return next((p for p in self.params if p.name == name), None)


@dataclass(frozen=True)
class OpTable:
    """The ops a session knows, by name."""

    ops: Mapping[str, OpSpec] = field(default_factory=dict)

    def get(self, name: str) -> OpSpec | None:
        return self.ops.get(name)
