"""Networks on disk: a folder with source, weights and a check, or one file of tensors. Written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from spacec.lower import errors
from spacec.lower.emit import design_source
from spacec.lower.helpers import Input
from spacec.lower.network import Network
from spacec.lower.standalone import measure

FORMAT = 1
"""Version of ``check.pt`` and of the files that :func:`save_checkpoint` writes."""

PART = ".part"
"""How the name of a file ends that is not whole yet; a run that resumes clears such files away."""

TOLERANCE = {"psnr": 0.01, "accuracy": 0.005}
"""How far a recomputed metric may be from the reported one (other machines add in another order)."""


KnownMetric = Literal["psnr", "accuracy"]
"""Metrics that an exported file can recompute on its own."""


@dataclass(frozen=True)
class Check:
    """Batches (a tensor each, or tensors by input name) with targets, and the metric they are judged by.

    ``value`` is the reported mean over samples; ``None`` computes it.
    """

    metric: KnownMetric
    inputs: tuple[Tensor | Mapping[str, Input], ...]
    targets: tuple[Tensor, ...]
    value: float | None = None


def save_package(folder: Path, network: Network, check: Check | None = None, facts: Iterable[str] = ()) -> None:
    """Write ``weights.pt``, ``check.pt`` and ``network.py`` into ``folder``, each whole or not at all.

    Raises :class:`SpacecError` (E0909) where the reported value is not what the network gives, and
    :class:`OSError` where the disk refuses.
    """
    source = design_source(network.design, facts)
    weights = _on_cpu(network.state_dict())
    stored = None if check is None else _check_content(network, check)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "weights.pt", lambda path: torch.save(weights, path))
    if stored is not None:
        write_atomically(folder / "check.pt", lambda path: torch.save(stored, path))
    write_atomically(folder / "network.py", lambda path: path.write_text(source, encoding="utf-8"))


def save_checkpoint(path: Path, network: Network, facts: Iterable[str] = ()) -> None:
    """One file that ``torch.load(path, weights_only=True)`` reads: source, weights and architecture."""
    content = {
        "format": FORMAT,
        "space": network.design.space,
        "architecture": network.design.architecture.text(),
        "source": design_source(network.design, facts),
        "state_dict": _on_cpu(network.state_dict()),
    }
    write_atomically(path, lambda temporary: torch.save(content, temporary))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a new file beside ``path``, then put it in place; nothing is left behind if it fails."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def _check_content(network: Network, check: Check) -> dict[str, Any]:
    inputs = [_batch(b) for b in check.inputs]
    targets = [t.detach().cpu() for t in check.targets]
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    training = network.training
    found = measure(
        network,
        check.metric,
        [{n: moved(t, device) for n, t in b.items()} if isinstance(b, dict) else b.to(device) for b in inputs],
        [t.to(device) for t in targets],
    )
    network.train(training)
    tolerance = TOLERANCE[check.metric]
    if check.value is not None and not abs(found - check.value) <= tolerance:
        raise errors.lowering_error(
            errors.CHECK, f"the network's {check.metric} on the stored tensors is {found:.4f}, not {check.value:.4f}"
        )
    value = found if check.value is None else check.value
    return {
        "format": FORMAT,
        "metric": check.metric,
        "value": value,
        "tolerance": tolerance,
        "inputs": inputs,
        "targets": targets,
    }


def _batch(batch: Tensor | Mapping[str, Input]) -> Tensor | dict[str, Input]:
    if isinstance(batch, Tensor):
        return batch.detach().cpu()
    return {name: moved(value, torch.device("cpu")) for name, value in batch.items()}


def moved(value: Input, device: torch.device) -> Input:
    """An input without its graph of gradients on another device; a graph as a plain tuple."""
    if isinstance(value, Tensor):
        return value.detach().to(device)
    return tuple(None if part is None else part.detach().to(device) for part in value)
