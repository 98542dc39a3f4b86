"""Handwritten digits, 1,797 of 8 x 8 pixels: the test part of the UCI set, as scikit-learn carries it."""

from __future__ import annotations

import torch

from spacec.search.tasks.classify import ImageClassification, Pool
from spacec.search.tasks.extras import require


class Digits(ImageClassification):
    """8 x 8 grey digits, ten classes."""

    name = "digits"
    help = "Classify 8x8 digits (scikit-learn)."
    classes = 10
    native = (1, 8, 8)

    def pool(self) -> Pool:
        datasets = require("sklearn.datasets", "scikit-learn", "task 'digits'")
        found = datasets.load_digits()
        x = torch.from_numpy(found.images).float()[:, None] / 16
        return Pool(x, torch.from_numpy(found.target).long())
