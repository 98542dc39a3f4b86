"""Regional code generation: pieces of a plan as generated functions, each distinct one compiled once.

A *region* is a run of steps that stand together in every plan (:mod:`spacec.lower.pieces`), or a weighted sum: the
piece of a candidate, its norms and activations, the mix of a node. It becomes straight-line text over its inputs,
weights, buffers and mask weights. Regions of one text and one shape share one function, compiled by ``torch.compile``
(whole, static in size); so equal cells compile once, values of a mask never compile, and switching between paths
compiles nothing that has run before. Compiled code is kept on disk by inductor and found again by a later process.

What has no text (:mod:`spacec.lower.region_text`), is tapped, watched by hooks, traced for gates, or has weights that
are themselves a function of others (an unrolled step), runs eagerly. So does what cannot be compiled: ``refused`` says
why. Compiled code cannot be differentiated twice: pause it (:meth:`Compiler.paused`) around a pass whose gradient is
asked for with ``create_graph=True``.

Gradients of gates run a graph's gradient twice, which torch allows where compiled gradients do not take over the memory
of saved tensors: the first compilation switches that off for the process (``donated_buffer`` of torch's functorch).
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spacec.ir.flat import FlatOp
from spacec.lower.blueprint import Blueprint
from spacec.lower.cache import why_distrusted
from spacec.lower.layers import Call
from spacec.lower.pieces import OpStep, Piece
from spacec.lower.region_text import SCOPE, Setting, Written, call_text, written

Form = tuple[object, ...]
"""What functions of one text differ in: whether gradients are recorded and types cast, which inputs are one
tensor, and what each is like."""

Function = Callable[..., Tensor]


def form_of(values: Sequence[Tensor]) -> Form:
    """The form in which a function is asked for ``values``."""
    first: dict[int, int] = {}
    same = [first.setdefault(id(v), k) for k, v in enumerate(values)]
    alike = () if len(first) == len(values) else tuple(same)
    cast = torch.is_autocast_enabled(values[0].device.type)
    told = [(v.shape, v.stride(), v.dtype, v.requires_grad) for v in values]
    return (torch.is_grad_enabled(), cast, alike, *told)


TURNS = 3
"""How often a compiled region and the eager one take turns before one is chosen."""

WORTH = 1.05
"""Compiled code is kept from this gain on: less is noise."""

GRAPHED = ("reduce-overhead", "max-autotune")
"""Modes of ``torch.compile`` that replay recorded launches."""


@dataclass(eq=False)
class Compiler:
    """Compiled functions by text and form, shared by all forms and copies of a supernet.

    ``backend`` and ``mode`` are those of ``torch.compile``; the modes that record CUDA graphs
    (``"reduce-overhead"``) raise :class:`ValueError` where there is no GPU. With ``measure`` a region that is
    compiled is timed once, forward and backward on copies, and left eager where compiled code is not faster.
    ``seconds``: what each took to compile; ``gains``: eager over compiled time, where measured; ``refused``: texts
    that could not be compiled, each with the first line of why.
    """

    backend: str | Callable[..., Any] = "inductor"
    mode: str | None = None
    measure: bool = True
    functions: dict[tuple[str, Form], Function | None] = field(default_factory=dict)
    seconds: dict[tuple[str, Form], float] = field(default_factory=dict)
    gains: dict[tuple[str, Form], float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    _pauses: int = 0

    def __post_init__(self) -> None:
        if self.mode in GRAPHED and not torch.cuda.is_available():
            raise ValueError(f"mode {self.mode!r} records CUDA graphs: CUDA graphs need a GPU, and there is none here")

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiler:
        return self

    @property
    def running(self) -> bool:
        """Whether compiled code is used: not while paused, nor inside another compilation, which takes all in."""
        return self._pauses == 0 and not torch.compiler.is_compiling()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Everything runs eagerly inside."""
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1

    def run(self, text: str, tensors: Sequence[Tensor], form: Form) -> Tensor | None:
        """The value of ``text`` on ``tensors``, compiled once for a form; ``None`` where it is to run eagerly."""
        key = text, form
        if key not in self.functions:
            self.functions[key] = None if text in self.refused else self._compiled(text, form, tensors)
        function = self.functions[key]
        if function is None:
            return None
        try:
            return function(*tensors)
        except _failures() as error:
            self._refuse(text, error)
            self.functions[key] = None
            return None

    def _compiled(self, text: str, form: Form, tensors: Sequence[Tensor]) -> Function | None:
        """Compiles and runs copies: what is asked for afterwards finds warm code, and nothing real has changed."""
        if self.backend == "inductor" and (why := _why_not_kept()):
            self._refuse(text, PermissionError(why))
            return None
        torch._functorch.config.donated_buffer = False
        eager = _function(text)
        function: Function = torch.compile(
            _function(text), fullgraph=True, dynamic=False, backend=self.backend, mode=self.mode
        )
        try:
            self.seconds[text, form] = _timed(function, tensors)
        except _failures() as error:
            self._refuse(text, error)
            return None
        if not self.measure:
            return function
        times = [(_timed(eager, tensors), _timed(function, tensors)) for _ in range(TURNS)]
        gain = self.gains[text, form] = min(t for t, _ in times) / min(t for _, t in times)
        return function if gain > WORTH else None

    def _refuse(self, text: str, error: Exception) -> None:
        self.refused[text] = str(error).strip().partition("\n")[0]

    def told(self) -> str:
        """How much was compiled, in words."""
        slower = sum(gain <= WORTH for gain in self.gains.values())
        text = f"{len(self.seconds)} distinct regions compiled in {sum(self.seconds.values()):.1f} s"
        text += f", {slower} of them no faster and left eager" if slower else ""
        return text + (f", {len(self.refused)} refused" if self.refused else "")


def _timed(function: Function, tensors: Sequence[Tensor]) -> float:
    """Seconds of a function and its gradients, on copies of ``tensors``."""
    known = {id(t): _copy(t) for t in tensors}
    copies = [known[id(t)] for t in tensors]
    start = time.perf_counter()
    value = function(*copies)
    if value.requires_grad:
        torch.autograd.backward(value, torch.ones_like(value))
    if value.is_cuda:
        torch.cuda.synchronize(value.device)
    return time.perf_counter() - start


def _copy(tensor: Tensor) -> Tensor:
    copied = tensor.detach().clone()
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(copied, tensor.requires_grad)
    return copied.requires_grad_(tensor.requires_grad)


def _failures() -> tuple[type[Exception], ...]:
    """What torch.compile raises where it fails; asked for late, since it loads torch's compiler."""
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    return TorchDynamoException, FailOnRecompileLimitHit


def _why_not_kept() -> str:
    """Why torch's folder for compiled code, by default a guessable one under ``/tmp``, may hold another user's."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir  # loads torch's compiler, as above

    why = why_distrusted(Path(cache_dir()), group=True)
    return f"{why}, so code is neither kept nor run there (see TORCHINDUCTOR_CACHE_DIR)" if why else ""


def _function(text: str) -> Function:
    scope: dict[str, Any] = dict(SCOPE)
    exec(compile(text, "<region>", "exec"), scope)
    found: Function = scope["region"]
    return found


@dataclass(frozen=True, eq=False)
class Region:
    """Some ``steps`` as one function of the values ``sources``; the value is that of the node ``root``.

    ``lines`` writes its body for the settings of its ``norms``; ``tables`` says where its weights and buffers are.
    """

    root: int
    sources: tuple[int, ...]
    steps: tuple[OpStep, ...]
    lines: Callable[[tuple[Setting, ...]], list[str]]
    tables: tuple[tuple[Mapping[str, Any], str], ...]
    modules: tuple[nn.Module, ...]
    norms: tuple[_BatchNorm, ...]
    _texts: dict[tuple[Setting, ...], str] = field(default_factory=dict)

    def run(self, compiler: Compiler, values: Sequence[Tensor]) -> Tensor | None:
        """The value of the region; ``None`` where it must run eagerly now."""
        tensors = [table[name] for table, name in self.tables]
        if any(t.grad_fn is not None for t in tensors) or any(map(_hooked, self.modules)):
            return None
        settings = tuple([(n.training, n.momentum) for n in self.norms])
        text = self._texts.get(settings)
        if text is None:
            if any(momentum is None for _, momentum in settings):
                return None  # a plain mean of all batches: its weight is read from a tensor
            text = self._texts[settings] = self._text(settings, tensors)
        value = compiler.run(text, (*values, *tensors), form_of(values))
        if value is not None:
            for norm in self.norms:
                if norm.training and norm.num_batches_tracked is not None:
                    norm.num_batches_tracked.add_(1)
        return value

    def _text(self, settings: tuple[Setting, ...], tensors: Sequence[Tensor]) -> str:
        """Shapes of weights are part of it: what shares a text shares a function."""
        names = [f"x{k}" for k in range(len(self.sources))] + [f"w{k}" for k in range(len(self.tables))]
        shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
        return f"def region({', '.join(names)}):  # {shapes}\n" + "".join(f"    {t}\n" for t in self.lines(settings))


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


def mix_text(weighed: Sequence[bool]) -> str:
    """A sum whose terms are multiplied by numbers where ``weighed``: terms first, then their weights."""
    terms = [f"x{k}" for k in range(len(weighed))]
    weights = [f"w{k}" for k, has in enumerate(weighed) if has]
    products = [f"w{k} * {x}" if has else x for k, (x, has) in enumerate(zip(terms, weighed, strict=True))]
    return f"def region({', '.join(terms + weights)}):\n    return {' + '.join(products)}\n"


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of one graph's pieces: for each piece, what runs it, as regions and lone steps in order."""

    blueprint: Blueprint
    modules: Mapping[str, nn.Module]
    compiler: Compiler
    kernels: bool = False
    """Whether kernels compute convolutions and pools: these then run by themselves."""
    _parts: dict[int, tuple[OpStep | Region, ...]] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> Regions:
        return Regions(self.blueprint, copy.deepcopy(self.modules, memo), self.compiler, self.kernels)

    def parts(self, piece: Piece) -> tuple[OpStep | Region, ...]:
        """The piece as regions, and as single steps where no region is."""
        if piece.root not in self._parts:
            self._parts[piece.root] = tuple(self._divided(piece))
        return self._parts[piece.root]

    def _divided(self, piece: Piece) -> Iterator[OpStep | Region]:
        run: list[OpStep] = []
        for step in piece.steps:
            if self._writable(step):
                run.append(step)
                continue
            yield from self._joined(run, piece)
            run = []
            yield step
        yield from self._joined(run, piece)

    def _writable(self, step: OpStep) -> bool:
        found = self.blueprint.lowered.get(step.node)
        op = self.blueprint.flat.nodes[step.node]
        if (
            found is None
            or not isinstance(op, FlatOp)
            or step.node in self.blueprint.elastic.symbols
            or not step.inputs
        ):
            return False
        if self.kernels and op.spec.name in KERNELS:
            return False
        if isinstance(found, Call):
            return call_text(found, ["x"] * len(step.inputs)) is not None
        return not (found.emits or found.graph) and written(self.modules[op.key]) is not None

    def _joined(self, run: list[OpStep], piece: Piece) -> Iterator[OpStep | Region]:
        """One region where it has one result and saves a call, else the steps."""
        nodes = {s.node for s in run}
        read_later = {i for s in piece.steps if s.node not in nodes for i in s.inputs}
        if len(run) < 2 or any(s.node in read_later for s in run[:-1]):
            yield from run
        else:
            yield self._region(run)

    def _region(self, run: list[OpStep]) -> Region:
        inside = {s.node for s in run}
        sources = tuple(i for i in dict.fromkeys(i for s in run for i in s.inputs) if i not in inside)
        tables: list[tuple[Mapping[str, Any], str]] = []
        layers: dict[int, tuple[Written, nn.Module, int]] = {}
        for step in run:
            op = self.blueprint.flat.nodes[step.node]
            assert isinstance(op, FlatOp), "only ops are written"
            if isinstance(self.blueprint.lowered[step.node], Call):
                continue
            module = self.modules[op.key]
            found = written(module)
            assert found is not None, "a layer of a region has a text"
            layers[step.node] = found, module, len(tables)
            tables += [(module._parameters, name) for name in found.parameters]
            tables += [(module._buffers, name) for name in found.buffers]
        norms = tuple(m for _, m, _ in layers.values() if isinstance(m, _BatchNorm))
        lowered = self.blueprint.lowered

        def lines(settings: tuple[Setting, ...]) -> list[str]:
            names = {source: f"x{k}" for k, source in enumerate(sources)}
            given = iter(settings)
            out = []
            for step in run:
                inputs, call = [names[i] for i in step.inputs], lowered[step.node]
                if isinstance(call, Call):
                    text = call_text(call, inputs)
                else:
                    found, _, first = layers[step.node]
                    tensors = [f"w{first + k}" for k in range(len(found.parameters) + len(found.buffers))]
                    text = found.expression(inputs[0], tensors, next(given) if found.buffers else None)
                names[step.node] = f"t{step.node - run[0].node}"
                out.append(f"{names[step.node]} = {text}")
            return [*out, f"return {names[run[-1].node]}"]

        modules = tuple(m for _, m, _ in layers.values())
        return Region(run[-1].node, sources, tuple(run), lines, tuple(tables), modules, norms)


KERNELS = frozenset(("conv", "max_pool", "avg_pool"))
"""Ops that kernels compute."""
