"""What search needs of a compiled space, as structural types.

``spacec.lower`` and ``spacec.search`` do not know each other: the facade of ``spacec.driver`` joins them, and
satisfies :class:`SpaceLike`. A mask value is whatever the supernet accepts: a float tensor ``(n,)``, an ``int``, or
one of the wrappers of ``spacec.lower.masks``; search passes it through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from spacec.ir.flat import FlatGraph
from spacec.passes.partial import Narrowed
from spacec.search.task import OutLike
from spacec.source import SourceFile
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision, DecisionTable, Slot

Mask = Mapping[str, Any]
"""Slot id to a mask value."""

Token = Any
"""What ``Supernet.snapshot`` returns; opaque."""


class SupernetLike(Protocol):
    """``spacec.lower.supernet.Supernet``, beyond what it has as an ``nn.Module``."""

    training: bool

    def __call__(
        self,
        *inputs: Tensor,
        mask: Mask | None = None,
        taps: Sequence[str] = (),
        weights: Mapping[str, Tensor] | None = None,
        gates: bool | str = False,
        **named_inputs: Tensor,
    ) -> OutLike: ...
    def gate_gradients(
        self, loss: Tensor, out: Any, per: Literal["slot", "instance"] = "slot"
    ) -> dict[str, Tensor]: ...
    @property
    def instances(self) -> Mapping[str, tuple[str, ...]]:
        """By slot, the activations that may have masks of their own."""
        ...

    def complete(self, mask: Mask | None) -> bool:
        """Whether the candidates that run lead something to every output."""
        ...

    def set_skip_dropout(self, rate: float) -> None:
        """The rate of the dropouts behind skips, where it was built with ``skip_dropout``."""
        ...

    def without_noise(self) -> AbstractContextManager[None]:
        """Dropouts and stochastic depth off for the body of a ``with``."""
        ...

    def parameters_of(self, kind: str) -> Any: ...
    def freeze(self, kind: str) -> Any: ...
    def snapshot(self) -> Token: ...
    def restore(self, token: Token) -> None: ...


class SpaceLike(Protocol):
    """The facade, as far as search reads it."""

    @property
    def name(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def header(self) -> Mapping[str, Any]:
        """Values of the header parameters that it was loaded with."""
        ...

    @property
    def narrowed_by(self) -> tuple[SourceFile, ...]:
        """The constraints beside those of the text."""
        ...

    @property
    def table(self) -> DecisionTable: ...
    @property
    def flat(self) -> FlatGraph: ...
    @property
    def decisions(self) -> Sequence[Decision]: ...
    @property
    def slots(self) -> Sequence[Slot]: ...
    def where(self, text: str, name: str = "<where>") -> SpaceLike:
        """The space under further constraints, as a text's ``where`` has them; its architectures are of this one."""
        ...

    def sample(self, n: int = 1, seed: int = 0) -> Sequence[Architecture]: ...
    @property
    def supernet(self) -> Callable[..., nn.Module]:
        """``supernet(seed=None, **form)``: the supernet, in a form of :meth:`Strategy.supernet_options`."""
        ...

    def partial_channels(self, parts: int) -> Narrowed:
        """Which choices of ``supernet(partial=parts)`` run on a share of their channels, and why the others do not."""
        ...

    @property
    def widened(self) -> Callable[..., dict[str, Tensor]]:
        """``widened(net, tensors, (K, k), seed=…, repeats=…)``: tensors of one narrowed supernet as another's."""
        ...

    def network(self, arch: Architecture, seed: int | None = None) -> nn.Module: ...
    def mask(self, arch: Architecture) -> Mask:
        """The mask under which the supernet runs exactly ``arch``."""
        ...

    def paths(self, candidates: tuple[int, ...], weights: Tensor) -> Any:
        """The mask value under which some candidates of a slot run, each with its weight ``(len(candidates),)``."""
        ...

    def derive(self, probabilities: Mapping[str, Sequence[float]]) -> Architecture: ...
    def validate(self, arch: Architecture) -> None: ...
    def mutate(self, arch: Architecture, seed: int = 0, *, changes: int = 1, rate: float | None = None) -> Architecture:
        """A valid architecture that differs in so many decisions (and what they make active); ``rate``: in each by so
        much chance."""
        ...

    def crossover(self, a: Architecture, b: Architecture, seed: int = 0) -> Architecture:
        """A valid architecture that takes each decision from one of two."""
        ...

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Every valid architecture one decision away, lazily."""
        ...

    def encode(self, archs: Iterable[Architecture], scheme: str, **options: Any) -> Any:
        """Architectures as rows of numbers, in one of the space's encodings."""
        ...

    def architecture(self, text: str) -> Architecture: ...
    def to_json(self, arch: Architecture) -> Any:
        """JSON-ready values from which the architecture is read back."""
        ...

    def cost(self, arch: Architecture, name: str, **sizes: int) -> int | float: ...
    def extreme(self, name: str, end: Literal["min", "max"] = "min") -> Architecture:
        """A valid architecture whose cost is the least or the largest of all (E0510 where that is too much work)."""
        ...

    def expected_cost(self, mask: Mapping[str, Any], name: str, **sizes: int) -> Any:
        """Expected cost under independent soft masks: plain arithmetic, so tensors pass through."""
        ...

    def recalibrate_norm(
        self, model: nn.Module, batches: Iterable[tuple[Tensor, ...]], mask: Mask | None = None
    ) -> None: ...
