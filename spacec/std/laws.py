"""Laws that several primitives share (:class:`spacec.ir.ops.OpLaws`).

A law holds for every state, so a batch norm keeps no zero, affine or not: its running mean need not be zero.
"""

from __future__ import annotations

from spacec.ir.ops import OpLaws

BY_CHANNEL = OpLaws(channels="channelwise", repeatable=True)
"""Each channel by itself, or all alike."""

KEEPS_ZERO = OpLaws(keeps_zero="all", channels="channelwise")
"""The same, and of zeros it gives zeros."""

RESAMPLES = OpLaws(keeps_zero="all", channels="channelwise", linear=True)
"""The same, and it is linear."""

LINEAR = OpLaws(keeps_zero="all", unless=("bias",), channels="mixing", linear=True, repeatable=True)
"""A linear map of the channels, and a bias."""
