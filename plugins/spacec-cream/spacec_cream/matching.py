"""The matching network: how well a path of the board would teach the path that is drawn.

With D(x, y) the differences between the probabilities that the student x gives now and those stored with the item y, on
the item's n samples, laid end to end (of a task without classes: between predictions)::

    rho(x, y) = phi . D(x, y) + phi_0        one linear layer, n * classes + 1 numbers
    teacher   = argmax over the board of rho,    mu = sigmoid(rho(x, teacher))

It learns by looking ahead (:mod:`spacec_cream.ahead`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spacec.search.context import SearchContext
from spacec.search.seeds import stable_seed
from spacec.search.space_like import Mask
from spacec.search.task import Batch, Task

MOMENTUM = 0.9
"""Of the weights' optimiser in the released code, which steps the matching network as well."""


class Matching(nn.Module):
    """A linear layer of ``size`` differences and its optimiser, SGD with Nesterov momentum and no decay.

    Its first weights are torch's own, from (``seed``, "matching"); device and type are those of ``like``.
    """

    def __init__(self, size: int, seed: int, like: Tensor) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(stable_seed(seed, "matching"))
            self.layer = nn.Linear(size, 1).to(like.device, like.dtype)
        self.optimizer = torch.optim.SGD(self.layer.parameters(), 0.0, momentum=MOMENTUM, nesterov=True)

    def forward(self, differences: Sequence[Tensor]) -> Tensor:
        """rho of each row of differences ``(size,)``: ``(rows,)``, with gradient to the layer."""
        found: Tensor = self.layer(torch.stack(tuple(differences))).squeeze(1)
        return found

    def step(self, gradient: Sequence[Tensor], rate: float, clip: float) -> None:
        """One step of ``rate`` against a gradient, of norm at most ``clip`` where that is above 0."""
        for parameter, g in zip(self.layer.parameters(), gradient, strict=True):
            parameter.grad = g
        if clip > 0:
            nn.utils.clip_grad_norm_(self.parameters(), clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """Weights and moments, for a checkpoint."""
        return {"layer": self.layer.state_dict(), "optimizer": self.optimizer.state_dict()}

    @staticmethod
    def read(state: Mapping[str, Any], device: torch.device) -> Matching:
        """What :meth:`state` gave."""
        weight = state["layer"]["weight"]
        found = Matching(weight.shape[1], 0, weight.to(device))
        found.layer.load_state_dict(state["layer"])
        found.optimizer.load_state_dict(state["optimizer"])
        return found


def compared(task: Task, prediction: Tensor, samples: int) -> Tensor:
    """What is compared of a prediction: its first ``samples`` rows ``(samples, classes)``.

    As probabilities where the task has several classes (:meth:`Task.distillation`), else as they are. Classes are axis
    1; further axes (pixels, steps) are averaged over, and rows that are not there are zero.
    """
    found = prediction.detach()[:samples]
    found = found.unsqueeze(1) if found.dim() == 1 else found
    found = found.softmax(1) if task.label_smoothing and found.shape[1] > 1 else found
    found = found.flatten(2).mean(2) if found.dim() > 2 else found
    missing = samples - found.shape[0]
    return torch.cat([found, found.new_zeros(missing, found.shape[1])]) if missing > 0 else found


def first_samples(batch: Batch, start: int, stop: int) -> Batch:
    """Samples ``start`` to ``stop``; a batch with graphs is taken whole, since its rows are those of all graphs."""
    if any(isinstance(x, tuple) for x in batch.inputs.values()):
        return batch
    return batch.slice(start, stop)


def student_outputs(ctx: SearchContext, mask: Mask, stored: Sequence[Mapping[str, Any]], samples: int) -> list[Tensor]:
    """:func:`compared` of the predictions under ``mask`` on each of several stored inputs; running statistics are kept.

    Inputs of one shape are run together, as one batch.
    """
    with torch.no_grad(), ctx.statistics_kept():
        if not _stackable(stored):
            return [compared(ctx.task, ctx.forward(Batch(inputs, {}), mask).prediction, samples) for inputs in stored]
        joined = {name: torch.cat([inputs[name] for inputs in stored]) for name in stored[0]}
        prediction = ctx.forward(Batch(joined, {}), mask).prediction
    rows = [next(iter(inputs.values())).shape[0] for inputs in stored]
    return [compared(ctx.task, part, samples) for part in torch.split(prediction, rows)]


def _stackable(stored: Sequence[Mapping[str, Any]]) -> bool:
    shapes = [
        {name: tuple(x.shape[1:]) if isinstance(x, Tensor) else None for name, x in inputs.items()} for inputs in stored
    ]
    return None not in shapes[0].values() and all(shape == shapes[0] for shape in shapes)
