"""What a lowering returns, and how that becomes a module, a call, or source text.

A lowering describes one op at one set of sizes as *data*: a :class:`Layer` (a module class and its
literal arguments) or a :class:`Call` (a function of tensors and its literal arguments). The
supernet, a network and an exported file are all made from this one description. A lowering is a
function ``Site -> Layer | Call``, or simply an ``nn.Module`` class (see :func:`module_layer`).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacec.ir.flat import FlatOp
from spacec.ir.types import Kind
from spacec.lower import errors
from spacec.lower.modules import frozen, normal_init

Value = int | float | str | bool | None | tuple["Value", ...]
"""A literal: what may stand in an exported constructor call."""

Axis = Literal["out", "in", "group", "kernel"] | None
"""How one axis of a parameter follows the sizes of an elastic op (``group``: input channels of one group)."""


@dataclass(frozen=True)
class Shape:
    """``(channels, *space)`` of a tensor without its batch axis; a free spatial size is ``None``."""

    channels: int
    space: tuple[int | None, ...] = ()
    kind: Kind = "dense"

    @property
    def rank(self) -> int:
        return len(self.space)


@dataclass(frozen=True)
class Site:
    """An op at concrete sizes, as its lowering sees it."""

    op: str
    attrs: Mapping[str, Value]
    inputs: tuple[Shape, ...]
    output: Shape

    def integer(self, name: str) -> int:
        """An integer attribute."""
        value = self.attrs[name]
        if not isinstance(value, int):
            raise TypeError(f"{self.op}: `{name}` is {value!r}, not an integer")
        return value

    def number(self, name: str) -> float:
        """A numeric attribute."""
        value = self.attrs[name]
        if not isinstance(value, int | float):
            raise TypeError(f"{self.op}: `{name}` is {value!r}, not a number")
        return float(value)

    def per_axis(self, name: str) -> tuple[int, ...]:
        """An attribute that is one integer or one for each spatial axis."""
        value = self.attrs[name]
        values = value if isinstance(value, tuple) else (value,) * self.inputs[0].rank
        return tuple(v for v in values if isinstance(v, int))


@dataclass(frozen=True)
class Layer:
    """A module with weights, state or randomness: ``cls(*args, **kwargs)``.

    ``init``: ``("normal", std)`` redraws the weight. ``axes``: for each parameter and buffer, how its
    axes follow elastic sizes; ``None`` where the layer cannot be sliced. ``emits``: its forward
    returns ``(tensor, {loss name: scalar})``. ``by_case``: its channels are grouped or compared, so under a
    soft elastic mask it runs once at each size. ``graph``: it is given the space's graph after its tensors.
    ``frozen``: its weights are not trained.
    """

    cls: type[nn.Module]
    args: tuple[Value, ...] = ()
    kwargs: tuple[tuple[str, Value], ...] = ()
    init: tuple[str, float] | None = None
    axes: tuple[tuple[str, tuple[Axis, ...]], ...] | None = None
    emits: bool = False
    by_case: bool = False
    graph: bool = False
    frozen: bool = False

    def build(self) -> nn.Module:
        """A fresh module; its weights come from the ambient generator."""
        module = self.cls(*self.args, **dict(self.kwargs))
        module = module if self.init is None else normal_init(module, self.init[1])
        return frozen(module) if self.frozen else module

    def text(self) -> str:
        """The constructor call."""
        shared = getattr(nn, self.cls.__name__, None) is self.cls
        name = f"nn.{self.cls.__name__}" if shared else self.cls.__name__
        call = f"{name}({_arguments(self.args, self.kwargs)})"
        call = call if self.init is None else f"normal_init({call}, {literal(self.init[1])})"
        return f"frozen({call})" if self.frozen else call

    @property
    def code(self) -> tuple[object, ...]:
        """Classes and functions that :meth:`text` needs beyond torch's."""
        own: tuple[object, ...] = () if getattr(nn, self.cls.__name__, None) is self.cls else (self.cls,)
        own = own if self.init is None else (*own, normal_init)
        return (*own, frozen) if self.frozen else own


@dataclass(frozen=True)
class Call:
    """A function of tensors without state: ``fn(*tensors, *args, **kwargs)``.

    ``style``: ``"sum"`` and ``"concat"`` take any number of tensors and drop absent ones,
    ``"identity"`` passes its input on. ``by_case``, ``graph``: as for a :class:`Layer`.
    """

    fn: Callable[..., Tensor] | None = None
    args: tuple[Value, ...] = ()
    kwargs: tuple[tuple[str, Value], ...] = ()
    style: Literal["call", "sum", "concat", "identity"] = "call"
    by_case: bool = False
    graph: bool = False

    def bind(self) -> Callable[..., Tensor]:
        """The function of tensors alone."""
        match self.style:
            case "sum":
                return _sum
            case "concat":
                return _concat
            case "identity":
                return _identity
        assert self.fn is not None, "a call needs a function"
        if not self.args and not self.kwargs:
            return self.fn
        fn, args, kwargs = self.fn, self.args, dict(self.kwargs)
        return lambda *tensors: fn(*tensors, *args, **kwargs)

    def text(self, tensors: Iterable[str]) -> str:
        """The expression over the names of its tensors."""
        names = list(tensors)
        match self.style:
            case "sum":
                return " + ".join(names)
            case "concat":
                return f"torch.cat([{', '.join(names)}], 1)" if len(names) > 1 else names[0]
            case "identity":
                return names[0]
        rest = _arguments(self.args, self.kwargs)
        return f"{_function_name(self.fn)}({', '.join([*names, rest] if rest else names)})"

    @property
    def code(self) -> tuple[object, ...]:
        """Functions that :meth:`text` needs beyond torch's."""
        return () if self.fn is None or "." in _function_name(self.fn) else (self.fn,)


Lowering = Callable[[Site], Layer | Call]


def initial(site: Site) -> tuple[str, float] | None:
    """The ``init`` attribute as :attr:`Layer.init`."""
    value = site.attrs["init"]
    if value == "default":
        return None
    match value:
        case ("normal", int() | float() as std):
            return "normal", float(std)
    raise ValueError(f'`init` must be "default" or normal(std), not {value!r}')


def _sum(*tensors: Tensor) -> Tensor:
    return functools.reduce(operator.add, tensors)


def _concat(*tensors: Tensor) -> Tensor:
    return torch.cat(tensors, 1) if len(tensors) > 1 else tensors[0]


def _identity(tensor: Tensor) -> Tensor:
    return tensor


def _function_name(fn: Callable[..., Tensor] | None) -> str:
    name: str = getattr(fn, "__name__", "")
    if getattr(F, name, None) is fn:
        return f"F.{name}"
    return f"torch.{name}" if getattr(torch, name, None) is fn else name


def literal(value: object) -> str:
    """Source text of a literal; infinities and NaN included."""
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f'float("{value}")'
    if isinstance(value, str):
        text = repr(value)
        return text if "'" in value or '"' in value else f'"{text[1:-1]}"'
    if value is None or isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"{value!r} is no literal")


def _arguments(args: tuple[Value, ...], kwargs: tuple[tuple[str, Value], ...]) -> str:
    return ", ".join([*map(literal, args), *(f"{name}={literal(value)}" for name, value in kwargs)])


def key_seed(seed: int, key: str) -> int:
    """The seed of one layer: it depends on nothing but ``seed`` and ``key``."""
    return int.from_bytes(blake2b(f"{seed}:{key}".encode(), digest_size=8).digest(), "big") >> 1


def build_layers(layers: Mapping[str, Layer], seed: int | None) -> dict[str, nn.Module]:
    """Every layer built on the CPU, each with the weights that its key and ``seed`` give.

    The ambient generator is left as it was; with ``seed = None`` one number is drawn from it.
    """
    if seed is None:
        seed = int(torch.randint(2**62, (1,)))
    cpu = nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
    with torch.random.fork_rng(devices=[]), cpu:
        built = {}
        for key, layer in layers.items():
            torch.default_generator.manual_seed(key_seed(seed, key))
            built[key] = layer.build()
    return built


@functools.lru_cache(maxsize=1024)
def load_lowering(target: str | type[nn.Module]) -> Lowering | type[nn.Module]:
    """The lowering named by ``"module:attr"``; a class is its own lowering.

    Raises :class:`SpacecError` (E0901) that names the import that failed.
    """
    if isinstance(target, type):
        return target
    module, _, attribute = target.partition(":")
    try:
        found: Any = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise errors.lowering_error(
            errors.LOWERING, f"the lowering `{target}` cannot be loaded", notes=(str(error),)
        ) from error
    if not callable(found):
        raise errors.lowering_error(errors.LOWERING, f"`{target}` is no lowering: it is {type(found).__name__}")
    lowering: Lowering | type[nn.Module] = found
    return lowering


def lower(op: FlatOp, site: Site) -> Layer | Call:
    """Describe ``op`` at the sizes of ``site``. Raises :class:`SpacecError` (E0901) where its lowering refuses."""
    target = load_lowering(op.spec.lowering)
    try:
        found = module_layer(target, site) if isinstance(target, type) else target(site)
    except (TypeError, ValueError, KeyError) as error:
        raise errors.lowering_error(
            errors.LOWERING, f"the lowering of `{op.spec.name}` refuses its arguments: {error}", op.span
        ) from error
    return replace(found, frozen=True) if op.frozen and isinstance(found, Layer) else found


def module_layer(cls: type[nn.Module], site: Site) -> Layer:
    """The layer of a user's own module class.

    Its constructor is given the attributes that it names, and on request ``in_channels``,
    ``out_channels``, ``in_type`` (``(channels, *space)``, ``None`` for a free size), ``in_types`` and
    ``out_type``. A true ``emits_losses`` of the class says that its forward returns
    ``(tensor, {name: scalar})``.
    """
    offered: dict[str, Value] = {
        "in_channels": site.inputs[0].channels if site.inputs else 0,
        "out_channels": site.output.channels,
        "in_type": _plain(site.inputs[0]) if site.inputs else (),
        "in_types": tuple(map(_plain, site.inputs)),
        "out_type": _plain(site.output),
        **site.attrs,
    }
    signature = inspect.signature(cls).parameters.values()
    parameters = [p for p in signature if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = [p.name for p in parameters if p.name not in offered and p.default is p.empty]
    if missing:
        raise TypeError(f"{cls.__name__} needs `{missing[0]}`, which is neither an argument of the op nor a type")
    positional = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
    named = [p for p in parameters if p.kind is not p.POSITIONAL_ONLY and p.name in offered]
    return Layer(
        cls,
        tuple(offered[p.name] for p in positional),
        tuple((p.name, offered[p.name]) for p in named),
        emits=bool(getattr(cls, "emits_losses", False)),
    )


def _plain(shape: Shape) -> Value:
    return (shape.channels, *shape.space)
