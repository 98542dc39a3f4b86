"""SPOS: Guo, Zhang, Mu, Heng, Liu, Wei and Sun, Single Path One-Shot Neural Architecture Search with Uniform Sampling
(ECCV 2020).

The supernet A is trained by W* = argmin_W E_{a ~ U(A)} [L_train(N(a, W(a)))] (eq. 5, 7): each weight step runs one
architecture drawn uniformly. It is then searched by :mod:`spacec_oneshot.evolution`, each candidate rated after the
statistics of its norms were re-estimated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from spacec.search.options import option
from spacec_oneshot.base import OneShot, OneShotOptions

PAPER: Mapping[str, object] = {
    "epochs": 120, "batch_size": 1024, "lr": 0.5, "lr_min": 0.0, "schedule": "linear", "schedule_by": "step",
    "weight_decay": 4e-5, "clip": 0.0, "recalibrate": 200,
}  # fmt: skip
"""150,000 steps on ImageNet are 120 epochs."""


@dataclass(frozen=True)
class SposOptions(OneShotOptions):
    batches: int | None = option(40, "validation batches of a rating; none for all", low=1)


class Spos(OneShot):
    """See the module."""

    name = "spos"
    help = "a supernet of uniform single paths, searched by evolution"
    Options = SposOptions
    config: ClassVar[Mapping[str, object]] = PAPER
    tiny: ClassVar[Mapping[str, object]] = {
        "search_options": "population=3,generations=2,top=2,mutations=1,crossovers=1", "batches": 1,
    }  # fmt: skip
    options: SposOptions
