"""The forms of a supernet that are measured side by side, ready to run.

A pass is forward and backward under soft masks that take gradients, in train mode, of the sum over the outputs of
their mean squares: what a step of a differentiable search computes, but for its loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.flat import FlatGraph
from spacec.ir.ops import Precondition
from spacec.ir.sizes import evaluate
from spacec.ir.types import TensorType
from spacec.lower.examples import example_tensor
from spacec.lower.masks import Mask
from spacec.lower.modules_graph import Graph
from spacec.lower.schedule import Schedule, named
from spacec.lower.supernet import Supernet
from spacec.space.applications import missing_sizes
from spacec.space.architecture import Architecture
from spacec.space.decisions import DecisionTable, Slot


class Measurable(Protocol):
    """What is asked of a space (:class:`spacec.facade.space.Space`)."""

    @property
    def flat(self) -> FlatGraph: ...
    @property
    def table(self) -> DecisionTable: ...
    @property
    def slots(self) -> Sequence[Slot]: ...
    @property
    def inputs(self) -> Mapping[str, TensorType]: ...
    @property
    def preconditions(self) -> Sequence[Precondition]: ...
    def supernet(self, seed: int | None = None, *, optimise: Schedule | str | None = None) -> Supernet: ...
    def sample(self, n: int = 1, seed: int = 0) -> Sequence[Architecture]: ...
    def mask(self, arch: Architecture) -> Mask: ...


@dataclass(frozen=True)
class Form:
    """``title`` says what it is; ``last``: tensors and weights of images have their channels innermost.

    ``goal`` names the schedule that optimises it, whose layout then decides about ``last``; with ``compiled`` its first
    pass compiles regions.
    """

    name: str
    title: str
    last: bool = False
    goal: str = ""
    compiled: bool = False


FORMS = (
    Form("plain", "plain"),
    Form("plain-last", "plain, channels last", last=True),
    Form("eager", "optimised, library calls", goal="eager"),
    Form("fast", "optimised", goal="fast"),
    Form("compiled", "optimised, compiled", goal="fast", compiled=True),
    Form("launches", "fewest launches", goal="launches"),
)


@dataclass(frozen=True)
class Setting:
    """``sizes`` gives the free sizes of the inputs; the seed decides weights and inputs.

    ``schedules``: what forms of a goal run by, where it is not the schedule of that name.
    """

    device: torch.device
    batch: int
    sizes: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    schedules: Mapping[str, Schedule] = field(default_factory=dict)

    def schedule(self, form: Form) -> Schedule | None:
        """What a form runs by; ``None`` is the plain form."""
        if not form.goal:
            return None
        found = self.schedules.get(form.goal, named(form.goal))
        return replace(found, regions="compiled") if form.compiled else found

    def is_last(self, form: Form) -> bool:
        """Whether images of a form have their channels innermost."""
        schedule = self.schedule(form)
        return form.last if schedule is None else schedule.layout == "channels_last"


@dataclass(frozen=True)
class Subject:
    """What is measured: ``loss`` runs forward; ``leaves`` are what its backward pass gives gradients."""

    name: str
    title: str
    loss: Callable[[], Tensor]
    leaves: tuple[Tensor, ...]
    held: int = 0
    """Bytes of weights, buffers and inputs."""
    compiled: bool = False
    """Whether its first pass compiles regions."""

    def step(self) -> None:
        """Forward and backward; the gradients are dropped."""
        self.loss().backward()  # type: ignore[no-untyped-call]  # torch does not type it
        self.clear()

    def clear(self) -> None:
        for leaf in self.leaves:
            leaf.grad = None


def forms_for(space: Measurable) -> tuple[Form, ...]:
    """Those that differ on this space: without images there is one layout."""
    images = any(kind.kind == "dense" and kind.rank == 2 for kind in space.inputs.values())
    return tuple(form for form in FORMS if images or not form.last)


def check_sizes(space: Measurable, given: Mapping[str, int]) -> None:
    """Raises :class:`SpacecError` (E0512) where the free size of an input is missing, or is one it does not take."""
    free = {s.name for kind in space.inputs.values() for s in kind.symbols}
    if missing := sorted(free - given.keys()):
        raise SpacecError(missing_sizes("a pass of the supernet", missing))
    for needed in space.preconditions:
        names = {s.name for s in getattr(needed.dim, "symbols", ())}
        if names <= given.keys() and evaluate(needed.dim, lambda s: given[s.name]) % needed.divisor:
            raise SpacecError(Diagnostic("E0512", f"the network does not take this size: {needed}"))


def tuned(space: Measurable, setting: Setting, seconds: float, told: Callable[[str], None], fresh: bool) -> Schedule:
    """The schedule of goal ``fast`` by measuring, for about so long; not from the user's cache if ``fresh``."""
    net = space.supernet(setting.seed).to(setting.device).train()
    inputs, mask = example_inputs(space, setting), soft_masks(space, setting.device)
    return net.tune(inputs, mask=mask, goal="fast", budget=seconds, fresh=fresh, told=told)


def subject_of(space: Measurable, form: Form, setting: Setting) -> Subject:
    """A form of the space's supernet, with its inputs and masks."""
    net = supernet_of(space, form, setting)
    inputs, mask = inputs_of(space, form, setting), soft_masks(space, setting.device)
    return module_subject(form, net, inputs, mask, lambda x, m: net(x, mask=m).outputs)


def supernet_of(space: Measurable, form: Form, setting: Setting) -> Supernet:
    """In training, in the layout of a form."""
    net = space.supernet(setting.seed, optimise=setting.schedule(form)).to(setting.device).train()
    if setting.is_last(form):
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # an overload torch leaves out
    return net


def inputs_of(space: Measurable, form: Form, setting: Setting) -> dict[str, Any]:
    """:func:`example_inputs` in the layout of a form."""
    inputs = example_inputs(space, setting)
    return {name: _last(value) for name, value in inputs.items()} if setting.is_last(form) else inputs


def module_subject(
    form: Form,
    net: nn.Module,
    inputs: Mapping[str, Any],
    mask: Mapping[str, Any],
    run: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Tensor]],
) -> Subject:
    """A module as a subject; ``run`` gives its outputs from inputs and mask."""
    weights = [p for p in net.parameters() if p.requires_grad]
    masks = [m for m in mask.values() if isinstance(m, Tensor)]
    held = {
        t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
        for t in (*net.parameters(), *net.buffers(), *_tensors(inputs.values()))
    }

    def loss() -> Tensor:
        return torch.stack([value.float().square().mean() for value in run(inputs, mask).values()]).sum()

    return Subject(form.name, form.title, loss, (*weights, *masks), sum(held.values()), form.compiled)


def example_inputs(space: Measurable, setting: Setting) -> dict[str, Any]:
    """Random inputs by name, the same for the same seed."""
    generator = torch.Generator().manual_seed(setting.seed)
    made = {n: example_tensor(k, setting.batch, setting.sizes, generator) for n, k in space.inputs.items()}
    return {name: _on(value, setting.device) for name, value in made.items()}


def soft_masks(space: Measurable, device: torch.device) -> dict[str, Any]:
    """Uniform weights that take gradients; a slot that has no mixture is as one sampled architecture has it."""
    sized = any(slot.sized for slot in space.slots)
    fixed = space.mask(space.sample(1)[0]) if sized else {}
    return {
        slot.id: fixed[slot.id]
        if slot.sized
        else torch.full((slot.size,), 1.0 / slot.size, device=device, requires_grad=True)
        for slot in space.slots
    }


def _on(value: Tensor | Graph, device: torch.device) -> Tensor | Graph:
    if isinstance(value, Tensor):
        return value.to(device)
    return Graph(*(None if part is None else part.to(device) for part in value))  # type: ignore[arg-type]  # by place


def _last(value: Any) -> Any:
    images = isinstance(value, Tensor) and value.dim() == 4
    return value.to(memory_format=torch.channels_last) if images else value


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple):
            yield from _tensors(value)
