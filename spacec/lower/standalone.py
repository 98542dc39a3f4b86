"""What an exported file does when it is run. It carries copies of this: only torch and the standard library here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spacec.lower.metrics import METRICS


def summary(model: nn.Module) -> str:
    """Layers with their number of weights, and the total."""
    lines = []
    for name, module in model.named_modules():
        if name and not any(True for _ in module.children()) and type(module) is not nn.Module:
            weights = sum(p.numel() for p in module.parameters(recurse=False))
            lines.append(f"{name:<48} {type(module).__name__:<16} {weights:>12,}")
    total = sum(p.numel() for p in model.parameters())
    lines.append(f"{'total':<48} {'':<16} {total:>12,}")
    if frozen := sum(p.numel() for p in model.parameters() if not p.requires_grad):
        lines.append(f"{'not trained':<48} {'':<16} {frozen:>12,}")
    return "\n".join(lines)


def measure(model: nn.Module, metric: str, inputs: list[Any], targets: list[Tensor]) -> float:
    """Mean over all samples of ``metric``; a batch is a tensor, or a dict of tensors by input name."""
    values = []
    model.eval()
    with torch.no_grad():
        for batch, target in zip(inputs, targets, strict=True):
            result = model(**batch) if isinstance(batch, dict) else model(batch)
            prediction = next(iter(result.values())) if isinstance(result, dict) else result
            values.append(METRICS[metric](prediction, target).double())
    return float(torch.cat(values).mean())


def run_check(model: nn.Module, folder: Path) -> int:
    """Compare the metric of ``weights.pt`` on ``check.pt`` with the value reported there: 0 if it holds, else 1."""
    try:
        model.load_state_dict(torch.load(folder / "weights.pt", map_location="cpu", weights_only=True))
        stored = torch.load(folder / "check.pt", map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        print(f"{error.filename} is missing: --check reads weights.pt and check.pt beside this file")
        return 1
    found = measure(model, stored["metric"], stored["inputs"], stored["targets"])
    good = abs(found - stored["value"]) <= stored["tolerance"]
    verdict = "reproduced" if good else "NOT reproduced"
    print(f"{stored['metric']}: {found:.4f}, reported {stored['value']:.4f}: {verdict}")
    return 0 if good else 1


def run(build: Callable[[], nn.Module], file: str, description: str) -> int:
    """The command line of an exported file."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="recompute the metric from weights.pt and check.pt")
    if parser.parse_args().check:
        return run_check(build(), Path(file).resolve().parent)
    print(f"{description}\n\n{summary(build())}")
    return 0
