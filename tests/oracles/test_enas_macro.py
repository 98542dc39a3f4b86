"""The macro space of ENAS (Pham et al., ICML 2018, section 2.3) and AMBER's: counts, and weights by hand."""

from __future__ import annotations

import pytest

import spacec
from tests.grammars.record import GRAMMARS


def test_counts() -> None:
    """6^L ways to operate and 2^(L (L - 1) / 2) ways to skip: 1.6e29 at 12 layers."""
    space = spacec.load(GRAMMARS / "enas_macro.space")
    assert space.count() == 6**12 * 2**66
    assert f"{space.count():.1e}" == "1.6e+29"
    assert spacec.load(GRAMMARS / "amber.space").count() == 7**12 * 2**66


def conv_bn(kernel: int, c_in: int, c_out: int) -> int:
    return kernel**2 * c_in * c_out + 2 * c_out


def separable(kernel: int, c: int) -> int:
    return 2 * (kernel**2 * c + c * c + 2 * c)


def test_weights_by_hand() -> None:
    """Every skip widens the projection of its layer by C channels; each reduction maps every state so far."""
    c, layers = 36, 12
    space = spacec.load(GRAMMARS / "enas_macro.space")
    ops = [conv_bn(3, c, c), conv_bn(5, c, c), separable(3, c), separable(5, c), 0, 0]
    for arch in space.sample(50, seed=7):
        total = conv_bn(3, 3, c) + 10 * (c + 1)
        for i in range(1, layers + 1):
            op = arch.values[f"net.op[{i - 1}]"]
            skips = arch.values[f"net.pick[{i - 2}]"] if i > 1 else ()
            assert isinstance(op, int)
            assert isinstance(skips, tuple)
            total += ops[op] + conv_bn(1, c * (1 + len(skips)), c)
            if i in (layers // 3, 2 * layers // 3):
                total += (i + 1) * conv_bn(1, c, c)
        assert space.params(arch) == total


@pytest.mark.parametrize("name", ["enas_macro", "amber"])
def test_every_mask_works(name: str) -> None:
    """Free skips are slots of a concatenation, which any mixture has a meaning for."""
    assert not any(slot.sized for slot in spacec.load(GRAMMARS / f"{name}.space").slots)
