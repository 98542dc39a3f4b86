"""What shape rules share: reading attributes, and asking an input for its kind. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping

from spacec.ir.dims import Apply, Dim, Poly
from spacec.ir.ops import AttrValue, RuleError
from spacec.ir.sizes import assignments, evaluate
from spacec.ir.types import TensorType

Attrs = Mapping[str, AttrValue]
Types = tuple[TensorType, ...]

UNDECIDED = "state the input in multiples, such as [C, 2*H, 2*W], so that halving and doubling it are exact"

_HINTS = {
    "tokens": "`embed` turns tokens into vectors",
    "graph": "linear maps, activations, norms and graph convolutions work on the nodes of a graph",
}


def rounds(*types: TensorType) -> bool:
    """Whether a size of one of these is a rounded quotient."""
    dims = [d for t in types for d in t.dims if isinstance(d, Poly)]
    return any(isinstance(atom, Apply) for d in dims for monomial, _ in d.terms for atom, _ in monomial)


def product(dims: tuple[Dim, ...]) -> Dim:
    out: Dim = 1
    for d in dims:
        out = out * d
    return out


def shown(value: AttrValue) -> str:
    """An attribute as a message says it."""
    if isinstance(value, Poly):
        return f"the size `{value}`"
    return f"[{', '.join(map(shown, value))}]" if isinstance(value, tuple) else repr(value)


def size(attrs: Attrs, name: str, least: int = 1) -> Dim:
    """An attribute that is a size: an integer, or a polynomial over decision symbols."""
    value = attrs[name]
    if isinstance(value, Poly):
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RuleError(f"`{name}` must be an integer of at least {least}, not {shown(value)}", code="E0306")
    return value


def integer(attrs: Attrs, name: str, least: int = 1) -> int:
    """An attribute that is an integer."""
    value = size(attrs, name, least)
    if not isinstance(value, int):
        raise RuleError(f"`{name}` must be a number, not the size `{value}`", code="E0306")
    return value


def one_of(attrs: Attrs, name: str, words: tuple[str, ...]) -> str:
    """An attribute that is one of a few texts."""
    value = attrs[name]
    if not isinstance(value, str) or value not in words:
        known = ", ".join(f'"{w}"' for w in words)
        raise RuleError(f"`{name}` is one of {known}, not {shown(value)}", code="E0306")
    return value


def initial(attrs: Attrs) -> None:
    """Refuse an initialisation that is neither the default nor a normal distribution."""
    match attrs["init"]:
        case "default":
            return
        case ("normal", int() | float() as std) if std > 0:
            return
    raise RuleError('`init` is "default" or normal(std) with a positive std', code="E0306")


def dense(types: Types, what: str) -> TensorType:
    """The first input, a dense tensor."""
    if types[0].kind != "dense":
        raise RuleError(f"{what} needs a dense tensor, found {types[0]}", note=_HINTS[types[0].kind])
    return types[0]


def features(types: Types, what: str) -> TensorType:
    """The first input, anything with real-valued channels: a dense tensor, or the nodes of a graph."""
    if types[0].kind == "tokens":
        raise RuleError(f"{what} needs numbers, found {types[0]}", note=_HINTS["tokens"])
    return types[0]


def sequence(types: Types, what: str) -> TensorType:
    """The first input, a dense tensor with one spatial axis."""
    x = dense(types, what)
    if x.rank != 1:
        note = "`flatten` makes a sequence of a map" if x.rank > 1 else "a sequence is `[channels, T]`"
        raise RuleError(f"{what} needs a sequence [C, T], found {x}", note=note)
    return x


def split(channels: Dim, parts: Dim, what: str) -> None:
    """Refuse channels that do not divide into ``parts``; a counterexample is named where decisions are involved."""
    free = (channels.symbols if isinstance(channels, Poly) else frozenset()) | (
        parts.symbols if isinstance(parts, Poly) else frozenset()
    )
    choices = assignments(free)
    if choices is None:
        raise RuleError(f"{channels} channels are not known to split into {parts} {what}", code="E0305")
    for chosen in choices:
        c, n = evaluate(channels, chosen.__getitem__), evaluate(parts, chosen.__getitem__)
        if n < 1 or c % n != 0:
            sizes = ", ".join(f"{s.name} = {v}" for s, v in chosen.items())
            note = f"a counterexample: an architecture with {sizes}" if sizes else ""
            raise RuleError(f"{c} channels do not split into {n} {what}", note=note)
