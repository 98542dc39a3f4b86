"""A DARTS supernet written by hand, from the paper: what the plain form is compared with.

Liu, Simonyan & Yang (ICLR 2019), section 2 and appendix A: a cell has two inputs and four nodes; every edge computes
``sum_o softmax(alpha)_o o(x)`` over eight operations (eq. 2), a node is the sum of its edges, the cell's output the
concatenation of its nodes. Written as such code is written by hand: a module for each operation, a loop over the
operations of an edge, a loop over the edges of a node. The order of the operations is that of the slots of
``grammars/darts.space``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NODES = 4


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, affine=False)


class Zero(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return 0.0 * x[:, :, :: self.stride, :: self.stride]


class FactorizedReduce(nn.Module):
    """Two 1x1 convolutions of stride 2, the second on the map moved by one position."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.second = nn.Conv2d(c_in, c_out - c_out // 2, 1, stride=2, bias=False)
        self.norm = norm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return self.norm(torch.cat([self.first(x), self.second(x[:, :, 1:, 1:])], 1))


def pool(module: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(module, norm(channels))


def relu_conv_norm(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False), norm(c_out))


def depthwise_separable(channels: int, kernel: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    pad = dilation * (kernel - 1) // 2
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, pad, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        norm(channels),
    ]


def operations(channels: int, stride: int) -> list[nn.Module]:
    """The eight operations of an edge."""
    skip = nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    separable = [
        nn.Sequential(*depthwise_separable(channels, k, stride), *depthwise_separable(channels, k, 1)) for k in (3, 5)
    ]
    dilated = [nn.Sequential(*depthwise_separable(channels, k, stride, dilation=2)) for k in (3, 5)]
    return [
        Zero(stride),
        pool(nn.MaxPool2d(3, stride, 1), channels),
        pool(nn.AvgPool2d(3, stride, 1, count_include_pad=False), channels),
        skip,
        *separable,
        *dilated,
    ]


class MixedOp(nn.Module):
    """Equation 2."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.ops = nn.ModuleList(operations(channels, stride))

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        total = weights[0] * self.ops[0](x)
        for w, op in zip(weights[1:], self.ops[1:], strict=True):
            total = total + w * op(x)
        return total


class Cell(nn.Module):
    def __init__(self, c_before: int, c_last: int, channels: int, reduces: bool, reduced: bool) -> None:
        super().__init__()
        self.first = FactorizedReduce(c_before, channels) if reduced else relu_conv_norm(c_before, channels)
        self.second = relu_conv_norm(c_last, channels)
        self.edges = nn.ModuleList(
            MixedOp(channels, 2 if reduces and source < 2 else 1) for node in range(NODES) for source in range(2 + node)
        )

    def forward(self, before: Tensor, last: Tensor, weights: Sequence[Tensor]) -> Tensor:
        states = [self.first(before), self.second(last)]
        edge = 0
        for _ in range(NODES):
            total = self.edges[edge](states[0], weights[edge])
            for k in range(1, len(states)):
                total = total + self.edges[edge + k](states[k], weights[edge + k])
            edge += len(states)
            states.append(total)
        return torch.cat(states[2:], 1)


class Supernet(nn.Module):
    """``forward(x, normal, reduce)``: 14 vectors ``(8,)`` of weights for each kind of cell."""

    def __init__(self, channels: int = 16, layers: int = 8, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * channels, 3, padding=1, bias=False), nn.BatchNorm2d(3 * channels))
        before = last = 3 * channels
        self.cells = nn.ModuleList()
        self.reduces = [i in (layers // 3, 2 * layers // 3) for i in range(layers)]
        reduced = False
        for reduces in self.reduces:
            channels = 2 * channels if reduces else channels
            self.cells.append(Cell(before, last, channels, reduces, reduced))
            before, last, reduced = last, NODES * channels, reduces
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: Tensor, normal: Sequence[Tensor], reduce: Sequence[Tensor]) -> Tensor:
        before = last = self.stem(x)
        for reduces, cell in zip(self.reduces, self.cells, strict=True):
            before, last = last, cell(before, last, reduce if reduces else normal)
        return self.classifier(last.mean((2, 3)))


def weights_of(mask: Mapping[str, Tensor], cell: str) -> list[Tensor]:
    """The vectors of a mask of ``grammars/darts.space`` for one kind of cell, in the order of the edges."""
    return [vector for slot, vector in mask.items() if slot.startswith(f"{cell}.")]


def copy_weights(source: nn.Module, target: Supernet) -> None:
    """Give the weights and statistics of the compiled supernet to this one: both make their layers in one order."""
    theirs, own = list(source.state_dict().values()), list(target.state_dict().values())
    if [t.shape for t in theirs] != [t.shape for t in own]:
        raise ValueError("the two supernets have other layers")
    with torch.no_grad():
        for tensor, value in zip(own, theirs, strict=True):
            tensor.copy_(value)
