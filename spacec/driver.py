"""Wires the stages: text in, a :class:`Space` out, and from it supernets, networks and facts.

Guarantees: nothing here imports torch until a network is asked for; no state outlives a
:class:`Session`; bad input ends in one :class:`SpacecError` with every diagnostic of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacec.diagnostics.model import Diagnostic, Sink, SpacecError
from spacec.hooks import Registry, installed
from spacec.hooks.local import Source, with_local_ops
from spacec.ir.dims import Poly, evaluate
from spacec.ir.flat import FlatGraph
from spacec.ir.flatten import flatten
from spacec.ir.graph import SpaceGraph
from spacec.ir.ops import AttrValue, OpTable, Precondition
from spacec.ir.types import TensorType
from spacec.source import SourceFile
from spacec.space import algebra
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision, DecisionTable, Slot
from spacec.syntax.parse import parse

if TYPE_CHECKING:
    import torch
    from torch import nn

    from spacec.lower.masks import Mask
    from spacec.lower.network import Network
    from spacec.lower.supernet import Supernet
