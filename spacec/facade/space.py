"""The compiled space as users, strategies and commands see it.

Joins the space algebra with the back end, which is imported (with torch) only by the methods that
build a network. Everything that can be told without torch is told without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from spacec.facade.benchmarks import Benchmarks
from spacec.facade.costs import Costs
from spacec.facade.distinctness import Distinctness
from spacec.facade.distributions import Distributions
from spacec.facade.encodings import Encodings
from spacec.facade.formats import Formats
from spacec.facade.variation import Variation
from spacec.space.architecture import Architecture

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spacec.lower.masks import Mask, Paths
    from spacec.lower.network import Network
    from spacec.lower.schedule import Schedule
    from spacec.lower.supernet import Supernet
    from spacec.passes.partial import Narrowed


class Space(Benchmarks, Costs, Distinctness, Distributions, Encodings, Formats, Variation):
    """One form of a space: its decisions, its sizes, and the networks that can be built from it.

    Made by :func:`spacec.load` and :func:`spacec.loads`. Two forms with one :attr:`digest` share architectures.
    """

    def supernet(
        self,
        seed: int | None = None,
        *,
        partial: int = 1,
        skip_dropout: bool = False,
        path_drop: bool = False,
        optimise: Schedule | str | None = None,
    ) -> Supernet:
        """All architectures in one ``nn.Module`` with shared weights; ``None`` draws from torch's generator.

        With ``partial = K`` choices run on 1/K of their channels (:meth:`partial_channels`); keys and masks stay.
        ``skip_dropout`` puts a dropout behind every skip among candidates (:meth:`Supernet.set_skip_dropout`),
        ``path_drop`` a drop-path stage behind every edge into a sum (:meth:`Supernet.set_drop_path`).

        ``optimise`` computes the same in less time and memory: ``"fast"``, ``"launches"`` (few large calls, for
        GPUs), or a schedule (:class:`spacec.lower.schedule.Schedule`); ``None`` is the plain form. Raises
        :class:`ValueError` for another name.
        """
        from spacec.lower.supernet import Supernet
        from spacec.passes.path_drop import with_path_drop
        from spacec.passes.skip_dropout import with_skip_dropout

        flat = self.partial_channels(partial).flat
        flat = with_skip_dropout(flat) if skip_dropout else flat
        flat = with_path_drop(flat) if path_drop else flat
        return Supernet(flat, self.table, seed, optimise)

    def partial_channels(self, parts: int) -> Narrowed:
        """The graph of ``supernet(partial=parts)``, and which choices run on all of their channels, each with why."""
        from spacec.passes.partial import PartialChannels

        return PartialChannels(parts).apply(self.flat)

    def widened(
        self,
        net: Supernet,
        tensors: Mapping[str, Tensor],
        parts: tuple[int, int],
        *,
        seed: int = 0,
        repeats: Literal["divide", "copy"] = "divide",
    ) -> dict[str, Tensor]:
        """``tensors`` by name of ``supernet(partial=parts[0])`` as those of ``net``, a ``supernet(partial=parts[1])``.

        Weights, statistics or momenta; ``seed`` draws the channels that are repeated. See
        :func:`spacec.lower.widen.widened` for ``repeats`` and for what is left out.
        """
        from spacec.lower.widen import widened
        from spacec.passes.widening import replicas

        before, after = (self.partial_channels(k) for k in parts)
        return widened(net, tensors, replicas(self.flat, before, after, seed), repeats)

    def network(
        self,
        arch: Architecture | str,
        seed: int | None = None,
        *,
        weights: Supernet | None = None,
        prune: bool = False,
    ) -> Network:
        """One architecture as an ``nn.Module``.

        ``weights`` copies those of a supernet; ``prune`` leaves out layers whose result nothing reads.
        """
        from spacec.lower.network import Network, transfer

        network = Network(self.flat, self.table, self._valid(arch), seed, prune)
        if weights is not None:
            transfer(weights, network)
        return network

    def source(self, arch: Architecture | str, *, facts: Iterable[str] = (), prune: bool = False) -> str:
        """Stand-alone Python source of one network; it imports torch only. ``facts`` are lines for its docstring."""
        from spacec.lower.emit import emit_source

        return emit_source(self.flat, self.table, self._valid(arch), facts, prune)

    def mask(self, arch: Architecture) -> Mask:
        """The mask under which a supernet runs exactly ``arch``."""
        from spacec.lower.masks import architecture_mask

        return architecture_mask(self.table, arch)

    def paths(self, candidates: tuple[int, ...], weights: Tensor) -> Paths:
        """A mask value: the slot's ``candidates`` run, each with its weight ``(len(candidates),)``."""
        from spacec.lower.masks import Paths

        return Paths(candidates, weights)

    def recalibrate_norm(
        self, model: nn.Module, batches: Iterable[tuple[Tensor, ...]], mask: Mask | None = None
    ) -> None:
        """Re-estimate the running statistics of norms on ``batches``; ``mask`` for a supernet."""
        from spacec.lower.norms import recalibrate_norm

        recalibrate_norm(model, batches, None if mask is None else lambda batch: model(*batch, mask=mask))

    def _valid(self, arch: Architecture | str) -> Architecture:
        if isinstance(arch, str):
            return self.architecture(arch)
        self.validate(arch, where=False)
        return arch
