"""Number literals: ``5``, ``0.001``, ``1e-3``, ``600M``, ``1.5G``, ``30ms``."""

from __future__ import annotations

import math
import re

SCALES = {"K": 3, "M": 6, "G": 9}
UNITS = ("us", "ms", "s")

_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,9}))?([A-Za-z]*)")
_LONGEST = 200


def read_number(text: str) -> tuple[int | float, str] | None:
    """Value and unit of a literal, ``None`` if it is none.

    K, M and G scale by 10^3, 10^6 and 10^9, exactly: a scaled number without a fraction is an ``int``.
    A number beyond the range of floats is none.
    """
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    whole, fraction, exponent, suffix = match[1], match[2] or "", int(match[3] or 0), match[4]
    scale = SCALES.get(suffix, 0)
    if suffix and not scale and suffix not in UNITS:
        return None
    unit = "" if scale else suffix
    if match[2] is None and match[3] is None:
        return int(whole) * 10**scale, unit
    value = float(f"{whole}.{fraction or 0}e{exponent + scale}")
    if not math.isfinite(value):
        return None
    digits, shift = int(whole + fraction), exponent + scale - len(fraction)
    if scale and -_LONGEST < shift < _LONGEST:
        exact, rest = (digits * 10**shift, 0) if shift >= 0 else divmod(digits, 10**-shift)
        if rest == 0:
            return exact, unit
    return value, unit
