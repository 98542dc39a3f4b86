"""Which candidates of each slot are still searched, for methods that narrow the space while they search it.

A dropped candidate has probability zero, and under :meth:`Scope.mask` it does not run; its weights stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from spacec.search.space_like import Mask
from spacec.space.decisions import Slot


class Scope(Mapping[str, tuple[int, ...]]):
    """Slot id to the candidates that are left, in order; all of them at first."""

    def __init__(self, slots: Sequence[Slot], paths: Callable[[tuple[int, ...], Tensor], Any]) -> None:
        """``paths`` makes the mask value of some candidates and their weights: ``space.paths``."""
        self._paths = paths
        self.sizes = {slot.id: slot.size for slot in slots}
        self._left = {slot: tuple(range(size)) for slot, size in self.sizes.items()}

    def __getitem__(self, slot: str) -> tuple[int, ...]:
        return self._left[slot]

    def __iter__(self) -> Iterator[str]:
        return iter(self._left)

    def __len__(self) -> int:
        return len(self._left)

    def drop(self, slot: str, candidate: int) -> None:
        """Take a candidate out. Raises :class:`ValueError` for one that is not in, and for the last one."""
        left = self._left[slot]
        if candidate not in left:
            raise ValueError(f"candidate {candidate} of slot '{slot}' is not in the search")
        self.keep(slot, [k for k in left if k != candidate])

    def keep(self, slot: str, candidates: Iterable[int]) -> None:
        """Keep these only. Raises :class:`ValueError` for none, and for one that is not in."""
        kept = tuple(sorted(set(candidates)))
        if not kept:
            raise ValueError(f"slot '{slot}' would have no candidate left")
        if unknown := set(kept) - set(self._left[slot]):
            raise ValueError(f"candidate {min(unknown)} of slot '{slot}' is not in the search")
        self._left[slot] = kept

    def widen(self, slot: str, candidates: Iterable[int]) -> None:
        """Take candidates in again. Raises :class:`ValueError` for one that the slot does not have."""
        kept = tuple(sorted({*self._left[slot], *candidates}))
        if kept[0] < 0 or kept[-1] >= self.sizes[slot]:
            raise ValueError(f"slot '{slot}' has {self.sizes[slot]} candidates")
        self._left[slot] = kept

    def softmax(self, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Probabilities by slot ``(n,)``: a softmax over the candidates left, exactly zero elsewhere."""
        return {slot: self.spread(slot, t[self._index(slot, t)].softmax(0)) for slot, t in logits.items()}

    def spread(self, slot: str, values: Tensor) -> Tensor:
        """Values of the candidates left, as a vector ``(n,)`` with zeros elsewhere; carries gradient."""
        whole = values.new_zeros(self.sizes[slot])
        return whole.index_put((self._index(slot, values),), values)

    def mask(self, weights: Mapping[str, Tensor]) -> Mask:
        """``weights`` ``(n,)`` by slot as a mask under which dropped candidates do not run."""
        return {slot: self._entry(slot, w) for slot, w in weights.items()}

    def state_dict(self) -> dict[str, Any]:
        return {slot: list(left) for slot, left in self._left.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for slot in self._left:
            self._left[slot] = tuple(state[slot])

    def _entry(self, slot: str, weights: Tensor) -> Any:
        left = self._left[slot]
        if len(left) == self.sizes[slot]:
            return weights
        return self._paths(left, weights[self._index(slot, weights)])

    def _index(self, slot: str, like: Tensor) -> Tensor:
        return torch.tensor(self._left[slot], dtype=torch.long, device=like.device)
