"""How far a student's prediction is from its teacher's."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from spacec.search.data import OutLike


def distillation(student: OutLike, teacher: OutLike) -> Tensor:
    """Cross entropy against the softmax of the teacher's (detached) prediction, mean over all but the class axis.

    Hinton et al. (2015) at temperature 1; classes are axis 1. A scalar.
    """
    target = teacher.prediction.detach().softmax(1)
    return -(target * F.log_softmax(student.prediction, 1)).sum(1).mean()
