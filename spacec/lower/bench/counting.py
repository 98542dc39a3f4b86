"""Calls that a pass makes of the framework, counted where torch dispatches them.

A call is one op that torch's dispatcher hands to a kernel: after composite functions have been taken apart and after
autograd, so the ops of the backward pass count too, and the views that launch nothing. An op of our own, or of a
library, is one call however it computes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

MULTIPLIES = ("conv", "_conv", "mkldnn_conv", "cudnn_conv", "thnn_conv", "depthwise", "separable")
"""Begin the names of convolutions, our own generated ones and their backward passes among them."""
PRODUCTS = frozenset({"mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "linear", "linear_backward"})
ATTENTION = "scaled_dot_product"


@dataclass(frozen=True)
class Calls:
    """``all`` calls, those of them that are convolutions or matrix products, and all by op."""

    all: int
    products: int
    by_op: dict[str, int] = field(default_factory=dict)

    def describe(self) -> dict[str, int]:
        return {"all": self.all, "products": self.products}


def count_calls(run: Callable[[], Tensor]) -> tuple[Calls, Calls]:
    """The calls of ``run``, which returns a scalar, and those of its backward pass."""
    counter = _Counting()
    with counter:
        loss = run()
    forward, counter.found = counter.found, Counter()
    with counter:
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
    return _calls(forward), _calls(counter.found)


def is_product(name: str) -> bool:
    """Whether an op, ``namespace::name``, is a convolution or a matrix product."""
    own = name.partition("::")[2]
    return own.startswith(MULTIPLIES) or own in PRODUCTS or ATTENTION in own


def _calls(found: Counter[str]) -> Calls:
    products = sum(n for name, n in found.items() if is_product(name))
    return Calls(found.total(), products, dict(sorted(found.items())))


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not type its modes
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found[func._schema.name] += 1
        return func(*args, **(kwargs or {}))
