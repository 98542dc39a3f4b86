"""Attributes of one application: what is given, what `default` resets, and what the stated type leaves open."""

from __future__ import annotations

from math import isfinite

from spacec.diagnostics.model import Label
from spacec.ir.dims import Dim, Poly, Symbol
from spacec.ir.ops import OPEN, REQUIRED, AttrValue, OpParam, OpSpec
from spacec.ir.quotients import ceil_div, exact_div
from spacec.ir.sizes import divides
from spacec.ir.types import TensorType
from spacec.sema.machine import Machine
from spacec.sema.values import Pack, Tensor, Value, Want, describe
from spacec.source import Span


def read_attributes(
    m: Machine, spec: OpSpec, given: dict[str, Value], tensors: tuple[Tensor, ...], want: Want | None, span: Span
) -> dict[str, AttrValue] | None:
    """Every attribute of an op: given, reset by `default`, inferred from the stated type, or the op's default."""
    attrs: dict[str, AttrValue] = {}
    x = tensors[0].type
    for param in spec.params:
        if param.name in given:
            value = attribute_value(given[param.name])
        elif (reset := m.reset(spec.name, param.name, span)) is not None:
            value = reset
        elif param.default is REQUIRED:
            m.fail(
                "E0204",
                span,
                f"`{spec.name}` needs `{param.name}`",
                "not given",
                notes=(param.help,) if param.help else (),
            )
            return None
        elif param.default is OPEN:
            inferred = _infer(m, param, x, want, span)
            if inferred is None:
                return None
            value = inferred
        else:
            value = param.default  # type: ignore[assignment]  # the markers were handled above
        if value is _BAD or not _fits(param, value):
            found = describe(given[param.name]) if param.name in given else repr(value)
            m.fail("E0306", span, f"`{param.name}` of `{spec.name}` cannot be {found}")
            return None
        if isinstance(value, Poly) and divides(value, 1) is False:
            headline = f"`{param.name}` of `{spec.name}` is {value}, not a whole number in every architecture"
            m.fail("E0306", span, headline, help="round it: `round_to(…, 8)`, or `//`")
            return None
        if param.kind == "size" and isinstance(value, Poly) and any(map(_free, value.symbols)):
            headline = f"`{param.name}` of `{spec.name}` is {value}, which only an input settles"
            m.fail("E0306", span, headline, notes=("weights and windows are made before there is an input",))
            return None
        attrs[param.name] = value
    return attrs


def _free(symbol: Symbol) -> bool:
    """Whether this is a size of an input, rather than of a decision."""
    return symbol.domain is None and symbol.part is None


_BAD = ("not an attribute",)


def _fits(param: OpParam, value: AttrValue) -> bool:
    """Whether a value is of the parameter's kind; sizes are left to the op's rule."""
    match param.kind:
        case "flag":
            return isinstance(value, int) and value in (0, 1)
        case "float":
            return isinstance(value, int | float) and isfinite(value)
        case "text":
            return isinstance(value, str)
        case _:
            return True


def is_attribute(value: Value) -> bool:
    """Whether a value can be an op's attribute."""
    return attribute_value(value) is not _BAD


def attribute_value(value: Value) -> AttrValue:
    """A value as an op's attribute; see :func:`is_attribute`."""
    if isinstance(value, Pack):
        return tuple(attribute_value(v) for v in value.items)
    if isinstance(value, bool | int | float | str | Poly):
        return value
    return _BAD


def _infer(m: Machine, param: OpParam, x: TensorType, want: Want | None, span: Span) -> AttrValue | None:
    if param.name == "out":
        return want.out if want and want.out is not None else x.channels
    if want is None or want.space is None:
        return 1
    if len(want.space) != x.rank:
        m.fail("E0304", span, f"{x.rank} spatial axes cannot become {len(want.space)}", labels=_stated(want))
        return None
    up = param.name == "factor"
    large, small = (want.space, x.space) if up else (x.space, want.space)
    steps = tuple(_ratio(a, b, up) for a, b in zip(large, small, strict=True))
    if any(s is None for s in steps):
        a, b = ", ".join(map(str, x.space)), ", ".join(map(str, want.space))
        larger = not up and any(_ratio(p, q, up=True) for p, q in zip(want.space, x.space, strict=True))
        notes = ("a stride makes maps smaller; `upsample` makes them larger",) if larger else _nearest(x, want, up)
        what = "factor" if up else "stride"
        m.fail("E0304", span, f"no whole {what} takes [{a}] to [{b}]", labels=_stated(want), notes=notes)
        return None
    distinct = set(steps)
    return distinct.pop() if len(distinct) == 1 else steps


def _nearest(x: TensorType, want: Want, up: bool) -> tuple[str, ...]:
    """What the nearest stride makes of the first axis that no stride takes to the stated size."""
    for big, small in zip(x.space, want.space or (), strict=True):
        if not up and isinstance(big, int) and isinstance(small, int) and 0 < small < big:
            stride = big // small
            made = -(-big // stride)
            if stride > 1 and made != small:
                text = f"({big} + {stride - 1})//{stride}"
                return (f"a stride of {stride} makes {made} of {big}: it rounds up, as `{text}` does",)
    return ()


def grows(x: Value, want: Want) -> bool:
    """Whether the stated type is larger in space than the input: upsampling takes the change, not a stride."""
    if not isinstance(x, Tensor) or want.space is None:
        return False
    ratios = [_ratio(big, small, up=True) for big, small in zip(want.space, x.type.space, strict=False)]
    return all(r is not None for r in ratios) and any(r != 1 for r in ratios)


def _stated(want: Want) -> tuple[Label, ...]:
    return (Label(want.span, "this type is stated here"),)


def _ratio(big: Dim, small: Dim, up: bool) -> int | None:
    """The stride from ``big`` to ``small`` (or the factor back), a positive integer."""
    quotient = exact_div(big, small)
    if quotient is not None and quotient[1]:
        return quotient[0] if isinstance(quotient[0], int) and quotient[0] >= 1 else None
    if up or not isinstance(big, int) or not isinstance(small, int) or small < 1 or small > big:
        return next((s for s in range(2, 65) if not up and ceil_div(big, s) == small), None)
    stride = -(-big // small)
    return stride if -(-big // stride) == small else None
