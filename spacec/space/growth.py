"""Which way the sizes of a space go with each elastic decision: where the largest tensors are.

A supernet holds the largest tensors and runs slices of them. Sums and products of sizes are largest
where every decision is; a bottleneck of ``width / ratio`` is where the ratio is smallest. Assumes finished regions;
says ``None`` of a decision that makes some sizes grow and others shrink, which supernets then refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spacec.ir.dims import Apply, Dim, Poly, Symbol
from spacec.ir.graph import OpNode, SpaceGraph
from spacec.ir.naming import DECISION, global_size
from spacec.ir.ops import AttrValue
from spacec.ir.sizes import assignments, evaluate, largest_of


def growth_of_sizes(graph: SpaceGraph, names: Mapping[int, str]) -> dict[str, bool | None]:
    """For each decision that shrinks some size, ``False``, or ``None`` where it makes others grow."""
    up: set[str] = set()
    down: set[str] = set()
    for size in dict.fromkeys(_sizes(graph)):
        known = largest_of(global_size(size, names), {})  # presence has no order: each size is at its largest
        if isinstance(known, Poly):
            for symbol in known.symbols:
                if symbol.ref == DECISION:
                    rises, falls = _moves(known, symbol)
                    up |= {symbol.name} if rises else set()
                    down |= {symbol.name} if falls else set()
    return {name: None if name in up else False for name in down}


def _sizes(graph: SpaceGraph) -> Iterator[Poly]:
    """Channels and attributes that mention a symbol."""
    for region in graph.regions():
        for node in region.nodes:
            if isinstance(node, OpNode):
                yield from _polys(node.result.type.channels)
                for value in node.attrs.values():
                    yield from _polys(value)


def _polys(value: AttrValue) -> Iterator[Poly]:
    if isinstance(value, Poly):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _polys(item)


def _moves(size: Poly, symbol: Symbol) -> tuple[bool, bool]:
    """Whether a size rises anywhere with a symbol, and whether it falls."""
    if _only_grows(size):
        return True, False
    others = size.symbols - {symbol}
    rises = falls = False
    for case in assignments(others) or ():
        before: int | None = None
        for value in sorted(symbol.domain or ()):
            now = evaluate(size, {**case, symbol: value}.__getitem__)
            if before is not None:
                rises, falls = rises or now > before, falls or now < before
            before = int(now)
    return rises, falls


def _only_grows(size: Dim) -> bool:
    """Whether a size visibly grows with everything in it."""
    if isinstance(size, int):
        return True
    return all(
        coefficient > 0 and (isinstance(atom, Symbol) or (isinstance(atom, Apply) and _grows(atom)))
        for monomial, coefficient in size.terms
        for atom, _ in monomial
    )


def _grows(atom: Apply) -> bool:
    if atom.fn == "mod" or (atom.fn in ("floor_div", "ceil_div") and not isinstance(atom.args[1], int)):
        return False
    return all(map(_only_grows, atom.args))
