"""The course of a search: its supernets, and the state from which it goes on.

A state holds what the search has trained and drawn from; a checkpoint is a state on disk, and a strategy may go back to
an earlier one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from spacec.search.config import SearchConfig
from spacec.search.optim import make_optimizer
from spacec.search.record import Recorder
from spacec.search.schedules import Schedules
from spacec.search.seeds import stable_seed
from spacec.search.space_like import SpaceLike

MAIN = "main"


class Course:
    """Supernets, optimisers, counters and sources of randomness, together one :meth:`state`."""

    space: SpaceLike
    config: SearchConfig
    device: torch.device
    recorder: Recorder
    seed: int
    epoch: int
    step: int
    stopped: str
    """Why the supernet's epochs end; empty while they go on."""
    supernets: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    forms: dict[str, dict[str, Any]]
    """How each supernet was built: keywords of ``space.supernet``."""
    schedules: Schedules
    rng: random.Random
    generator: torch.Generator

    def example(self) -> tuple[tuple[Tensor, ...], Mapping[str, Any] | None]:
        """Inputs and a mask of the kind that the search will run, to measure supernets with."""
        raise NotImplementedError

    def add_supernet(self, name: str, form: Mapping[str, Any] | None = None) -> nn.Module:
        """A further supernet of the space with weights and an optimiser of its own.

        ``form``: keywords of ``space.supernet``.
        """
        self.forms[name] = dict(form or {})
        net = self.space.supernet(seed=stable_seed(self.seed, "weights", name), **self.forms[name]).to(self.device)
        net.train()
        self.schedules.apply(name, self.forms[name], net, self.example)
        self.supernets[name] = net
        self.optimizers[name] = make_optimizer(net, self.config)
        return net

    def replace_supernet(
        self, form: Mapping[str, Any], carry: Callable[[nn.Module, nn.Module], None], name: str = MAIN
    ) -> nn.Module:
        """The supernet in another form, with a fresh optimiser; ``carry(old, new)`` brings the weights over."""
        old = self.supernets[name]
        new = self.add_supernet(name, form)
        with torch.no_grad():
            carry(old, new)
        return new

    def stop(self, reason: str) -> None:
        """End the supernet's epochs after this one; trials follow, and ``reason`` is recorded."""
        self.stopped = reason
        self.recorder.event("stopped", reason, {"epoch": self.epoch})

    def state(self, copy: bool = True) -> dict[str, Any]:
        """All that the search has trained and drawn from, without the strategy's own state.

        Without ``copy`` its tensors are those that training goes on to change.
        """
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "stopped": self.stopped,
            "forms": self.forms,
            "supernets": {name: net.state_dict() for name, net in self.supernets.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            **self.randomness(),
        }
        return deepcopy(state) if copy else state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over a :meth:`state`, also one that was written to a file."""
        self.epoch, self.step, self.stopped = int(state["epoch"]), int(state["step"]), str(state["stopped"])
        for name in self.supernets:
            if self.forms[name] != state["forms"][name]:
                self.add_supernet(name, state["forms"][name])
            self.supernets[name].load_state_dict(state["supernets"][name])
            self.optimizers[name].load_state_dict(deepcopy(state["optimizers"][name]))
        self.load_randomness(state)

    def randomness(self) -> dict[str, Any]:
        """The states of :attr:`rng` and :attr:`generator`."""
        return {"python_random": self.rng.getstate(), "generator": self.generator.get_state()}

    def load_randomness(self, state: Mapping[str, Any]) -> None:
        """Draw on from a :meth:`randomness`."""
        version, numbers, gauss = state["python_random"]
        self.rng.setstate((version, tuple(numbers), gauss))
        self.generator.set_state(torch.as_tensor(state["generator"], dtype=torch.uint8, device="cpu"))

    def rewind(self, state: Mapping[str, Any], reason: str) -> None:
        """Go on from the end of the epoch in which ``state`` was taken; for :meth:`Strategy.on_epoch_end`.

        The epochs after it are run again, on the same batches, and replace their rows in the record.
        """
        self.recorder.event("rewound", reason, {"from": self.epoch, "to": int(state["epoch"])})
        self.load_state(state)
