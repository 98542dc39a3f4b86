"""A user's own ``nn.Module`` as an op, without packaging: from Python, or from a file named by ``--ops``.

Never from a grammar, so that grammars stay data. The op's name is the class's ``op_name``, else its
name in snake case. Its parameters are those of the constructor; ``in_channels``, ``out_channels``,
``in_type``, ``in_types`` and ``out_type`` are filled in from the types. What comes out:

- by default the input's type; a constructor that takes ``out_channels`` (or ``out``) gives the op an
  open ``out``, one that takes ``stride`` an open ``stride`` (ceil(n / stride));
- ``shape(*inputs, **attrs)``, a static method from ``(channels, *space)`` tuples to one such tuple;
- ``rule(attrs, types)``, a static method that is a whole :data:`spacec.ir.ops.Rule`.

Weights are counted by building the module on torch's meta device; multiplies are those that a static
method ``macs(*inputs, **attrs)`` states, else 0.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.dims import Dim
from spacec.ir.ops import OPEN, REQUIRED, AttrValue, OpParam, OpResult, OpSpec, OpTable, RuleError
from spacec.ir.quotients import ceil_div
from spacec.ir.types import TensorType

FILLED = ("in_channels", "out_channels", "in_type", "in_types", "out_type")
"""Constructor parameters that types give; a grammar does not state them."""

Source = str | Path | type
"""A Python file, or a module class."""


def with_local_ops(table: OpTable, sources: Iterable[Source]) -> OpTable:
    """``table`` and the ops of ``sources``.

    Raises :class:`SpacecError`: E0713 for a file that cannot be imported, E0715 for a class that cannot be an
    op, E0716 for a name that is taken.
    """
    ops = dict(table.ops)
    for source in sources:
        for op in [op_of_module(source)] if isinstance(source, type) else ops_of_file(Path(source)):
            if op.name in ops:
                raise _clash(op, ops[op.name])
            ops[op.name] = op
    return OpTable(ops)


def ops_of_file(path: Path) -> list[OpSpec]:
    """The ops of a Python file: its ``OPS`` list, else every module class that it defines at the top level."""
    module = _import_file(path)
    stated = getattr(module, "OPS", None)
    if stated is None:
        classes = [
            c for n, c in vars(module).items() if _is_module(c) and c.__module__ == module.__name__ and n[0] != "_"
        ]
    elif isinstance(stated, list | tuple) and all(_is_module(c) for c in stated):
        classes = list(stated)
    else:
        raise _unusable(f"OPS of '{path}' is not a list of torch modules", "")
    if not classes:
        raise _unusable(f"'{path}' defines no torch module", "an op is a class with a constructor and a forward")
    return [op_of_module(cls, origin=str(path)) for cls in classes]


def op_of_module(cls: type, origin: str = "") -> OpSpec:
    """The op that a module class stands for (see the module docstring)."""
    if not _is_module(cls):
        raise _unusable(f"'{cls.__name__}' is not a torch module", "an op is a class with a constructor and a forward")
    if "<locals>" in cls.__qualname__:
        raise _unusable(f"'{cls.__name__}' is defined inside a function", "define it at the top level of a module")
    name = getattr(cls, "op_name", None) or _snake(cls.__name__)
    params = _parameters(cls)
    help = next(iter((cls.__doc__ or "").strip().splitlines()), "") or f"the module {cls.__name__}"
    return OpSpec(
        name=name,
        rule=getattr(cls, "rule", None) or ModuleRule(cls, name),
        lowering=f"{cls.__module__}:{cls.__qualname__}",
        params=params,
        state=True,
        inputs=_number_of_inputs(cls),
        help=help,
        origin=origin or cls.__module__,
    )


@dataclass(frozen=True)
class ModuleRule:
    """The rule of a module class that states none."""

    cls: type
    op: str

    def __call__(self, attrs: Mapping[str, AttrValue], inputs: tuple[TensorType, ...]) -> OpResult:
        if any(not isinstance(t.channels, int) for t in inputs):
            raise RuleError(
                "channels that a decision chooses need a `rule` of the module", f"it is {self.cls.__name__}"
            )
        shape = getattr(self.cls, "shape", None)
        given = tuple(t.dims for t in inputs)
        if shape is not None:
            channels, *space = self._ask(shape, given, attrs)
            output = TensorType(channels, tuple(space))
        else:
            output = _default_type(attrs, inputs)
        macs = getattr(self.cls, "macs", None)
        return OpResult(output, self._weights(attrs, inputs, output), self._ask(macs, given, attrs) if macs else 0)

    def _ask(
        self, method: Callable[..., Any], given: tuple[tuple[Dim, ...], ...], attrs: Mapping[str, AttrValue]
    ) -> Any:
        try:
            return method(*given, **attrs)
        except Exception as error:  # the user's own code may raise anything; the finding points at the use of the op
            name = f"{self.cls.__name__}.{method.__name__}"
            raise RuleError(f"{name} raised {type(error).__name__}: {error}", code="E0714") from error

    def _weights(self, attrs: Mapping[str, AttrValue], inputs: tuple[TensorType, ...], output: TensorType) -> int:
        from spacec.lower.measure import count_weights  # torch, which the user's file has imported already

        try:
            return count_weights(self.cls, self.op, attrs, tuple(map(_sizes, inputs)), _sizes(output))
        except Exception as error:  # the user's own constructor may raise anything
            text = f"building {self.cls.__name__} raised {type(error).__name__}: {error}"
            raise RuleError(text, code="E0714") from error


def _default_type(attrs: Mapping[str, AttrValue], inputs: tuple[TensorType, ...]) -> TensorType:
    first = inputs[0]
    out, stride = attrs.get("out", first.channels), attrs.get("stride", 1)
    steps = stride if isinstance(stride, tuple) else (stride,) * first.rank
    if len(steps) != first.rank or not all(isinstance(s, int) and s >= 1 for s in steps):
        raise RuleError(f"`stride` must be a positive integer (or one for each axis), not {stride!r}", code="E0306")
    if not isinstance(out, int) or out < 1:
        raise RuleError(f"`out` must be a positive integer, not {out!r}", code="E0306")
    space = tuple(
        n if s == 1 else ceil_div(n, s) for n, s in zip(first.space, steps, strict=True) if isinstance(s, int)
    )
    return TensorType(out, space, first.kind)


def _sizes(type_: TensorType) -> tuple[int | None, ...]:
    return tuple(d if isinstance(d, int) else None for d in type_.dims)


def _parameters(cls: type) -> tuple[OpParam, ...]:
    found: list[OpParam] = []
    for p in inspect.signature(cls).parameters.values():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        if p.name in ("out", "out_channels"):
            found.append(OpParam("out", OPEN, "size", "output channels", "channels"))
        elif p.name == "stride":
            found.append(OpParam("stride", OPEN, "any", "step along each spatial axis"))
        elif p.name not in FILLED:
            default = REQUIRED if p.default is p.empty else p.default
            if default is REQUIRED or _is_literal(default):
                found.append(OpParam(p.name, default, "any"))
    return tuple(found)


def _number_of_inputs(cls: Any) -> int | None:
    parameters = list(inspect.signature(cls.forward).parameters.values())[1:]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters)


def _is_module(value: object) -> bool:
    # Known by what it can do, because this layer must not import torch.
    return isinstance(value, type) and all(
        callable(getattr(value, m, None)) for m in ("forward", "parameters", "state_dict")
    )


def _is_literal(value: object) -> bool:
    return (
        value is None
        or isinstance(value, bool | int | float | str)
        or (isinstance(value, tuple) and all(map(_is_literal, value)))
    )


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _import_file(path: Path) -> ModuleType:
    """The file as a module; its name holds a digest of its text, so that an edited file is a new module."""
    try:
        text = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SpacecError(Diagnostic("E0713", f"the ops of '{path}' could not be loaded", notes=(reason,))) from error
    digest = hashlib.sha256(str(path.resolve()).encode() + b"\0" + text).hexdigest()[:12]
    stem = re.sub(r"\W", "_", path.stem)
    name = f"spacec_local_{stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise _unusable(f"'{path}' is not a Python file", "its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # lowerings are named "module:attr", and the module must be found by that name
    try:
        exec(compile(text, path, "exec"), module.__dict__)  # not the loader, whose cache may hold an older text
    except (Exception, SystemExit) as error:  # a user's file may raise anything
        del sys.modules[name]
        note = f"importing it raised {type(error).__name__}: {error}"
        raise SpacecError(Diagnostic("E0713", f"the ops of '{path}' could not be loaded", notes=(note,))) from error
    return module


def _unusable(headline: str, note: str) -> SpacecError:
    return SpacecError(Diagnostic("E0715", headline, notes=(note,) if note else ()))


def _clash(op: OpSpec, other: OpSpec) -> SpacecError:
    notes = (f"one is {op.lowering.partition(':')[2]} of {op.origin}, the other comes from {other.origin}",)
    help = f"give the class another name, or set op_name = 'my_{op.name}' in it"
    return SpacecError(Diagnostic("E0716", f"two ops are named '{op.name}'", notes=notes, help=help))
