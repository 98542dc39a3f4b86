"""One step ahead: what the weight of a teacher does to the student's loss on other samples, as a gradient in phi.

First-order bilevel optimisation with one inner step, of rate xi::

    g        = dL_kd/dw,                     L_kd = -sum softmax(teacher) log softmax(student)
    w'(phi)  = w - xi mu(phi) g              the student's update
    dL_val(w'(phi))/dphi = -xi <dL_val/dw', g> dmu/dphi

mu weighs the loss; the student does not learn to change it, so what mu is computed from carries no gradient to w. Hence
g does not depend on phi, and the gradient is exact without a second derivative of the network, which some kernels lack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spacec.search.context import SearchContext
from spacec.search.space_like import Mask
from spacec.search.task import Batch


@dataclass(frozen=True)
class Student:
    """Who takes the step: the path ``mask``, taught by ``teacher`` on the batch ``train``, with ``rates`` by weight.

    ``first_tensor``: only the first weight that the path has moves with phi, as in the released code.
    """

    mask: Mask
    teacher: Mask
    train: Batch
    rates: Mapping[str, float]
    first_tensor: bool = False


@dataclass(frozen=True)
class Ahead:
    """``gradient``: of the loss after the step by each tensor of phi; ``student``: that of mu KD by name of a weight.

    ``distillation`` is KD before the step, ``loss`` that on other samples after it.
    """

    gradient: Sequence[Tensor]
    student: Mapping[str, Tensor]
    distillation: float
    loss: float


def look_ahead(
    ctx: SearchContext, student: Student, mu: Tensor, phi: Sequence[Tensor], held_out: Batch
) -> Ahead | None:
    """The module's last line, for ``mu`` (a scalar with gradient to ``phi``), judged on ``held_out``.

    ``None`` where the student has no weight that distillation reaches. The network runs in its present mode.
    """
    with torch.no_grad():
        taught = ctx.forward(student.train, student.teacher)
    loss = ctx.task.distillation(ctx.forward(student.train, student.mask), taught)
    weights = {name: w for name, w in ctx.supernet.named_parameters() if name in student.rates}
    gradients = _gradients(loss, weights)
    if not gradients:
        return None
    moving = {next(iter(gradients))} if student.first_tensor else gradients.keys()
    ahead = {
        name: weights[name].detach() - student.rates[name] * (mu if name in moving else mu.detach()) * g
        for name, g in gradients.items()
    }
    after = ctx.loss(ctx.forward(held_out, student.mask, weights=ahead), held_out, ctx.config.label_smoothing)
    found = torch.autograd.grad(after, list(phi))
    weighed = {name: mu.detach() * g for name, g in gradients.items()}
    return Ahead(found, weighed, float(loss.detach()), float(after.detach()))


def _gradients(loss: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the weights that the loss reaches."""
    if not loss.requires_grad:
        return {}
    found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return {name: g for name, g in zip(weights, found, strict=True) if g is not None}
