"""What a strategy may see and do: the one object between strategies and everything else.

The runner makes it, moves its counters and its optimisers; a strategy reads it, runs forwards and asks for ratings.
Randomness of a strategy comes from :attr:`SearchContext.rng` (Python) and :attr:`SearchContext.generator` (torch),
whose states are part of a checkpoint.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spacec.search.config import SearchConfig
from spacec.search.course import MAIN, Course
from spacec.search.evaluate import measure, mode, statistics_kept
from spacec.search.executor import Rater
from spacec.search.loader import Stream, steps_per_epoch
from spacec.search.logits import Init, Logits, checked_rates, small_normal
from spacec.search.nodes import summed_slots
from spacec.search.optim import WeightHyper, weight_hypers
from spacec.search.ranks import ONE, Ranks
from spacec.search.record import Recorder
from spacec.search.schedules import Schedules
from spacec.search.scope import Scope
from spacec.search.seeds import generator, stable_seed
from spacec.search.shared import run_supernet
from spacec.search.space_like import Mask, SpaceLike
from spacec.search.strategy import StepReport, Weights
from spacec.search.tabular import Tabular
from spacec.search.task import Batch, Forward, OutLike, Splits, Task
from spacec.search.training import FitResult, TrainConfig
from spacec.search.wiring import Wiring, free_sizes
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision, Slot

DRAWS = 100


class SearchContext(Course):
    """See the module. ``epoch`` and ``step`` are zero-based; ``step`` counts weight steps over the run.

    ``run_dir``: where a strategy may keep files of its own; ``run_name`` tells several searches there apart.
    ``mixes``: whether its strategy's masks run many candidates at once; supernets are measured accordingly.
    ``ranks``: the processes that run this search together.
    """

    def __init__(
        self,
        space: SpaceLike,
        task: Task,
        config: SearchConfig,
        train_config: TrainConfig,
        device: torch.device,
        recorder: Recorder,
        schedules: Schedules | None = None,
        run_dir: Path | None = None,
        run_name: str = "",
        ranks: Ranks = ONE,
    ) -> None:
        self.space = space
        self.run_dir = run_dir
        self.run_name = run_name
        self.task = task
        self.config = config
        self.train_config = train_config
        self.device = device
        self.recorder = recorder
        self.ranks = ranks
        self.schedules = schedules or Schedules(config.optimise, recorder)
        self.mixes = True
        self.seed = config.seed
        self.batch_size = config.batch_size or task.batch_size
        self.eval_batch_size = config.eval_batch_size or self.batch_size
        self.epochs = config.epochs
        self.epoch = 0
        self.step = 0
        self.last: StepReport | None = None
        self.stopped = ""
        self.rater = Rater(space, task, train_config, self.seed, str(device))
        self.supernets: dict[str, nn.Module] = {}
        self.forms: dict[str, dict[str, Any]] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.rng = random.Random(stable_seed(self.seed, "strategy"))
        self.generator = generator(self.seed, "strategy")

    # the space

    @property
    def slots(self) -> Sequence[Slot]:
        return self.space.slots

    @property
    def decisions(self) -> Sequence[Decision]:
        return self.space.decisions

    def sample(self) -> Architecture:
        """An architecture drawn uniformly, from :attr:`rng`."""
        return self.space.sample(1, seed=self.rng.getrandbits(31))[0]

    def mask_of(self, arch: Architecture) -> Mask:
        """The mask that runs exactly ``arch``, bit-equal to its stand-alone network."""
        return self.space.mask(arch)

    def derive(self, probabilities: Mapping[str, Sequence[float]]) -> Architecture:
        """Slot probabilities to an architecture, by the language's rule."""
        return self.space.derive(probabilities)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Values of the space's free input sizes on the training data; a benchmark has none."""
        if isinstance(self.task, Tabular):
            return {}
        return free_sizes(self.space.flat, self.wiring, self.stream("weights", "sizes", batch_size=1).batch(0, 0))

    def cost(self, arch: Architecture, name: str = "params") -> int | float:
        """An entry of the space's costs, exactly, at the size of the training data."""
        return self.space.cost(arch, name, **self.sizes)

    def require_cost(self, name: str) -> None:
        """Raise E0512 unless the space has this cost: for ``setup``, where an option names one that steps read."""
        self.cost(self.space.sample(1, seed=0)[0], name)

    def expected_cost(self, mask: Mapping[str, Tensor | int], name: str = "params") -> Tensor:
        """The cost expected under independent soft masks, or indices; differentiable in the masks. A scalar."""
        return torch.as_tensor(self.space.expected_cost(mask, name, **self.sizes))

    # networks

    @property
    def supernet(self) -> Any:
        """The supernet, of :class:`~spacec.search.space_like.SupernetLike`."""
        return self.supernets[MAIN]

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimiser of the supernet's weights. Add a group with ``own_rate=True`` to train others beside them."""
        return self.optimizers[MAIN]

    @cached_property
    def picks(self) -> tuple[tuple[str, ...], ...]:
        """Ids of the slots that are the elements of one pick (the edges into one node), pick by pick."""
        found: dict[str, list[str]] = {}
        for slot in self.slots:
            if slot.pick is not None:
                found.setdefault(slot.pick, []).append(slot.id)
        return tuple(tuple(slots) for slots in found.values())

    @cached_property
    def nodes(self) -> tuple[tuple[str, ...], ...]:
        """Ids of the slots whose results are summed into one node, node by node (:mod:`spacec.search.nodes`)."""
        return summed_slots(self.space.flat)

    def scope(self) -> Scope:
        """All candidates of all slots, to narrow."""
        return Scope(self.slots, self.space.paths)

    def within(self, scope: Scope, known: Architecture | None = None) -> Architecture | None:
        """A valid architecture all of whose operations are left in ``scope``; ``None`` where there is none.

        Whether *absent* is left does not matter: an element that a pick does not take is always allowed. ``known`` is
        a valid architecture, given back where it will do: under constraints another may take long to find.
        """
        if known is not None and self._inside(known, scope):
            return known
        rates = {
            s.id: [float(k in scope[s.id] or (s.absent and k == 0) or s.edges) for k in range(s.size)]
            for s in self.slots
        }
        found = self.derive(rates)
        return found if self._inside(found, scope) else None

    def _inside(self, arch: Architecture, scope: Scope) -> bool:
        chosen = self.mask_of(arch)
        return all((k := chosen[s.id]) is None or k in scope[s.id] or (s.absent and k == 0) for s in self.slots)

    def draw(self, probabilities: Mapping[str, Sequence[float] | Tensor]) -> dict[str, int]:
        """A candidate for each slot, each drawn by its slot's probabilities from :attr:`generator`.

        Slots are drawn independently, anew while an output of the network would be absent (a node may lose all its
        edges). After :data:`DRAWS` draws in vain, slots that drew *absent* take what :meth:`derive` chooses. Raises
        :class:`SpacecError` (E0607) for probabilities that are not finite.
        """
        rates = {s.id: checked_rates(s.id, torch.as_tensor(probabilities[s.id])) for s in self.slots}
        for _ in range(DRAWS):
            found = {s: int(torch.multinomial(p, 1, generator=self.generator)) for s, p in rates.items()}
            if self.supernet.complete(found):
                return found
        chosen = self.mask_of(self.derive({s: p.tolist() for s, p in rates.items()}))
        return {s: k if chosen[s] is None else chosen[s] for s, k in found.items()}

    def path(self, drawn: Mapping[str, int], probabilities: Mapping[str, Tensor]) -> Mask:
        """The mask that runs only the candidates ``drawn``; edge weights are no choice and stay ``probabilities``."""
        return {s.id: probabilities[s.id].detach() if s.edges else drawn[s.id] for s in self.slots}

    def logits(self, init: Init = small_normal) -> Logits:
        """A fresh set of architecture parameters."""
        return Logits(self.slots, generator(self.seed, "logits"), self.device, init)

    def weight_hypers(self, name: str = MAIN) -> dict[str, WeightHyper]:
        """Rate, momentum, decay and momentum buffer of each weight, by its name in the supernet."""
        return weight_hypers(self.supernets[name], self.optimizers[name])

    def forward(
        self,
        batch: Batch,
        mask: Mask | None,
        *,
        supernet: str = MAIN,
        weights: Mapping[str, Tensor] | None = None,
        gates: bool | str = False,
    ) -> OutLike:
        """Run a supernet in its present mode; ``weights`` replace its own by name (other tensors keep theirs).

        Where several processes search, each runs its share of the batch, and the output is that of the whole batch on
        all of them; so are gradients by weights and masks (:mod:`spacec.search.shared`).
        """
        return self._run(self.wiring.batch_arguments(batch), mask, supernet, weights, gates)

    def _run(
        self,
        inputs: Sequence[Tensor],
        mask: Mask | None,
        supernet: str,
        weights: Mapping[str, Tensor] | None = None,
        gates: bool | str = False,
    ) -> OutLike:
        net: Any = self.supernets[supernet]
        if self.ranks.size > 1:
            out = run_supernet(self.ranks, net, inputs, mask, weights, taps=self.task.taps, gates=gates)
        else:
            out = net(*inputs, mask=mask, taps=self.task.taps, weights=weights, gates=gates)
        return self.wiring.rename(out)

    def loss(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> Tensor:
        """The task's loss and the auxiliary losses that ops of the space emitted. A scalar."""
        total = self.task.loss(out, batch, smoothing)
        for value in out.losses.values():
            total = total + value
        return total

    @torch.no_grad()
    def quality(self, batch: Batch, mask: Mask | None, supernet: str = MAIN) -> float:
        """:meth:`quality_of` what a mask gives on a batch.

        With shared weights in the supernet's present mode; running statistics stay as they are.
        """
        with self.statistics_kept(supernet):
            return self.quality_of(self.forward(batch, mask, supernet=supernet), batch)

    def quality_of(self, out: OutLike, batch: Batch) -> float:
        """The task's first metric of an output, signed so that more is better: the mean over its samples."""
        metric = self.task.metrics[0]
        meter = self.task.meter()
        meter.update(out, batch)
        value = meter.result()[metric.name]
        return value if metric.direction == "max" else -value

    def mode(self, training: bool, supernet: str = MAIN) -> AbstractContextManager[None]:
        """The supernet in train or eval mode for the body of a ``with``."""
        return mode(self.supernets[supernet], training)

    def statistics_kept(self, supernet: str = MAIN) -> AbstractContextManager[None]:
        """Running statistics put back after the body of a ``with``."""
        return statistics_kept(self.supernets[supernet])

    @contextmanager
    def calibrated(self, mask: Mask | None, batches: int, supernet: str = MAIN) -> Iterator[None]:
        """Norm statistics re-estimated for ``mask`` on training batches, for the body of a ``with``."""
        net = self.supernets[supernet]
        with statistics_kept(net):
            stream = self.stream("weights", "calibration", steps=batches)
            data = (self.wiring.batch_arguments(batch.to(self.device)) for batch in stream.epoch(0))
            self.space.recalibrate_norm(net, data, mask=mask)
            yield

    # data and ratings

    @property
    def splits(self) -> Splits:
        """The data. A benchmark has none (E0735)."""
        return self.rater.splits

    @cached_property
    def wiring(self) -> Wiring:
        """Between the task's names and the space's."""
        return Wiring.of(self.task, self.space.flat)

    def example(self) -> tuple[tuple[Tensor, ...], Mask | None]:
        """Inputs of a weight step, and a mask that mixes where the strategy does (:attr:`mixes`), else one path."""
        batch = self.stream("weights", "schedule", steps=1).batch(0, 0)
        inputs = tuple(self.wiring.batch_arguments(batch.to(self.device)))
        path = self.mask_of(self.space.sample(1, seed=0)[0])
        if not self.mixes:
            return inputs, path
        uniform = {
            s.id: path[s.id] if s.sized else torch.full((s.size,), 1.0 / s.size, device=self.device).requires_grad_()
            for s in self.slots
        }
        return inputs, uniform

    @cached_property
    def steps(self) -> int:
        """Weight steps per epoch."""
        return self.config.steps or steps_per_epoch(self.splits.weights, self.batch_size)

    def stream(self, split: str, name: str, steps: int | None = None, batch_size: int | None = None) -> Stream:
        """A source of training batches of its own, for inner loops; address its batches by (epoch, step)."""
        size = batch_size or self.batch_size
        return Stream(self.splits[split], name, self.seed, size, steps or self.steps, self.config.workers)

    def evaluate(
        self,
        arch: Architecture | Mask | None,
        split: str = "arch",
        weights: Weights = "shared",
        *,
        batches: int | None = None,
        recalibrate: int | None = None,
        supernet: str = MAIN,
    ) -> dict[str, float]:
        """Metrics (and ``loss``) of an architecture or mask with shared weights, or of an architecture trained alone.

        ``batches`` reads so many batches, spread over the split; ``recalibrate`` re-estimates norms on so many
        training batches first (the search's setting if not given). ``standalone`` trains for
        ``train_config.epochs``.
        """
        if weights == "standalone":
            if not isinstance(arch, Architecture):
                raise ValueError("only an architecture can be trained alone")
            return dict(self.fit(arch, split=split).metrics)
        mask = self.mask_of(arch) if isinstance(arch, Architecture) else arch

        def forward(inputs: Mapping[str, Tensor]) -> OutLike:
            return self._run(self.wiring.arguments(inputs), mask, supernet)

        again = self.config.recalibrate if recalibrate is None else recalibrate
        with self._ready(mask, again, supernet):
            return self._measure(forward, split, batches)

    @contextmanager
    def _ready(self, mask: Mask | None, recalibrate: int, supernet: str) -> Iterator[None]:
        net = self.supernets[supernet]
        if not recalibrate:
            with mode(net, False):
                yield
            return
        with self.calibrated(mask, recalibrate, supernet), mode(net, False):
            yield

    def _measure(self, forward: Forward, split: str, batches: int | None) -> dict[str, float]:
        return measure(forward, self.task, self.splits[split], self.eval_batch_size, self.device, batches)

    def fit(self, arch: Architecture, epochs: int | None = None, resume: Any = None, split: str = "arch") -> FitResult:
        """Train ``arch`` alone on the ``weights`` split for ``epochs`` in all, rated on ``split``.

        ``resume`` is the token of an earlier fit of the same architecture; its epochs count.
        """
        return self.rater.fit(arch, epochs, resume, split)
