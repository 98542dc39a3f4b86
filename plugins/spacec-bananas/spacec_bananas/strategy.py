"""BANANAS: White, Neiswanger and Savani, BANANAS: Bayesian Optimization with Neural Architectures for Neural
Architecture Search (AAAI 2021), algorithm 1.

After ``initial`` architectures drawn uniformly, each round trains an ensemble of networks from encodings to what was
measured so far, mutates the best architectures, and rates the ``k`` candidates whose acquisition is best. A mutation
changes one decision (``space.mutate``), so constraints hold. Nothing is rated twice; where all that can be found was
rated, the search ends.

The encoding is the paper's: which paths lead from input to output, of these the ``paths`` that random architectures
have most often. A space without choices on its paths, or with too many paths, is encoded by one-hot decisions.
What is predicted is scaled to mean 0 and deviation 1, and is better where it is less.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.options import option
from spacec.search.strategy import Trial, TrialResult
from spacec.search.trial_strategy import TrialOptions, TrialStrategy
from spacec.space.architecture import Architecture
from spacec_bananas.acquisition import scores
from spacec_bananas.ensemble import Ensemble, Fit

SAMPLES = 150
"""Architectures that are rated where neither the strategy nor the search is told how many: the paper's queries."""
PATIENCE = 5
"""How many times as many architectures as ``parents`` are mutated, or draws made, before a round takes what it has."""
TOO_LARGE = "E0623"
DRAWN = 2000
"""Architectures drawn to tell which paths are frequent."""


@dataclass(frozen=True)
class BananasOptions(TrialOptions):
    initial: int = option(10, "architectures drawn uniformly at the start", low=2)
    k: int = option(10, "architectures rated between two trainings of the ensemble", low=1)
    acquisition: Literal["its", "ts", "ucb", "ei", "pi", "mean"] = option(
        "its", "who of the candidates is rated: independent Thompson sampling, …"
    )
    candidates: int = option(100, "mutations of the best to choose from", low=1)
    parents: int = option(1, "how many of the best are mutated; more where too few mutations are new", low=1)
    encoding: Literal["auto", "path", "adjacency", "onehot"] = option("auto", "auto: path where the space has paths")
    paths: int = option(40, "columns of the path encoding: the paths that are most frequent", low=1, high=4096)
    members: int = option(5, "networks of the ensemble", low=1)
    layers: int = option(10, "hidden layers of a network", low=1)
    width: int = option(20, "width of a hidden layer", low=1)
    fit_epochs: int = option(150, "epochs for which the ensemble is trained", low=1)
    fit_batch: int = option(32, "rows of a batch there", low=1)
    fit_lr: float = option(0.01, "Adam's rate there")
    loss: Literal["mae", "mape"] = option("mae", "absolute errors (the authors' code), or relative ones (the paper)")
    bound: float | None = option(None, "of mape: a value that none is better than, such as 100 of accuracy")
    samples: int | None = option(None, "trials in all; none for the search's trials, else 150", low=1)


class Bananas(TrialStrategy):
    """See the module. ``seen``: all that was asked for, by text; ``rated``: those that succeeded, as they were told."""

    name = "bananas"
    help = "Bayesian optimisation with an ensemble of networks on path encodings"
    Options = BananasOptions
    tiny: ClassVar[Mapping[str, object]] = {
        "initial": 2, "k": 2, "samples": 5, "fit_epochs": 2, "candidates": 4, "members": 2, "layers": 2,
    }  # fmt: skip
    options: BananasOptions

    seen: set[str]
    rated: list[tuple[Architecture, float]]
    queue: deque[Architecture]
    """Chosen and not yet asked for."""
    scheme: tuple[str, dict[str, int]]

    @property
    def most(self) -> int:
        return int(self.options.samples or self.ctx.config.trials or SAMPLES)

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        if self.options.loss == "mape" and self.options.bound is None:
            headline = "the loss 'mape' needs bound: a value of the metric that no architecture is better than"
            raise SpacecError(Diagnostic("E0869", headline, help="-o bound=100 for an accuracy in percent"))
        self.seen, self.rated, self.queue = set(), [], deque()
        self.scheme = self._scheme()

    def propose(self, n: int) -> Sequence[Trial]:
        n = min(n, self.most - self.asked)
        if n > 0 and not self.queue:
            self.queue.extend(self._round())
        return [self.ask(self.queue.popleft()) for _ in range(min(n, len(self.queue)))]

    def take(self, result: TrialResult, value: float | None) -> None:
        if value is not None:
            self.rated.append((result.trial.arch, value))

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "rated": [(arch.text(), value) for arch, value in self.rated],
            "seen": sorted(self.seen),
            "queue": [arch.text() for arch in self.queue],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        read = self.ctx.space.architecture
        self.rated = [(read(text), float(value)) for text, value in state["rated"]]
        self.seen = set(state["seen"])
        self.queue = deque(map(read, state["queue"]))

    # a round

    def _round(self) -> list[Architecture]:
        """The next architectures to rate, all of them new; fewer, or none, where no more are found."""
        missing = self.options.initial - self.asked
        if missing > 0 or not self.rated:
            return list(self._drawn(missing if missing > 0 else self.options.k))
        candidates = self._candidates()
        if len(candidates) > self.options.k:
            values = self._predictions(candidates)
            order = values.argsort(stable=True)[: self.options.k]
            candidates = [candidates[int(i)] for i in order]
        self.seen.update(arch.text() for arch in candidates)
        return candidates

    def _drawn(self, wanted: int) -> Iterator[Architecture]:
        """New architectures drawn uniformly."""
        for _ in range(wanted * PATIENCE):
            arch = self.ctx.sample()
            if wanted and arch.text() not in self.seen:
                self.seen.add(arch.text())
                wanted -= 1
                yield arch

    def _candidates(self) -> list[Architecture]:
        """New mutations of the best, and where there are too few to fill a round, new architectures drawn uniformly."""
        given, rng, space = self.options, self.ctx.rng, self.ctx.space
        found: dict[str, Architecture] = {}
        for parent in self._best_first()[: given.parents * PATIENCE]:
            if len(found) >= given.candidates:
                break
            for _ in range(-(-given.candidates // given.parents)):
                arch = space.mutate(parent, seed=rng.getrandbits(31))
                if arch.text() not in self.seen:
                    found.setdefault(arch.text(), arch)
        if len(found) < given.k:
            found |= {arch.text(): arch for arch in self._drawn(given.k - len(found))}
        return list(found.values())

    def _best_first(self) -> list[Architecture]:
        """What was rated, the best first; of equals, who was told first."""
        return [arch for arch, _ in sorted(self.rated, key=lambda pair: self.loss(pair[1]))]

    # the ensemble

    def _predictions(self, candidates: Sequence[Architecture]) -> Tensor:
        """The acquisition of candidates ``[n]``, less is better, by an ensemble trained on all that was rated."""
        given = self.options
        losses = torch.tensor([self.loss(value) for _, value in self.rated], dtype=torch.float64)
        centre, scale = losses.mean(), losses.std(correction=0).clamp_min(1e-12)
        targets = ((losses - centre) / scale).float()
        weights = torch.ones_like(targets)
        if given.loss == "mape" and given.bound is not None:
            weights = (scale / (losses - self.loss(given.bound)).abs().clamp_min(1e-12)).float()
        rows = self._rows([arch for arch, _ in self.rated])
        fit = Fit(
            given.members, given.layers, given.width, given.fit_epochs, given.fit_batch, given.fit_lr
        )  # fmt: skip
        with torch.no_grad():
            ensemble = Ensemble(rows.shape[1], fit, self.ctx.generator)
            ensemble.train(rows, targets, weights, self.ctx.generator)
            predicted = ensemble.predict(self._rows(candidates))
            return scores(predicted, float(targets.min()), given.acquisition, self.ctx.generator)

    def _rows(self, archs: Sequence[Architecture]) -> Tensor:
        scheme, options = self.scheme
        return torch.as_tensor(self.ctx.space.encode(archs, scheme, **options)).float().reshape(len(archs), -1)

    def _scheme(self) -> tuple[str, dict[str, int]]:
        """The encoding and its options: for ``auto`` paths, or one-hot decisions where the space has no such."""
        given = self.options
        paths = {"keep": given.paths, "samples": DRAWN}
        if given.encoding != "auto":
            return given.encoding, paths if given.encoding == "path" else {}
        try:
            self.ctx.space.encode(self.ctx.space.sample(1), "path", **paths)
        except SpacecError as error:
            if error.diagnostics[0].code != TOO_LARGE:
                raise
            self.ctx.recorder.event("encoding", f"one-hot decisions: {error.diagnostics[0].headline}")
            return "onehot", {}
        return "path", paths
