"""Types and costs of the ops, without torch: what ``spacec check`` imports."""

from __future__ import annotations

from collections.abc import Mapping

from spacec.hooks import OpResult, RuleError
from spacec.ir.ops import AttrValue
from spacec.ir.types import TensorType


def channel_shuffle(attrs: Mapping[str, AttrValue], inputs: tuple[TensorType, ...]) -> OpResult:
    """The input's type; no weights, no multiplies."""
    (x,) = inputs
    groups = attrs["groups"]
    if not isinstance(groups, int) or groups < 1:
        raise RuleError(f"`groups` must be a positive integer, not {groups!r}")
    if not isinstance(x.channels, int) or x.channels % groups:
        raise RuleError(f"{x.channels} channels do not divide into {groups} groups")
    return OpResult(x)
