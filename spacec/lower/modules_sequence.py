"""Layers and functions of tokens and sequences. Imports torch only: exported networks carry copies of what they use.

Every sequence is ``[N, C, T]``; tokens are integers ``[N, T]``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacec.lower.modules import check_input


def check_tokens(name: str, x: Tensor, dims: tuple[object, ...], sizes: dict[str, int], vocabulary: int) -> None:
    """Raise :class:`ValueError` unless ``x`` is ``[N, *dims]`` whole numbers from 0 to ``vocabulary - 1``."""
    check_input(name, x, dims, sizes)
    if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        raise ValueError(
            f"input '{name}' must hold whole numbers (tokens), found {str(x.dtype).removeprefix('torch.')}"
        )
    low, high = (int(x.min()), int(x.max())) if x.numel() else (0, 0)
    if low < 0 or high >= vocabulary:
        raise ValueError(f"input '{name}' must hold tokens from 0 to {vocabulary - 1}, found {low} to {high}")


class TokenEmbedding(nn.Embedding):
    """A vector for each token: ``[N, *space]`` to ``[N, C, *space]``."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.long()).movedim(-1, 1)


class Positions(nn.Module):
    """Adds a learned vector for each position of a sequence."""

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, length))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] > self.weight.shape[1]:
            raise ValueError(f"a sequence of {x.shape[2]} is longer than its {self.weight.shape[1]} positions")
        return x + self.weight[:, : x.shape[2]]

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, length={self.weight.shape[1]}"


class ClassToken(nn.Module):
    """A learned token before the sequence: ``[N, C, T]`` to ``[N, C, T + 1]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.weight[None, :, None].expand(x.shape[0], -1, 1), x], 2)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}"


def sinusoids(x: Tensor) -> Tensor:
    """Adds sines (first half of the channels) and cosines of the position (Vaswani et al. 2017, section 3.5)."""
    half = x.shape[1] // 2
    rates = 10000.0 ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angles = rates[:, None] * torch.arange(x.shape[2], device=x.device, dtype=x.dtype)
    return x + torch.cat([angles.sin(), angles.cos()])


def by_heads(x: Tensor, heads: int) -> Tensor:
    """``[N, heads * D, T]`` as ``[N, heads, T, D]``."""
    return x.reshape(x.shape[0], heads, -1, x.shape[2]).transpose(2, 3)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, causal: bool) -> Tensor:
    """Scaled dot-product attention of ``[N, C, T]``, each group of channels on its own."""
    q, k, v = by_heads(query, heads), by_heads(key, heads), by_heads(value, heads)
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(2, 3).flatten(1, 2)


class GridAttention(nn.Module):
    """Attention over a grid with relative positions (Shaw et al. 2018; in two directions as AutoFormer, ICCV 2021).

    ``weight`` is ``[2 directions, 2 * distance + 2 places, D]`` for keys, ``values`` the same for values. Place 0 is
    that of the tokens before the grid; the others are differences of rows (columns) from ``-distance``.
    """

    def __init__(self, heads: int, side: int, distance: int, extra: int, key_width: int, value_width: int) -> None:
        super().__init__()
        self.heads, self.side, self.distance, self.extra = heads, side, distance, extra
        self.weight = nn.Parameter(torch.randn(2, 2 * distance + 2, key_width))
        self.values = nn.Parameter(0.02 * torch.randn(2, 2 * distance + 2, value_width))

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        q, k, v = by_heads(query, self.heads), by_heads(key, self.heads), by_heads(value, self.heads)
        rows, columns = self.places(q.device)
        scores = q @ k.transpose(2, 3) + torch.einsum(
            "nhqd,qkd->nhqk", q, self.weight[0, rows] + self.weight[1, columns]
        )
        shares = (scores * q.shape[3] ** -0.5).softmax(3)
        y = shares @ v + torch.einsum("nhqk,qkd->nhqd", shares, self.values[0, rows] + self.values[1, columns])
        joined: Tensor = y.transpose(2, 3).flatten(1, 2)
        return joined

    def places(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Place of each pair of positions along rows and along columns, ``[T, T]`` each."""
        index = torch.arange(self.side * self.side, device=device)
        found = []
        for at in (index // self.side, index % self.side):
            apart = (at[None, :] - at[:, None]).clamp(-self.distance, self.distance) + self.distance + 1
            found.append(F.pad(apart, (self.extra, 0, self.extra, 0)))
        return found[0], found[1]

    def extra_repr(self) -> str:
        return f"heads={self.heads}, side={self.side}, distance={self.distance}, extra={self.extra}"


def rest(x: Tensor, skipped: int) -> Tensor:
    """A sequence without its first positions."""
    return x[:, :, skipped:]


def times(x: Tensor, by: float, plus: float) -> Tensor:
    """``by * x + plus``."""
    return x * by + plus


def above(x: Tensor, threshold: float) -> Tensor:
    """1 where ``x > threshold``, else 0."""
    return (x > threshold).to(x.dtype)


class Penalty(nn.Module):
    """Passes ``y`` on; ``weight`` times the mean of ``amount`` is an auxiliary loss."""

    def __init__(self, name: str, weight: float = 1.0) -> None:
        super().__init__()
        self.name = name
        self.weight = weight

    def forward(self, y: Tensor, amount: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return y, {self.name: self.weight * amount.mean()}

    def extra_repr(self) -> str:
        return f"{self.name}, weight={self.weight}"


class VectorQuantiser(nn.Module):
    """The nearest of learned codes at every position, straight-through (van den Oord et al. 2017, equation 3).

    Its auxiliary loss ``vq``: the codes move to their inputs, the inputs commit to their codes.
    """

    def __init__(self, codes: int, channels: int, commitment: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(codes, channels))
        self.commitment = commitment

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        flat = x.movedim(1, -1)
        far = flat.square().sum(-1, keepdim=True) - 2 * flat @ self.weight.T + self.weight.square().sum(1)
        chosen = self.weight[far.argmin(-1)]
        loss = F.mse_loss(chosen, flat.detach()) + self.commitment * F.mse_loss(flat, chosen.detach())
        return (flat + (chosen - flat).detach()).movedim(-1, 1), {"vq": loss}

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]} codes, {self.weight.shape[1]}, commitment={self.commitment}"
