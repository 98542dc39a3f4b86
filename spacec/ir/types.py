"""Types of what flows through a network: ``[C, *space]`` for everything dense, and tuples of types."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from spacec.ir.dims import Dim, Symbol, symbols

Kind = Literal["dense", "tokens", "graph"]


@dataclass(frozen=True)
class TensorType:
    """``[C, *space]``: a vector, a sequence ``[C, T]`` or an image ``[C, H, W]``, without the batch axis.

    ``tokens(V)[T]`` has kind ``"tokens"`` and ``channels`` = vocabulary; ``graph(C)`` has kind ``"graph"``.
    """

    channels: Dim
    space: tuple[Dim, ...] = ()
    kind: Kind = "dense"

    @cached_property
    def _hash(self) -> int:
        return hash((self.channels, self.space, self.kind))

    def __hash__(self) -> int:
        return self._hash

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.space)

    @property
    def dims(self) -> tuple[Dim, ...]:
        return (self.channels, *self.space)

    @cached_property
    def elements(self) -> Dim:
        """Numbers that one sample of it holds; of a graph's features: per node of the graph."""
        size: Dim = 1 if self.kind == "tokens" else self.channels
        for n in self.space:
            size = size * n
        return size

    @cached_property
    def symbols(self) -> frozenset[Symbol]:
        return frozenset().union(*(symbols(d) for d in self.dims))

    def __str__(self) -> str:
        space = ", ".join(map(str, self.space))
        if self.kind == "dense":
            return f"[{', '.join(map(str, self.dims))}]"
        return f"{self.kind}({self.channels})" + (f"[{space}]" if space else "")


Type = TensorType | tuple["Type", ...]
"""A tensor, or a tuple of types (a pyramid, several inputs)."""


def type_text(value: Type) -> str:
    if isinstance(value, TensorType):
        return str(value)
    return "(" + ", ".join(map(type_text, value)) + ")"
