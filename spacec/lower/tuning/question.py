"""What a measured schedule depends on: the supernet, what it is given, the machine, and the versions of the code."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spacec.ir.flat import FlatOp
from spacec.lower.kernels.table import Implementation
from spacec.lower.layers import Layer
from spacec.lower.masks import Mask
from spacec.lower.processor import processor
from spacec.lower.schedule import FAST, LAUNCHES, VERSION, Goal
from spacec.lower.tuning.store import Question

if TYPE_CHECKING:
    from spacec.lower.supernet import Supernet


def question_of(
    net: Supernet, inputs: Sequence[Any], mask: Mask | None, goal: Goal, known: Sequence[Implementation]
) -> Question:
    """JSON-ready; equal questions have equal answers, as far as noise allows."""
    device = next(t for t in _tensors(inputs)).device
    told = {
        "version": VERSION,
        "space": net.blueprint.table.digest,
        "graph": _graph(net),
        "inputs": [f"{list(t.shape)} {t.dtype}" for t in _tensors(inputs)],
        "weights": sorted({str(p.dtype) for p in net.parameters()}),
        "mask": _digest(sorted((*name, list(run)) for name, run in net.running(mask).items())),
        "autocast": str(torch.get_autocast_dtype(device.type)) if torch.is_autocast_enabled(device.type) else "",
        "goal": goal,
        "passes": [FAST.passes, LAUNCHES.passes],
        "kernels": [[i.op, i.name, i.part or ""] for i in known],
        "place": place_of(device),
    }
    found: Question = json.loads(json.dumps(told))
    return found


def place_of(device: torch.device) -> dict[str, str | int]:
    """Where it is measured."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}, {processor()}",
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "spacec": _version(),
    }


def _version() -> str:
    try:
        return importlib.metadata.version("spacec")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _tensors(inputs: Sequence[Any]) -> list[Tensor]:
    parts = (p for x in inputs for p in (x if isinstance(x, tuple) else (x,)))
    return [p for p in parts if isinstance(p, Tensor)]


def _graph(net: Supernet) -> str:
    """A digest of every node of the plain graph: what it computes, and what it reads."""
    blueprint = net.blueprint
    lines = []
    for index, node in enumerate(blueprint.flat.nodes):
        if isinstance(node, FlatOp):
            found = blueprint.lowered[index]
            names = tuple(f"x{i}" for i in node.inputs)
            lines.append(f"{found.text()} {node.key} {names}" if isinstance(found, Layer) else found.text(names))
        elif index in blueprint.chooses:
            choice = blueprint.chooses[index]
            lines.append(f"{choice.slot} {choice.alternatives} {choice.bypass} {choice.edge}")
        else:
            lines.append(type(node).__name__)
    return _digest(lines)


def _digest(value: object) -> str:
    return blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()
