"""Watching a strategy at work in the runner: what each of its steps changed, and what it should not have.

A :class:`Watch` wraps methods of one strategy instance; it reads and copies, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from spacec.diagnostics.model import SpacecError
from spacec.facade import Space
from spacec.search.context import SearchContext
from spacec.search.policies.policy import Policy
from spacec.search.progress import Progress
from spacec.search.strategy import Path, Strategy, Trial
from spacec.space.architecture import Architecture
from spacec.testing.conformance.model import Complaints
from spacec.testing.conformance.trees import changed, frozen, leaves

MOMENTS = "state of the weights' optimiser"


class Used(TorchFunctionMode):
    """Notes the ids of all tensors that torch functions are given."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[int] = set()

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        for _, value in leaves([args, kwargs or {}]):
            if isinstance(value, Tensor):
                self.ids.add(id(value))
        return function(*args, **(kwargs or {}))


class Watch:
    """What one strategy does. ``complaints`` gets a sentence at the first wrong step.

    Architectures that it derives or proposes must be valid in ``space``, else ``check`` fails.
    """

    def __init__(self, strategy: Strategy, complaints: Complaints, space: Space, check: str) -> None:
        self.strategy = strategy
        self.complaints = complaints
        self.space = space
        self.check = check
        self.single_level = type(strategy).after_backward is not Strategy.after_backward
        """Whether it learns in the weight step, by the protocol."""
        self.learns = self.single_level or type(strategy).arch_step is not Strategy.arch_step
        """Whether it has a place to learn in."""
        self.learnt = False
        """Whether a step of it changed an architecture parameter."""
        self._in_arch_step = False
        self.start: dict[str, Tensor | None] = {}
        """The supernets' weights after :meth:`Strategy.setup`."""
        self._before_arch: dict[str, Any] | None = None
        """What there was before the architecture step that is to be judged when the weight step begins."""
        self._before: dict[str, Any] | None = None
        self._used = Used()
        for name in ("setup", "masks", "arch_step", "derive", "propose"):
            setattr(strategy, name, getattr(self, name)(getattr(strategy, name)))

    # the strategy's methods, wrapped

    def setup(self, original: Callable[[SearchContext], None]) -> Callable[[SearchContext], None]:
        def setup(ctx: SearchContext) -> None:
            original(ctx)
            self.start = frozen(dict(self._named("parameters")))
            forward = ctx.forward

            def noted(*args: Any, **kwargs: Any) -> Any:
                if self._before is None:
                    return forward(*args, **kwargs)
                with self._used:
                    return forward(*args, **kwargs)

            setattr(ctx, "forward", noted)  # noqa: B010  # mypy refuses an assignment to a method

        return setup

    def masks(self, original: Callable[[int], Any]) -> Callable[[int], Any]:
        def masks(step: int) -> Any:
            if self._in_arch_step:
                return original(step)
            if self._before_arch is not None:
                before, self._before_arch = self._before_arch, None
                self._judge_arch_step(before)
            paths: tuple[Path, ...] = tuple(original(step))
            self._used.ids.clear()
            self._before = {**self._state(), "paths": len(paths)}
            return paths

        return masks

    def arch_step(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def arch_step(*batches: Any) -> Any:
            self._before_arch = {**self._state(), "modes": self._modes()}
            self._in_arch_step = True
            values = original(*batches)
            self._in_arch_step = False
            return values

        return arch_step

    def derive(self, original: Callable[[], Architecture]) -> Callable[[], Architecture]:
        def derive() -> Architecture:
            found = original()
            self._validate(found, "derived")
            return found

        return derive

    def propose(self, original: Callable[[int], Any]) -> Callable[[int], Any]:
        def propose(n: int) -> Any:
            trials: tuple[Trial, ...] = tuple(original(n))
            for trial in trials:
                self._validate(trial.arch, "proposed")
            return trials

        return propose

    # judging

    def _validate(self, arch: Architecture, how: str) -> None:
        try:
            self.space.validate(arch)
        except SpacecError as error:
            headline = error.diagnostics[0].headline
            self.complaints.add(self.check, f"it {how} {arch.text()}, which is not valid: {headline}")

    def told(self, now: Progress) -> None:
        """The runner's progress: a weight step is over."""
        if now.phase == "search" and self._before is not None:
            before, self._before = self._before, None
            self._judge_weight_step(before)

    def _judge_arch_step(self, before: dict[str, Any]) -> None:
        now, modes = self._state(), before["modes"]
        self.learnt = self.learnt or bool(changed(before["arch"], now["arch"]))
        for kind, what in (("weights", "weight"), ("buffers", "buffer"), ("moments", MOMENTS)):
            if moved := changed(before[kind], now[kind]):
                self.complaints.add("architecture step", f"it changed a {what} of the supernet", moved[0])
        for name, flag in self._modes().items():
            if modes.get(name) != flag:
                self.complaints.add("architecture step", "it left the mode of the supernet changed", name)

    def _judge_weight_step(self, before: dict[str, Any]) -> None:
        now = self._state()
        moved = changed(before["weights"], now["weights"]) + changed(before["buffers"], now["buffers"])
        ids = {**self._ids("parameters"), **self._ids("buffers")}
        if outside := [name for name in moved if ids[name] not in self._used.ids]:
            self.complaints.add("weight step", "it changed a tensor of a candidate that did not run", outside[0])
        if before["paths"] and not changed(before["weights"], now["weights"]):
            self.complaints.add("weight step", f"{before['paths']} paths ran and no weight changed")
        leaked = changed(before["arch"], now["arch"])
        if self.single_level:
            self.learnt = self.learnt or bool(leaked)
            return
        if leaked:
            self.complaints.add("weight step", "it changed an architecture parameter", leaked[0])
        if leaked := changed(before["arch_grads"], now["arch_grads"]):
            self.complaints.add("weight step", "its gradient reached an architecture parameter", leaked[0])

    # what there is

    def _state(self) -> dict[str, Any]:
        arch = architecture_tensors(self.strategy)
        drawn = self.strategy.ctx.randomness()
        rates = {f"probabilities of {slot}": torch.tensor(p) for slot, p in self.strategy.probabilities().items()}
        self.strategy.ctx.load_randomness(drawn)
        return {
            "arch": frozen({**arch, **rates}),
            "arch_grads": frozen({name: t.grad for name, t in arch.items()}),
            "weights": frozen(dict(self._named("parameters"))),
            "buffers": frozen(dict(self._named("buffers"))),
            "moments": frozen(dict(self._moments())),
        }

    def _named(self, kind: str) -> Iterator[tuple[str, Tensor]]:
        for name, net in self.strategy.ctx.supernets.items():
            for key, tensor in getattr(net, f"named_{kind}")():
                yield f"{name}:{key}", tensor

    def _ids(self, kind: str) -> dict[str, int]:
        return {name: id(tensor) for name, tensor in self._named(kind)}

    def _moments(self) -> Iterator[tuple[str, Tensor]]:
        ctx = self.strategy.ctx
        for name, optimizer in ctx.optimizers.items():
            names = {id(p): key for key, p in ctx.supernets[name].named_parameters()}
            for p, state in optimizer.state.items():
                for key, value in state.items():
                    if isinstance(value, Tensor):
                        yield f"{name}:{names.get(id(p), 'another')}.{key}", value

    def _modes(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, net in self.strategy.ctx.supernets.items():
            found.update((f"{name}:{key}.training", module.training) for key, module in net.named_modules())
            found.update((f"{name}:{key}.requires_grad", p.requires_grad) for key, p in net.named_parameters())
        return found


def architecture_tensors(strategy: Strategy) -> dict[str, Tensor]:
    """Leaves that require gradients among what a strategy holds, by attribute; in containers and policies too."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, value in vars(strategy).items():
        if name not in ("ctx", "options"):
            for path, tensor in _trained(value, name):
                found.setdefault(id(tensor), (path, tensor))
    return dict(found.values())


def _trained(value: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    for place, leaf in leaves(value, path):
        if isinstance(leaf, nn.Module):
            yield from ((f"{place}.{key}", p) for key, p in leaf.named_parameters())
        elif isinstance(leaf, Policy):
            yield from ((f"{place}[{index}]", t) for index, t in enumerate(leaf.parameters()))
        elif isinstance(leaf, Tensor) and leaf.is_leaf and leaf.requires_grad:
            yield place, leaf
