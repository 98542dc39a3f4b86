"""Laws that several primitives share (:class:`spacec.ir.ops.OpLaws`).

A law holds for every state, so a batch norm keeps no zero, affine or not: its running mean need not be zero.
"""

from __future__ import annotations

from spacec.ir.ops import OpLaws

BY_CHANNEL = OpLaws(channels="channelwise")
"""Each channel by itself, or all alike."""

KEEPS_ZERO = OpLaws(keeps_zero="all", channels="channelwise")
"""The same, and of zeros it gives zeros."""

LINEAR = OpLaws(keeps_zero="all", unless=("bias",), channels="mixing")
"""A linear map of the channels, and a bias."""
