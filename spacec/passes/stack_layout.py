"""Where values stand in a graph whose layers were joined: as blocks of channels of its nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spacec.ir.dims import Dim
from spacec.ir.flat import FlatNode, FlatOp
from spacec.ir.ops import AttrValue
from spacec.ir.types import TensorType
from spacec.passes.shares import SHARE
from spacec.std.primitives import PRIMITIVE_TABLE

_CONCAT = PRIMITIVE_TABLE.ops["concat"]


@dataclass(frozen=True)
class Block:
    """``channels`` channels of ``node`` from ``first`` on."""

    node: int
    first: int
    channels: Dim

    @property
    def end(self) -> int:
        """The channel after its last; what has no number of channels stands alone and has no end."""
        return self.first + self.channels if isinstance(self.channels, int) else -1


@dataclass
class Layout:
    """A graph under construction; ``place`` says where the value of a node of the old graph stands in it."""

    nodes: list[FlatNode] = field(default_factory=list)
    place: dict[int, Block] = field(default_factory=dict)
    _read: dict[tuple[Block, ...], int] = field(default_factory=dict)

    def add(self, node: FlatNode) -> int:
        """The index of a node whose sources are in the new graph."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def keep(self, old: int, node: FlatNode) -> int:
        """Add ``node`` as the value of ``old``."""
        index = self.add(node)
        self.place[old] = Block(index, 0, node.type.channels)
        return index

    def keep_parts(self, olds: Sequence[int], node: FlatNode, widths: Sequence[Dim]) -> int:
        """Add ``node`` as the values of ``olds``, side by side."""
        index, first = self.add(node), 0
        for old, width in zip(olds, widths, strict=True):
            assert isinstance(width, int), "only blocks of known width are joined"
            self.place[old] = Block(index, first, width)
            first += width
        return index

    def node_of(self, old: int) -> int:
        """A node that is the value of ``old`` and no more."""
        return self.read((self.place[old],))

    def read(self, blocks: Sequence[Block]) -> int:
        """A node whose channels are ``blocks``, side by side."""
        runs = joined_runs(blocks)
        if runs not in self._read:
            parts = [self._share(run) for run in runs]
            self._read[runs] = parts[0] if len(parts) == 1 else self._concat(parts)
        return self._read[runs]

    def _share(self, run: Block) -> int:
        whole = self.nodes[run.node].type
        if run.first == 0 and run.channels == whole.channels:
            return run.node
        if (run,) not in self._read:
            type_ = TensorType(run.channels, whole.space, whole.kind)
            attrs: dict[str, AttrValue] = {"channels": run.channels, "first": run.first}
            self._read[run,] = self.add(FlatOp(SHARE, attrs, (run.node,), type_))
        return self._read[run,]

    def _concat(self, parts: Sequence[int]) -> int:
        types = tuple(self.nodes[p].type for p in parts)
        return self.add(FlatOp(_CONCAT, {}, tuple(parts), _CONCAT.rule({}, types).type))


def joined_runs(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The same channels in as few blocks as can be."""
    runs: list[Block] = []
    for block in blocks:
        if runs and runs[-1].node == block.node and runs[-1].end == block.first:
            runs[-1] = Block(block.node, runs[-1].first, block.end - runs[-1].first)
        else:
            runs.append(block)
    return tuple(runs)
