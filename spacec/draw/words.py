"""The words of a picture: what an op, a size and a decision are called. Assumes nothing; never raises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from spacec.ir.dims import Dim, Poly, Symbol, poly
from spacec.ir.graph import CallNode, DecisionDecl, OpNode
from spacec.ir.sizes import substitute
from spacec.ir.types import TensorType

SHOWN = 6
"""Numbers that are listed one by one; more are written as a range."""
LONG = 30
"""Characters of a line before it is wrapped or cut."""
TIMES, DOT, ELLIPSIS, DASH = "\u00d7", " \u00b7 ", "\u2026", "\u2013"

Decided = Callable[[DecisionDecl], int | None]


def numbers_text(labels: Sequence[str]) -> str:
    """``3 | 5 | 7``; many as ``8 | 16 | 24 | ... | 512 (20)``."""
    if len(labels) <= SHOWN:
        return " | ".join(labels)
    return f"{' | '.join(labels[:3])} | {ELLIPSIS} | {labels[-1]} ({len(labels)})"


def range_text(labels: Sequence[str]) -> str:
    """An elastic size: ``[16..64]``."""
    found = sorted(map(int, labels)) if all(label.isdigit() for label in labels) else []
    return f"[{found[0]}..{found[-1]}]" if found else " | ".join(labels)


def subset_text(decision: DecisionDecl) -> str:
    """How many a pick takes: ``2 of 3``, ``any of 4``."""
    if decision.low == 0 and decision.high == decision.size:
        return f"any of {decision.size}"
    size = f"{decision.low}" if decision.low == decision.high else f"{decision.low}{ELLIPSIS}{decision.high}"
    return f"{size} of {decision.size}"


def decision_text(decision: DecisionDecl) -> str:
    """The candidates of a decision in a few words."""
    return subset_text(decision) if decision.kind == "subset" else numbers_text(decision.labels)


def size_text(dim: Dim, own: Sequence[DecisionDecl], decided: Decided) -> str:
    """A size: its number where it is decided, a range where it is this place's own choice, else its formula."""
    if isinstance(dim, int):
        return str(dim)

    def known(symbol: Symbol) -> Dim:
        value = decided(symbol.ref) if isinstance(symbol.ref, DecisionDecl) else None
        return poly(symbol) if value is None else value

    try:
        dim = substitute(dim, known)
    except ValueError:  # no whole number at these values
        return str(dim)
    if isinstance(dim, Poly) and len(dim.symbols) == 1:
        symbol = next(iter(dim.symbols))
        if dim == poly(symbol) and any(symbol.ref is d for d in own):
            return range_text([str(v) for v in symbol.domain or ()])
    return str(dim)


def type_text(type: TensorType, decided: Decided) -> str:
    """A type with decided sizes as numbers."""
    if not type.symbols:
        return str(type)
    space = ", ".join(size_text(d, (), decided) for d in (type.channels, *type.space))
    return f"[{space}]" if type.kind == "dense" else str(type)


def op_text(op: OpNode, source: TensorType | None, own: Sequence[DecisionDecl], decided: Decided) -> str:
    """``conv 3x3, 64 / 2``: its kernel, its channels where they change, its stride."""
    words = [op.spec.name]
    kernel = op.attrs.get("kernel")
    if isinstance(kernel, int | Poly) and not isinstance(kernel, bool):
        side = size_text(kernel, own, decided)
        words.append(TIMES.join([side] * max(1, op.result.type.rank)) if side.isdigit() else side)
    words += [text for text in (_spread(op.attrs, source), _factor(op.attrs)) if text]
    text = " ".join(words)
    out = op.attrs.get("out")
    if op.spec.state and isinstance(out, int | Poly) and (source is None or out != source.channels):
        text += f", {size_text(out, own, decided)}"
    stride = op.attrs.get("stride")
    return f"{text} / {stride}" if isinstance(stride, int) and stride > 1 else text


def _spread(attrs: Mapping[str, object], source: TensorType | None) -> str:
    groups, dilation = attrs.get("groups"), attrs.get("dilation")
    words = []
    if isinstance(groups, int | Poly) and groups != 1:
        words.append("depthwise" if source is not None and groups == source.channels else f"groups {groups}")
    if isinstance(dilation, int) and dilation > 1:
        words.append(f"dilation {dilation}")
    return " ".join(words)


def _factor(attrs: Mapping[str, object]) -> str:
    factor = attrs.get("factor")
    return f"{TIMES}{factor}" if isinstance(factor, int) else ""


def call_text(call: CallNode, name: str) -> str:
    """A call as its text has it, where that is short: ``residual_down(2*C)``."""
    text = call.span.text if call.span.end > call.span.start else ""
    return text if text.startswith(name) and "\n" not in text and len(text) <= LONG else name


def wrapped(words: Sequence[str]) -> tuple[str, ...]:
    """Words joined by dots, in lines that are not too long."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(DOT) + len(word) <= LONG:
            lines[-1] += DOT + word
        else:
            lines.append(word)
    return tuple(lines)


def value_text(decision: DecisionDecl, value: int | tuple[int, ...]) -> str:
    """What an architecture decides."""
    return "+".join(map(str, value)) or "none" if isinstance(value, tuple) else decision.labels[value]


def depth_text(depths: Sequence[int]) -> str:
    """How often a copy stands: ``1-3``, or the depths one by one where they have gaps."""
    low, high = min(depths), max(depths)
    return f"{low}{DASH}{high}" if len(depths) == high - low + 1 else " | ".join(map(str, sorted(depths)))
