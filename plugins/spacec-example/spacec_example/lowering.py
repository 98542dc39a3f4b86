"""The op in torch: imported when a network is built."""

from __future__ import annotations

from torch import Tensor

from spacec.lower.layers import Call, Site


def shuffle(x: Tensor, groups: int) -> Tensor:
    """``[N, C, *space]`` with channel i of group g moved to place i·groups + g."""
    n, c, *space = x.shape
    return x.reshape(n, groups, c // groups, *space).transpose(1, 2).reshape(n, c, *space)


def channel_shuffle(site: Site) -> Call:
    return Call(shuffle, (site.integer("groups"),))
