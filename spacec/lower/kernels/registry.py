"""Every implementation that there is beside the library's, in the order in which they are preferred unmeasured."""

from __future__ import annotations

from spacec.lower.kernels.conv_sites import CONVOLUTIONS
from spacec.lower.kernels.native.implementations import NATIVE
from spacec.lower.kernels.pool import POOLS
from spacec.lower.kernels.steady_norm import GENERATED, STEADY
from spacec.lower.kernels.table import Implementation

REWRITTEN: tuple[Implementation, ...] = (*CONVOLUTIONS, *POOLS, *STEADY)
"""Those that are calls of the library."""
IMPLEMENTATIONS: tuple[Implementation, ...] = (*NATIVE, *GENERATED, *REWRITTEN)
