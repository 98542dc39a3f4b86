"""Results that are made again for the backward pass, instead of being kept from the forward pass.

A result is known by where it lies in memory while it is there. What autograd would keep of it, as an input of the ops
that read it or as a result of its own op, is replaced by how it is made: from tensors that are kept, or from results
that are themselves made again. It is made when the backward pass first asks and let go when it last does.

Whoever wraps a pass in saved-tensor hooks of his own does not see these tensors: the innermost hooks count.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Making = Callable[..., Tensor]
"""What makes a result of its inputs, always the same."""


@dataclass(eq=False)
class Recipe:
    """How a result is made: by ``run`` of ``inputs``, which must not change in between."""

    run: Making
    inputs: Sequence[Tensor | Recipe]
    uses: int = 0
    """How often autograd refers to the result."""
    left: int = 0
    made: Tensor | None = None
    versions: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.versions = self._versions()

    def _versions(self) -> tuple[int, ...]:
        return tuple(x._version for x in self.inputs if isinstance(x, Tensor))

    def used(self) -> Recipe:
        """This recipe, for one more use."""
        self.uses += 1
        self.left = self.uses
        return self

    def value(self) -> Tensor:
        """The result. Raises :class:`RuntimeError` where its inputs were changed in place since."""
        if self.made is None:
            if self.versions != self._versions():
                raise RuntimeError("a tensor from which a result is made again was modified by an inplace operation")
            with torch.no_grad():
                self.made = self.run(*(x.value() if isinstance(x, Recipe) else x for x in self.inputs))
        made = self.made
        self.left -= 1
        if self.left <= 0:
            self.made, self.left = None, self.uses
        return made


@dataclass(eq=False)
class _Slot:
    """Something that an op saved before its result was known."""

    content: Tensor | Recipe


Packed = Tensor | Recipe | _Slot


@dataclass
class Recomputed:
    """The results of one pass that are made again."""

    _known: dict[int, tuple[weakref.ref[Tensor], Recipe]] = field(default_factory=dict)

    def reading(self, run: Making, inputs: Sequence[Tensor]) -> Tensor:
        """``run(*inputs)``; of inputs that are made again nothing is kept."""
        with torch.autograd.graph.saved_tensors_hooks(self._pack, _unpack):
            return run(*inputs)

    def making(self, run: Making, inputs: Sequence[Tensor], again: Making | None = None) -> Tensor:
        """``run(*inputs)``, which ``again`` (by default ``run``) makes again for whoever reads it."""
        saved: list[_Slot] = []

        def pack(tensor: Tensor) -> Packed:
            found = self._pack(tensor)
            if isinstance(found, Recipe):
                return found
            saved.append(_Slot(tensor))
            return saved[-1]

        with torch.autograd.graph.saved_tensors_hooks(pack, _unpack):
            value = run(*inputs)
        if not value.requires_grad or any(value.data_ptr() == x.data_ptr() for x in inputs):
            return value
        sources = [self._recipe(x) or x.detach() for x in inputs]
        recipe = Recipe(again or run, [s.used() if isinstance(s, Recipe) else s for s in sources])
        for slot in saved:
            if isinstance(slot.content, Tensor) and _same(slot.content, value):
                slot.content = recipe.used()
        self._known[value.data_ptr()] = weakref.ref(value), recipe
        return value

    def _recipe(self, tensor: Tensor) -> Recipe | None:
        known = self._known.get(tensor.data_ptr())
        if known is None:
            return None
        value = known[0]()
        return known[1] if value is not None and _same(value, tensor) else None

    def _pack(self, tensor: Tensor) -> Packed:
        recipe = self._recipe(tensor)
        return tensor if recipe is None else recipe.used()


def _same(a: Tensor, b: Tensor) -> bool:
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride() and a.dtype == b.dtype


def _unpack(packed: Packed) -> Tensor:
    if isinstance(packed, _Slot):
        packed = packed.content
    return packed.value() if isinstance(packed, Recipe) else packed
