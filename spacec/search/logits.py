"""Architecture parameters: one tensor per mask slot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.space.decisions import Slot

Init = Callable[[Slot, torch.Generator], Tensor]


def small_normal(slot: Slot, rng: torch.Generator) -> Tensor:
    """DARTS' and CLEARER's start: 1e-3 times a standard normal."""
    return 1e-3 * torch.randn(slot.size, generator=rng)


class Logits(Mapping[str, nn.Parameter]):
    """Slot id to a parameter ``(n,)``, in the order of the slots."""

    def __init__(
        self, slots: Sequence[Slot], rng: torch.Generator, device: torch.device, init: Init = small_normal
    ) -> None:
        self.slots = tuple(slots)
        self._tensors = {slot.id: nn.Parameter(init(slot, rng).to(device)) for slot in self.slots}

    def __getitem__(self, slot: str) -> nn.Parameter:
        return self._tensors[slot]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def parameters(self) -> list[nn.Parameter]:
        return list(self._tensors.values())

    def softmax(self) -> dict[str, Tensor]:
        """Probabilities by slot, with gradient."""
        return {slot: t.softmax(0) for slot, t in self._tensors.items()}

    def probabilities(self) -> dict[str, list[float]]:
        """Probabilities by slot, as numbers."""
        with torch.no_grad():
            return {slot: t.double().softmax(0).tolist() for slot, t in self._tensors.items()}

    def state_dict(self) -> dict[str, Tensor]:
        return {slot: t.detach().clone() for slot, t in self._tensors.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for slot, t in self._tensors.items():
                t.copy_(state[slot])


def checked_rates(slot: str, rates: Tensor) -> Tensor:
    """The weights ``(n,)`` by which candidates of ``slot`` are drawn, as doubles on the CPU.

    Raises :class:`SpacecError` (E0607) where no draw can follow them: logits that diverged give such.
    """
    found = rates.detach().double().cpu()
    if not (float(found.min()) >= 0 and 0 < float(found.sum()) < float("inf")):
        headline = f"the probabilities of the slot {slot} are not finite and positive"
        notes = ("logits that diverge give such: a lower rate of theirs (arch_lr) usually helps",)
        raise SpacecError(Diagnostic("E0607", headline, notes=notes))
    return found
