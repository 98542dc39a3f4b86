"""Imported by the process that those of a matrix are forked from: what torch loads at its first step is then there."""

import torch

import spacec
from spacec.search.gradient import GradientStrategy
from spacec.testing import conformance


class Warm(GradientStrategy):
    """Any strategy will do."""

    name = "warm"


torch.set_num_threads(1)
conformance.check(spacec.loads("space warm\ninput x: [2]\noutput y: [2]\nnet = linear(2) | linear(2) >> relu"), Warm)
