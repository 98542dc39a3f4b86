"""Elementary cellular automata: from the first states of an orbit, the next one (Burtsev, arXiv 2412.01417, task O-S).

Every sample has its own random rule of the stated radius and its own random start on a periodic lattice, so a
network has to infer the rule from the orbit. Nothing is downloaded: the data is its generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spacec.search.options import Options, option
from spacec.search.seeds import generator
from spacec.search.task import Batch, Metric, OutLike, Output, Port, Split, Splits, Task

SEP, PAD = 2, 3
VOCABULARY = 5
"""The two cell states, SEP, PAD, and one token that this task leaves unused (the paper's RULE)."""


@dataclass(frozen=True)
class EcaOptions(Options):
    cells: int = option(20, "cells of the periodic lattice", low=1)
    radius: int = option(2, "neighbours on each side that a rule reads", low=0, high=6)
    states: int = option(10, "states of the orbit that are given", low=1)
    ahead: int = option(1, "which later state is asked for: 1 is the next", low=1)
    samples: int = option(20_000, "samples of training, half of them for the architecture", low=4)
    held_out: int = option(1_000, "samples of the valid and of the test split, each", low=1)


class Eca(Task):
    """Tokens ``[B, T]``: the states, a SEP after each, then PAD where the asked state is to be read off.

    ``T = (states + 1) * (cells + 1)``; the output is ``[B, 5, T]``, of which the last ``cells + 1`` positions count.
    """

    name = "eca"
    help = "Predict the next state of a cellular automaton with an unknown rule."
    metrics = (
        Metric("bit_accuracy", "max", "share of the asked state's tokens that are found", bounds=(0.0, 1.0)),
        Metric("exact", "max", "share of samples whose asked state is found whole", bounds=(0.0, 1.0)),
    )
    Options = EcaOptions
    options: EcaOptions
    label_smoothing = True

    @property
    def length(self) -> int:
        """Tokens of one sample."""
        return (self.options.states + 1) * (self.options.cells + 1)

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (Port("symbols", (VOCABULARY, self.length), "tokens"),)

    @property
    def outputs(self) -> tuple[Port, ...]:
        return (Port("logits", (VOCABULARY, self.length)),)

    def header(self) -> dict[str, int | float | str]:
        return {"vocab": VOCABULARY}

    def splits(self, seed: int) -> Splits:
        o = self.options
        half = o.samples // 2
        weights, arch = EcaSplit(o, half, "weights", seed), EcaSplit(o, o.samples - half, "arch", seed)
        valid, test = EcaSplit(o, o.held_out, "valid", seed), EcaSplit(o, o.held_out, "test", seed)
        return Splits(weights, arch, test, EcaSplit(o, o.samples, "train", seed), valid)

    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, Tensor]:
        asked = self._asked(out)
        loss = torch.nn.functional.cross_entropy(asked, batch.target, label_smoothing=smoothing)
        return {"cross_entropy": loss}

    def measure(self, out: OutLike, batch: Batch) -> dict[str, Tensor]:
        found = self._asked(out).argmax(1) == batch.target
        return {"bit_accuracy": found.double().mean(1), "exact": found.all(1).double()}

    def distillation(self, student: OutLike, teacher: OutLike) -> Tensor:
        """At the positions of the asked state."""
        return super().distillation(Output(self._asked(student)), Output(self._asked(teacher)))

    def _asked(self, out: OutLike) -> Tensor:
        """Logits at the positions of the asked state, ``[B, 5, cells + 1]``."""
        return out.prediction[..., -(self.options.cells + 1) :]


class EcaSplit(Split):
    """Orbits with rules of their own, drawn once from the seed."""

    def __init__(self, options: EcaOptions, size: int, name: str, seed: int) -> None:
        rng = generator("eca", name, seed)
        rules = torch.randint(0, 2, (size, 2 ** (2 * options.radius + 1)), generator=rng)
        start = torch.randint(0, 2, (size, options.cells), generator=rng)
        path = orbit(rules, start, options.states + options.ahead, options.radius)
        separated = torch.cat((path, torch.full((*path.shape[:2], 1), SEP)), 2)
        given = separated[:, : options.states].flatten(1)
        blank = torch.full((size, options.cells + 1), PAD)
        self.x = torch.cat((given, blank), 1)
        self.y = separated[:, -1]

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, indices: Sequence[int], rng: torch.Generator, train: bool) -> Batch:
        chosen = torch.as_tensor(list(indices))
        return Batch({"symbols": self.x[chosen]}, {"state": self.y[chosen]})


def orbit(rules: Tensor, start: Tensor, states: int, radius: int) -> Tensor:
    """``[N, states, cells]``: each row of ``start`` ``[N, cells]`` and what follows under its rule ``[N, 2^(2r+1)]``.

    A rule's entry ``k`` is the next value of a cell whose neighbourhood, read from left to right as a binary
    number, is ``k`` (Wolfram's numbering).
    """
    path = [start]
    while len(path) < states:
        code = torch.zeros_like(start)
        for offset in range(-radius, radius + 1):
            code = 2 * code + path[-1].roll(-offset, 1)
        path.append(rules.gather(1, code))
    return torch.stack(path, 1)
