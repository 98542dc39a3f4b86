"""How commands write numbers: counts of any size, shares, and what JSON can hold."""

from __future__ import annotations

from typing import Any

WRITTEN = 4_000
"""Digits of a number that are written into JSON by default."""
SHOWN_DIGITS = 30
"""Digits of a count that are printed before it is rounded."""


def writable(facts: Any) -> Any:
    """The facts with numbers of over :data:`WRITTEN` digits rounded, since writing them out takes too long."""
    match facts:
        case dict():
            return {name: writable(value) for name, value in facts.items()}
        case list():
            return [writable(value) for value in facts]
        case int() if facts.bit_length() > WRITTEN * 3.3:
            return f"about {rounded(facts)}"
        case _:
            return facts


def counted(number: int | None) -> str:
    """A count in groups of three digits; a long one rounded."""
    if number is None:
        return "not counted (it would take too long)"
    return f"{number:,}" if number < 10**SHOWN_DIGITS else f"about {rounded(number)}"


def rounded(number: int) -> str:
    """Two places and a power of ten, without writing the number out."""
    exponent = int((number.bit_length() - 1) * 0.30102999) - 2
    lead = number // 10 ** (exponent - 1)  # one digit more than is shown
    while lead >= 10_000:
        lead, exponent = lead // 10, exponent + 1
    lead = (lead + 5) // 10
    return f"{lead / 100:.2f}e{exponent + 2}" if lead < 1000 else f"1.00e{exponent + 3}"


def share(part: int, whole: int) -> str:
    """``part`` of ``whole`` in per cent."""
    found = part * 10**6 // whole / 10**4
    return f"{found:.3g} %" if found >= 0.001 or part == 0 else "under 0.001 %"
