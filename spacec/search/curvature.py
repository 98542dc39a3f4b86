"""The top eigenvalue of the Hessian of a scalar loss, by Lanczos' iteration on Hessian-vector products.

With g(a) the gradient of the loss L at a, all tensors laid end to end::

    H v = d<g(a), v>/da                                   exact: the gradient is differentiated once more
    H v ~ [g(a + e v) - g(a - e v)] / 2e,  ||v|| = 1      where a kernel has no second derivative

Lanczos (Golub & Van Loan, *Matrix Computations*, section 10.1) with full reorthogonalisation starts from a normal
vector of its own generator. After m products it knows H on the Krylov space of dimension m: the Ritz value t is at
distance at most ``residual`` = ||H y - t y|| from an eigenvalue of H. From a random start that is, with probability
one, the eigenvalue asked for as soon as m reaches the number of distinct eigenvalues; before, t lies within the
extreme eigenvalues of H.

Of the ops of the language ``hardsigmoid`` lacks a second derivative in torch (so the spaces mnasnet, ofa and cream),
and fused attention, which is avoided: its plain form runs here. In modules of a user's own, so do cuDNN's recurrent
layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from spacec.search.evaluate import statistics_kept

Which = Literal["largest", "magnitude"]
"""The largest eigenvalue (RobustDARTS' dominant one), or the one largest in magnitude, with its sign."""

Product = Callable[[Tensor], Tensor]
"""A symmetric matrix times a vector ``(n,)``, both float64 on the CPU."""

PRODUCTS = 64
"""Most Hessian-vector products, if a caller says nothing: every eigenvalue of NAS-Bench-201's 30 logits."""


@dataclass(frozen=True)
class Eigenvalue:
    """``residual`` bounds the distance of ``value`` from an eigenvalue; ``exact`` says how products were made."""

    value: float
    residual: float
    products: int
    exact: bool = True


def top_eigenvalue(
    loss: Callable[[], Tensor],
    tensors: Sequence[Tensor],
    which: Which = "largest",
    *,
    tolerance: float = 1e-4,
    products: int = PRODUCTS,
    module: nn.Module | None = None,
    seed: int = 0,
) -> Eigenvalue:
    """The top eigenvalue of the Hessian of ``loss()`` in ``tensors``, leaves that require grad.

    ``loss`` runs forward and returns a scalar; it is called once, or twice for every product where the second
    derivative of a kernel is missing, and sees the same random numbers each time. The iteration ends when the residual
    is at most ``tolerance`` times the value, and after ``products`` products at the latest: the error is at most the
    residual and the rounding of a product, and where the eigenvalue is apart from the next by ``gap`` residual^2 / gap.
    The result is the same every time; torch's random states, ``.grad`` and the buffers of ``module`` are afterwards as
    they were before.
    """
    if not tensors:
        return Eigenvalue(0.0, 0.0, 0)
    devices = sorted({t.device.index or 0 for t in tensors if t.is_cuda})
    with _untouched(module, devices), torch.enable_grad():
        again = _repeatable(loss, devices)
        try:
            value = lanczos(exact_product(again, tensors), _count(tensors), which, tolerance, products, seed)
        except RuntimeError as error:
            if not _lacks_second_derivative(error):
                raise
            approximate = finite_product(again, tensors)
            value = lanczos(approximate, _count(tensors), which, tolerance, products, seed)
            return Eigenvalue(value.value, value.residual, value.products, exact=False)
    return value


def lanczos(
    product: Product, n: int, which: Which = "largest", tolerance: float = 1e-4, products: int = PRODUCTS, seed: int = 0
) -> Eigenvalue:
    """The top eigenvalue of a symmetric matrix ``(n, n)`` that is known by its products."""
    q = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    basis = [q / q.norm()]
    diagonal: list[float] = []
    off: list[float] = []
    found = Eigenvalue(0.0, 0.0, 0)
    for m in range(1, min(n, products) + 1):
        w = product(basis[-1])
        diagonal.append(float(basis[-1] @ w))
        q = torch.stack(basis)
        for _ in range(2):  # once more, since the first pass leaves the rounding of large components
            w = w - q.T @ (q @ w)
        beta = float(w.norm())
        value, last = _ritz(diagonal, off, which)
        found = Eigenvalue(value, beta * abs(last), m)
        scale = max(map(abs, [*diagonal, *off]))
        if found.residual <= tolerance * abs(value) or beta <= 1e-14 * scale:
            break
        basis.append(w / beta)
        off.append(beta)
    return found


def exact_product(loss: Callable[[], Tensor], tensors: Sequence[Tensor]) -> Product:
    """Products with the Hessian by differentiating the gradient; the graph of both stays while it is used."""
    value = loss()
    leaves = list(tensors)
    gradient: Sequence[Tensor | None] = ()
    if value.requires_grad:
        gradient = torch.autograd.grad(value, leaves, create_graph=True, allow_unused=True)
    parts = [(g, i) for i, g in enumerate(gradient) if g is not None and g.requires_grad]

    def product(v: Tensor) -> Tensor:
        vectors = _unflatten(v, leaves)
        if not parts:
            return torch.zeros_like(v)
        outputs, weights = [g for g, _ in parts], [vectors[i] for _, i in parts]
        return _flatten(torch.autograd.grad(outputs, leaves, weights, retain_graph=True, allow_unused=True), leaves)

    return product


def finite_product(loss: Callable[[], Tensor], tensors: Sequence[Tensor]) -> Product:
    """Products by central differences of the gradient, with a step of eps^(1/3): error O(eps^(2/3))."""
    leaves = list(tensors)
    step = float(max(torch.finfo(t.dtype).eps for t in leaves) ** (1 / 3))

    def gradient(moves: Sequence[Tensor], sign: float) -> Tensor:
        before = [t.detach().clone() for t in leaves]
        try:
            with torch.no_grad():
                for t, move in zip(leaves, moves, strict=True):
                    t.add_(move, alpha=sign * step)
            return _flatten(torch.autograd.grad(loss(), leaves, allow_unused=True), leaves)
        finally:
            with torch.no_grad():
                for t, value in zip(leaves, before, strict=True):
                    t.copy_(value)

    def product(v: Tensor) -> Tensor:
        moves = _unflatten(v, leaves)
        return (gradient(moves, 1.0) - gradient(moves, -1.0)) / (2 * step)

    return product


def _ritz(diagonal: Sequence[float], off: Sequence[float], which: Which) -> tuple[float, float]:
    """The wanted eigenvalue of the tridiagonal matrix, and the last entry of its vector."""
    t = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    if off:
        beside = torch.tensor(off, dtype=torch.float64)
        t = t + torch.diag(beside, 1) + torch.diag(beside, -1)
    values, vectors = torch.linalg.eigh(t)
    at = int(values.argmax() if which == "largest" else values.abs().argmax())
    return float(values[at]), float(vectors[-1, at])


def _count(tensors: Sequence[Tensor]) -> int:
    return sum(t.numel() for t in tensors)


def _flatten(values: Sequence[Tensor | None], leaves: Sequence[Tensor]) -> Tensor:
    """End to end; zeros where nothing depends on a leaf."""
    parts = [torch.zeros_like(t) if v is None else v for v, t in zip(values, leaves, strict=True)]
    return torch.cat([p.detach().reshape(-1).cpu().double() for p in parts])


def _unflatten(v: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    pieces = torch.split(v, [t.numel() for t in leaves])
    return [p.reshape(t.shape).to(t.device, t.dtype) for p, t in zip(pieces, leaves, strict=True)]


def _repeatable(loss: Callable[[], Tensor], devices: Sequence[int]) -> Callable[[], Tensor]:
    """``loss`` with the same random numbers at every call, and with attention in its twice differentiable form."""
    state, states = torch.get_rng_state(), [torch.cuda.get_rng_state(d) for d in devices]

    def again() -> Tensor:
        torch.set_rng_state(state)
        for device, there in zip(devices, states, strict=True):
            torch.cuda.set_rng_state(there, device)
        with sdpa_kernel([SDPBackend.MATH]):
            return loss()

    return again


@contextmanager
def _untouched(module: nn.Module | None, devices: Sequence[int]) -> Iterator[None]:
    """Random states and buffers put back after the body of a ``with``."""
    with torch.random.fork_rng(devices), nullcontext() if module is None else statistics_kept(module):
        yield


def _lacks_second_derivative(error: RuntimeError) -> bool:
    text = str(error)
    lacking = "derivative for" in text and "not implemented" in text
    return lacking or "Double backwards is not supported" in text or "once_differentiable" in text
