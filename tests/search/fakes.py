"""A real torch space of two choices, small enough for closed forms, and a task on made-up points.

It keeps to the facade's contract (:mod:`spacec.search.space_like`), so that search is tested without the compiler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from spacec.ir.flat import FlatGraph, FlatInput
from spacec.ir.types import TensorType
from spacec.search.seeds import generator
from spacec.search.task import Batch, Metric, OutLike, Output, Port, Split, Splits, Task
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.decisions import Decision, DecisionTable, Slot

LABELS = ("skip", "lin", "norm")
WIDTH = 5
CLASSES = 3
COSTS = (0, WIDTH * WIDTH, WIDTH * WIDTH + 2 * WIDTH)
SLOTS = ("net.a", "net.b")


class Block(nn.Module):
    """One choice: identity, a linear map with tanh, or a linear map with a norm."""

    def __init__(self, only: int | None = None) -> None:
        super().__init__()
        if only in (None, 1):
            self.lin = nn.Linear(WIDTH, WIDTH, bias=False)
        if only in (None, 2):
            self.norm = nn.Sequential(nn.Linear(WIDTH, WIDTH, bias=False), nn.BatchNorm1d(WIDTH))

    def candidate(self, k: int, x: Tensor) -> Tensor:
        if k == 0:
            return x
        y: Tensor = self.lin(x).tanh() if k == 1 else self.norm(x)
        return y

    def forward(self, x: Tensor, mask: Any) -> Tensor:
        if isinstance(mask, int):
            return self.candidate(mask, x)
        return torch.stack([mask[k] * self.candidate(k, x) for k in range(3)]).sum(0)


class FakeSupernet(nn.Module):
    """``head(block_b(block_a(x)))``; masks are vectors or indices."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = Block(), Block(), nn.Linear(WIDTH, CLASSES)

    def forward(
        self,
        x: Tensor,
        *,
        mask: Mapping[str, Any] | None = None,
        taps: Sequence[str] = (),
        weights: Mapping[str, Tensor] | None = None,
        gates: bool | str = False,
    ) -> Output:
        if weights is not None:
            out: Output = functional_call(self, dict(weights), (x,), {"mask": mask})
            return out
        uniform = torch.full((3,), 1 / 3)
        chosen = mask or dict.fromkeys(SLOTS, uniform)
        y = self.head(self.b(self.a(x, chosen["net.a"]), chosen["net.b"]))
        return Output(y, {"logits": y})


class FakeNetwork(nn.Module):
    """One architecture; its keys are those of the supernet."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.choice = (a, b)
        self.a, self.b, self.head = Block(a), Block(b), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.b(self.a(x, self.choice[0]), self.choice[1]))
        return y


class FakeSpace:
    """Nine architectures over two slots with the same candidates."""

    name = "fake"
    text = "space fake()\n"
    digest = "0123abcd"

    def __init__(self) -> None:
        self.header: dict[str, Any] = {"classes": CLASSES}
        decisions = tuple(Decision(id, "net", "op", LABELS) for id in SLOTS)
        slots = tuple(Slot(id, LABELS, id) for id in SLOTS)
        self.table = DecisionTable("fake", self.digest, decisions, slots)
        vector = TensorType(WIDTH)
        out = FlatInput("logits", TensorType(CLASSES))
        self.flat = FlatGraph("fake", (FlatInput("x", vector), out), ("x",), {"logits": 1})

    @property
    def decisions(self) -> Sequence[Decision]:
        return self.table.decisions

    @property
    def slots(self) -> Sequence[Slot]:
        return self.table.slots

    def all(self) -> list[Architecture]:
        return [self.make(a, b) for a, b in product(range(3), repeat=2)]

    def make(self, a: int, b: int) -> Architecture:
        return architecture_of(self.table, {"net.a": a, "net.b": b})

    def sample(self, n: int = 1, seed: int = 0) -> list[Architecture]:
        drawn = torch.randint(3, (n, 2), generator=generator("fake", seed)).tolist()
        return [self.make(a, b) for a, b in drawn]

    def supernet(self, seed: int | None = None) -> nn.Module:
        return self._seeded(FakeSupernet, seed)

    def network(self, arch: Architecture, seed: int | None = None) -> nn.Module:
        a, b = (value for _, value in arch.choices)
        return self._seeded(lambda: FakeNetwork(int(a), int(b)), seed)

    def mask(self, arch: Architecture) -> dict[str, Any]:
        return dict(arch.choices)

    def derive(self, probabilities: Mapping[str, Sequence[float]]) -> Architecture:
        a, b = (max(range(3), key=list(probabilities[s]).__getitem__) for s in SLOTS)
        return self.make(a, b)

    def validate(self, arch: Architecture) -> None:
        assert arch.digest == self.digest

    def architecture(self, text: str) -> Architecture:
        return next(a for a in self.all() if a.text() == text)

    def to_json(self, arch: Architecture) -> dict[str, Any]:
        return {"digest": arch.digest, "choices": dict(arch.choices)}

    def cost(self, arch: Architecture, name: str) -> int:
        return sum(COSTS[int(value)] for _, value in arch.choices)

    def expected_cost(self, mask: Mapping[str, Any], name: str) -> Any:
        return sum(mask[slot][k] * COSTS[k] for slot in SLOTS for k in range(3))

    def recalibrate_norm(
        self, model: nn.Module, batches: Iterable[tuple[Tensor, ...]], mask: Mapping[str, Any] | None = None
    ) -> None:
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
        for norm in norms:
            norm.reset_running_stats()
        model.train()
        with torch.no_grad():
            for batch in batches:
                model(*batch) if mask is None else model(*batch, mask=mask)

    @staticmethod
    def _seeded(build: Any, seed: int | None) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            if seed is not None:
                torch.manual_seed(seed)
            model: nn.Module = build()
        return model


class Points(Split):
    """Points whose class is a fixed random linear function of them; training adds noise."""

    def __init__(self, n: int, seed: int) -> None:
        self.x = torch.randn(n, WIDTH, generator=generator("points", seed))
        self.y = (self.x @ torch.randn(WIDTH, CLASSES, generator=generator("map"))).argmax(1)

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, indices: Sequence[int], rng: torch.Generator, train: bool) -> Batch:
        at = torch.as_tensor(list(indices))
        x = self.x[at]
        if train:
            x = x + 0.1 * torch.randn(x.shape, generator=rng)
        return Batch({"x": x}, {"class": self.y[at]})


class PointsTask(Task):
    name = "points"
    metrics = (Metric("accuracy", "max"),)
    label_smoothing = True
    batch_size = 8

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (Port("x", (WIDTH,)),)

    @property
    def outputs(self) -> tuple[Port, ...]:
        return (Port("logits", (CLASSES,)),)

    def header(self) -> dict[str, int | float | str]:
        return {"classes": CLASSES}

    def splits(self, seed: int) -> Splits:
        return Splits(Points(48, 1), Points(40, 2), Points(20, 3))

    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, Tensor]:
        return {"ce": F.cross_entropy(out.prediction, batch.target, label_smoothing=smoothing)}

    def measure(self, out: OutLike, batch: Batch) -> dict[str, Tensor]:
        return {"accuracy": (out.prediction.argmax(1) == batch.target).float()}
