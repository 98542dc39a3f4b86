"""What every flat graph satisfies, whichever pass made it: checked between passes in the tests.

Sources come first; every op's rule gives the type that the node states; what a choice, a switch or a meeting joins is
of one type; weights have a key, and one key is one layer.
"""

from __future__ import annotations

from collections.abc import Iterator

from spacec.ir.dims import Dim
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatMix, FlatNode, FlatOp, Term, sources_of
from spacec.ir.ops import RuleError
from spacec.ir.sizes import same
from spacec.ir.types import TensorType


def violations(flat: FlatGraph) -> list[str]:
    """What is wrong with a graph, one line each; empty for a sound one."""
    found = []
    layers: dict[str, object] = {}
    for index, node in enumerate(flat.nodes):
        if late := [s for s in sources_of(node) if not 0 <= s < index]:
            found.append(f"node {index} reads {late[0]}, which does not come before it")
            continue
        types = tuple(flat.nodes[s].type for s in sources_of(node))
        found += (f"node {index}: {what}" for what in _of_node(node, types))
        if isinstance(node, FlatOp) and node.key:
            layer = (node.spec.name, tuple(node.attrs.items()), tuple(t.channels for t in types), node.type.channels)
            if layers.setdefault(node.key, layer) != layer:
                found.append(f"node {index}: another layer has the key {node.key}")
    found += _norms(flat)
    found += (f"output {name} is no node" for name, i in flat.outputs.items() if not 0 <= i < len(flat.nodes))
    return found


def _norms(flat: FlatGraph) -> Iterator[str]:
    """The norm of a term is a layer of as many channels as the mix has, wherever its key stands."""
    layers: dict[str, tuple[str, Dim]] = {
        n.key: (n.spec.name, n.type.channels) for n in flat.nodes if isinstance(n, FlatOp) and n.key
    }
    for index, node in enumerate(flat.nodes):
        for term in node.terms if isinstance(node, FlatMix) else ():
            norm = "bn", node.type.channels
            if term.norm and layers.setdefault(term.norm, norm) != norm:
                yield f"node {index}: another layer has the key {term.norm}"


def _of_node(node: FlatNode, types: tuple[TensorType, ...]) -> Iterator[str]:
    match node:
        case FlatInput():
            return
        case FlatOp():
            yield from _of_op(node, types)
        case FlatChoose(bypass=int()):
            *alternatives, rest = types
            share = alternatives[0].channels
            whole = TensorType(share + rest.channels, rest.space, rest.kind)
            yield from (f"it joins {t}, not {share} channels" for t in alternatives if same(t.channels, share) is False)
            if not isinstance(share, int) or not isinstance(whole.channels, int) or whole.channels % share:
                yield f"{share} channels are no share of {whole.channels}"
            if _unlike(whole, node.type):
                yield f"it joins {whole}, not {node.type}"
        case FlatMix():
            for term, whole in zip(node.terms, types, strict=True):
                yield from _of_term(term, whole, node.type)
        case _:
            yield from (f"it joins {t}, not {node.type}" for t in types if _unlike(t, node.type))


def _of_term(term: Term, whole: TensorType, mixed: TensorType) -> Iterator[str]:
    share = TensorType(mixed.channels, whole.space, whole.kind)
    if _unlike(share, mixed):
        yield f"it adds {whole} to {mixed}"
    if term.first == 0 and same(whole.channels, mixed.channels) is not False:
        return
    if not isinstance(whole.channels, int) or not isinstance(mixed.channels, int):
        yield f"it reads channels from {term.first} on of {whole}"
    elif not 0 <= term.first <= whole.channels - mixed.channels:
        yield f"{mixed.channels} channels from {term.first} on are more than {whole} has"


def _of_op(op: FlatOp, types: tuple[TensorType, ...]) -> Iterator[str]:
    if op.recompute and (len(op.inputs) != 1 or op.parts or (op.spec.state and op.spec.name != "bn")):
        yield f"`{op.spec.name}` cannot be made again from one input"
    if op.spec.state and not op.key and not op.parts:
        yield f"`{op.spec.name}` has weights and no key"
    if op.parts and op.key:
        yield f"it is {op.key} and has parts"
    try:
        made = op.spec.rule(op.attrs, types).type
    except RuleError as error:
        yield f"`{op.spec.name}`: {error.message}"
        return
    if _unlike(made, op.type):
        yield f"`{op.spec.name}` gives {made}, not {op.type}"


def _unlike(a: TensorType, b: TensorType) -> bool:
    return a.kind != b.kind or a.rank != b.rank or any(same(p, q) is False for p, q in zip(a.dims, b.dims, strict=True))
