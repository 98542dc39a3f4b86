"""Breast cancer (Wisconsin, diagnostic): 569 tumours by 30 measured features, as scikit-learn carries them."""

from __future__ import annotations

import torch
from torch import Tensor

from spacec.search.task import Batch, Metric, OutLike, Port
from spacec.search.tasks.classify import Classification, Pool, standardise
from spacec.search.tasks.extras import require


class BreastCancer(Classification):
    """One logit for benign; every feature standardised by the training samples."""

    name = "breast-cancer"
    help = "Classify tumours by 30 features (scikit-learn)."
    classes = 2
    label_smoothing = False
    metrics = (
        Metric("accuracy", "max", "share of samples whose class is found", bounds=(0.0, 1.0)),
        Metric("log_loss", "min", "mean negative log likelihood, in nats"),
    )

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (Port("row", (30,)),)

    @property
    def outputs(self) -> tuple[Port, ...]:
        return (Port("y", (1,)),)

    def header(self) -> dict[str, int | float | str]:
        return {"features": 30}

    def pool(self) -> Pool:
        datasets = require("sklearn.datasets", "scikit-learn", "task 'breast-cancer'")
        x, y = datasets.load_breast_cancer(return_X_y=True)
        return Pool(torch.from_numpy(x).float(), torch.from_numpy(y).long())

    def prepare(self, pool: Pool, fitted_on: Tensor) -> Pool:
        return Pool(standardise(pool.x, fitted_on, dims=(0,)), pool.y)

    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, Tensor]:
        return {"log_loss": _log_loss(out, batch).mean()}

    def distillation(self, student: OutLike, teacher: OutLike) -> Tensor:
        """The log loss against the teacher's probability of benign."""
        target = teacher.prediction.detach().sigmoid()
        return torch.nn.functional.binary_cross_entropy_with_logits(student.prediction, target)

    def measure(self, out: OutLike, batch: Batch) -> dict[str, Tensor]:
        found = (out.prediction[:, 0] > 0).long() == batch.target
        return {"accuracy": found.double(), "log_loss": _log_loss(out, batch).double()}


def _log_loss(out: OutLike, batch: Batch) -> Tensor:
    y = batch.target.to(out.prediction.dtype)
    return torch.nn.functional.binary_cross_entropy_with_logits(out.prediction[:, 0], y, reduction="none")
