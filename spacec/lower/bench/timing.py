"""Forms timed in turns, so that what the machine does besides slows all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from spacec.lower.bench.forms import Subject
from spacec.lower.bench.machine import seconds


@dataclass(frozen=True)
class Times:
    """Seconds of passes: ``first`` (with whatever it compiles), then one for each round."""

    first: float
    rounds: tuple[float, ...]


Told = Callable[[str, int, int], None]
"""Is told what was done: a subject's name, and how many passes of how many."""


def measure_times(subjects: Sequence[Subject], device: torch.device, rounds: int, told: Told) -> dict[str, Times]:
    """The passes of all subjects: a first one each, one to warm up, and ``rounds`` in turns.

    The order turns by one from round to round.
    """
    total, done = (2 + rounds) * len(subjects), 0
    first: dict[str, float] = {}
    found: dict[str, list[float]] = {s.name: [] for s in subjects}
    for subject in subjects:
        first[subject.name] = seconds(subject.step, device)
        subject.step()
        done += 2
        told(subject.name, done, total)
    for k in range(rounds):
        turn = k % len(subjects)
        for subject in (*subjects[turn:], *subjects[:turn]):
            found[subject.name].append(seconds(subject.step, device))
            done += 1
            told(subject.name, done, total)
    return {name: Times(first[name], tuple(times)) for name, times in found.items()}


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times as fast: the median over pairs of passes of one round."""
    return median(a / b for a, b in zip(slow, fast, strict=True))
