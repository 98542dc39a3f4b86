"""Drop what no output reads: the branches that ``select(0)`` never looks at are not built.

Assumes a finished graph. Guarantees that every node of the result is read by an output in some
architecture. A decision in text that no output reads is an error, reported to the sink.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from spacec.diagnostics.model import Diagnostic, Sink
from spacec.ir.conditions import both, decisions
from spacec.ir.dims import Dim, Poly, Symbol
from spacec.ir.graph import (
    CallNode,
    ChooseNode,
    DecisionDecl,
    DecisionRef,
    Mention,
    Node,
    OpNode,
    Ref,
    Region,
    SpaceGraph,
    SwitchNode,
)


@dataclass(frozen=True)
class PruneDead:
    """The pass; it has no options."""

    def apply(self, graph: SpaceGraph, sink: Sink) -> SpaceGraph:
        """The graph without dead code; decisions that die with it are reported (``E0406``)."""
        work = _Pruning()
        live = frozenset(range(len(graph.root.outputs)))
        root = work.prune(graph.root, live, frozenset(range(len(graph.root.inputs))))
        for decision in _decisions(graph.root):
            if not _identities(decision) & work.kept:
                sink.add(
                    Diagnostic(
                        "E0406",
                        "this decision feeds no output",
                        decision.span,
                        "nothing reads what it decides",
                        notes=("code that no output reads is not built, so choosing here would change nothing",),
                    )
                )
        return replace(graph, root=root)


def _identities(decision: DecisionDecl) -> set[int]:
    """A decision's own identity, and that of the declaration whose size symbol it shares."""
    return {id(decision)} | ({id(decision.symbol.ref)} if decision.symbol else set())


def _decisions(root: Region) -> list[DecisionDecl]:
    seen: set[int] = set()
    found: list[DecisionDecl] = []
    stack = [root]
    while stack:
        region = stack.pop()
        if id(region) in seen or not region.searches:
            continue
        seen.add(id(region))
        found.extend(region.decisions)
        stack.extend(n.region for n in region.nodes if isinstance(n, CallNode))
    return found


@dataclass
class _Pruning:
    """Regions already pruned, by the outputs that are read; declarations that something live mentions."""

    done: dict[tuple[int, frozenset[int]], Region] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)
    known: dict[tuple[int, frozenset[int]], dict[int, frozenset[int]]] = field(default_factory=dict)

    def prune(self, region: Region, live: frozenset[int], inputs: frozenset[int] | None = None) -> Region:
        """The region with only ``live`` outputs and the inputs they need (``inputs``: these, needed or not)."""
        key = (id(region), live)
        if key not in self.done:
            self.done[key] = self._prune(region, live, self.needs(region, live) if inputs is None else inputs)
        return self.done[key]

    def needs(self, region: Region, live: frozenset[int]) -> frozenset[int]:
        """The inputs that the live outputs of a region depend on."""
        return frozenset(k for k in self.read(region, live) if k < len(region.inputs))

    def read(self, region: Region, live: frozenset[int]) -> dict[int, frozenset[int]]:
        """The outputs of each node that the live outputs need; nodes that none needs are left out."""
        key = (id(region), live)
        if key not in self.known:
            self.known[key] = self._read(region, live)
        return self.known[key]

    def _read(self, region: Region, live: frozenset[int]) -> dict[int, frozenset[int]]:
        """Nodes are ordered, so one sweep from the end suffices."""
        first = len(region.inputs)
        wanted: dict[int, set[int]] = {}
        for k in live:
            ref = region.outputs[k].ref
            wanted.setdefault(ref.node, set()).add(ref.out)
        for index in range(first + len(region.nodes) - 1, first - 1, -1):
            if index not in wanted:
                continue
            for ref in self._sources(region.nodes[index - first], frozenset(wanted[index])):
                wanted.setdefault(ref.node, set()).add(ref.out)
        return {node: frozenset(outs) for node, outs in wanted.items()}

    def _sources(self, node: Node, outs: frozenset[int]) -> list[Ref]:
        match node:
            case OpNode():
                return list(node.inputs)
            case ChooseNode() | SwitchNode():
                return [a for a in node.alternatives if a is not None]
            case CallNode():
                return [node.inputs[k] for k in sorted(self.needs(node.region, outs))]

    def _prune(self, region: Region, live: frozenset[int], inputs: frozenset[int]) -> Region:
        wanted = self.read(region, live)
        place: dict[int, int] = {old: new for new, old in enumerate(sorted(inputs))}
        renumber: dict[Ref, Ref] = {}
        nodes: list[Node] = []

        def moved(ref: Ref) -> Ref:
            return renumber.get(ref) or (ref if place[ref.node] == ref.node else Ref(place[ref.node], ref.out))

        for index, node in enumerate(region.nodes, len(region.inputs)):
            if index not in wanted and not _is_shared_value(node):
                continue
            place[index] = len(inputs) + len(nodes)
            match node:
                case OpNode():
                    self._keep_symbols(node)
                    sources = tuple(map(moved, node.inputs))
                    nodes.append(node if sources == node.inputs else replace(node, inputs=sources))
                case ChooseNode():
                    self._keep_slot(node)
                    alternatives = tuple(None if a is None else moved(a) for a in node.alternatives)
                    same = alternatives == node.alternatives
                    nodes.append(node if same else replace(node, alternatives=alternatives))
                case SwitchNode():
                    self._keep_conditions(node)
                    nodes.append(
                        replace(node, alternatives=tuple(None if a is None else moved(a) for a in node.alternatives))
                    )
                case CallNode():
                    outs = wanted.get(index, frozenset())
                    inner = self.prune(node.region, outs)
                    arguments = tuple(map(moved, self._sources(node, outs)))
                    renumber.update({Ref(index, k): Ref(place[index], new) for new, k in enumerate(sorted(outs))})
                    nodes.append(replace(node, region=inner, inputs=arguments))
        outputs = tuple(replace(region.outputs[k], ref=moved(region.outputs[k].ref)) for k in sorted(live))
        kept = tuple(region.inputs[k] for k in sorted(inputs))
        return replace(region, inputs=kept, nodes=nodes, outputs=outputs)

    def _keep_slot(self, node: ChooseNode) -> None:
        for decision in (node.slot.decision, node.slot.pick):
            if decision is not None:
                self.kept.add(id(decision))

    def _keep_conditions(self, node: SwitchNode) -> None:
        for ref in decisions(both(*node.conditions)):
            if isinstance(ref, DecisionRef):
                self.kept.add(id(ref.decision))

    def _keep_symbols(self, node: OpNode) -> None:
        sizes: list[Dim] = [*node.result.type.dims, node.result.params]
        for value in node.attrs.values():
            sizes.extend(v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, Poly))
        for size in sizes:
            for symbol in size.symbols if isinstance(size, Poly) else ():
                self._keep_symbol(symbol)

    def _keep_symbol(self, symbol: Symbol) -> None:
        if isinstance(symbol.ref, Mention):
            self.kept.add(id(symbol.ref.ref.decision))
        elif isinstance(symbol.ref, DecisionDecl):
            self.kept.add(id(symbol.ref))


def _is_shared_value(node: Node) -> bool:
    """A value let: its use is known by its symbols, not by an output."""
    return isinstance(node, CallNode) and not node.region.inputs and not node.region.outputs
