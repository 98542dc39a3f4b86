"""Small flat graphs, built by hand: the shapes of spaces that the back end must serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from spacec.ir.conditions import ALWAYS, Cond, Has, Is, both
from spacec.ir.dims import Dim, Symbol, poly
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatNode, FlatOp
from spacec.ir.naming import DECISION
from spacec.ir.ops import OPEN, REQUIRED, AttrValue, OpSpec, Precondition
from spacec.ir.types import TensorType
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.decisions import Decision, DecisionTable, Slot
from spacec.std.primitives import PRIMITIVE_TABLE


@dataclass
class Builder:
    """Appends nodes; every method returns a node index."""

    nodes: list[FlatNode] = field(default_factory=list)
    preconditions: list[Precondition] = field(default_factory=list)
    guard: Cond = ALWAYS

    def input(self, name: str, *dims: Dim) -> int:
        return self._add(FlatInput(name, TensorType(dims[0], tuple(dims[1:]))))

    def op(self, name: str | OpSpec, *inputs: int, key: str = "", **given: AttrValue) -> int:
        spec = PRIMITIVE_TABLE.ops[name] if isinstance(name, str) else name
        types = tuple(self.nodes[i].type for i in inputs)
        attrs: dict[str, AttrValue] = {}
        for param in spec.params:
            default = types[0].channels if param.name == "out" else 1
            assert param.name in given or param.default is not REQUIRED
            attrs[param.name] = given.get(param.name, default if param.default is OPEN else param.default)
        result = spec.rule(attrs, types)
        self.preconditions += result.preconditions
        return self._add(FlatOp(spec, attrs, inputs, result.type, key, self.guard))

    def choose(self, slot: str, alternatives: Sequence[int | None], instance: str) -> int:
        type_ = next(self.nodes[a].type for a in alternatives if a is not None)
        return self._add(FlatChoose(slot, tuple(alternatives), type_, instance, self.guard))

    def chain(self, x: int, *steps: tuple[Any, ...]) -> int:
        """Steps are ``(op, key, attrs)``."""
        for name, key, attrs in steps:
            x = self.op(name, x, key=key, **attrs)
        return x

    def graph(self, name: str, **outputs: int) -> FlatGraph:
        inputs = tuple(n.name for n in self.nodes if isinstance(n, FlatInput))
        return FlatGraph(name, tuple(self.nodes), inputs, outputs, tuple(self.preconditions))

    def _add(self, node: FlatNode) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1


@dataclass(frozen=True)
class Toy:
    """A space: its graph, its decisions, and how to choose an architecture from a random source."""

    flat: FlatGraph
    table: DecisionTable
    shapes: tuple[tuple[int, ...], ...]

    def architecture(self, choose: Callable[[Decision], int | tuple[int, ...]]) -> Architecture:
        chosen: dict[str, int | tuple[int, ...]] = {}
        for decision in self.table.decisions:
            if _active(decision.active, chosen):
                chosen[decision.id] = choose(decision)
        return architecture_of(self.table, chosen)


def _active(condition: Cond, chosen: dict[str, int | tuple[int, ...]]) -> bool:
    from spacec.ir.conditions import holds

    return holds(condition, lambda d: chosen.get(str(d)))


EDGE = ("zero", "skip", "conv", "pool")


def _edge(b: Builder, x: int, key: str, decision: str) -> list[int]:
    """The four candidates of :data:`EDGE`, guarded by their decision."""
    outer, found = b.guard, []
    for k, label in enumerate(EDGE):
        b.guard = both(outer, Is(decision, frozenset((k,))))
        if label == "conv":
            found.append(
                b.chain(x, ("relu", "", {}), ("conv", f"{key}.conv_0", {"kernel": 3}), ("bn", f"{key}.bn_0", {}))
            )
        else:
            found.append(b.op({"zero": "zero", "skip": "identity", "pool": "avg_pool"}[label], x, kernel=3))
    b.guard = outer
    return found


def cell_space(channels: int = 4, cells: int = 2) -> Toy:
    """NAS-Bench-201 in small: three edges shared by all cells, four candidates each."""
    b = Builder()
    x = b.input("image", 3, 8, 8)
    x = b.chain(x, ("conv", "stem_0.conv_0", {"kernel": 3, "out": channels}), ("bn", "stem_0.bn_0", {}))
    names = [f"cell.edge[{k}]" for k in range(3)]
    for c in range(cells):
        states, edge = [x], 0
        for _ in range(2):
            terms = []
            for state in states:
                found = _edge(b, state, f"cell_{c}.edge_{edge}", names[edge])
                terms.append(b.choose(names[edge], found, f"cell_{c}.edge_{edge}"))
                edge += 1
            states.append(b.op("sum", *terms))
        x = states[-1]
    x = b.op("global_pool", b.op("relu", x))
    x = b.op("linear", x, key="head_0.linear_0", out=5)
    decisions = tuple(Decision(n, "cell", "op", EDGE) for n in names)
    slots = tuple(Slot(n, EDGE, n) for n in names)
    table = DecisionTable("toy_cell", "0123abcd", decisions, slots)
    return Toy(b.graph("toy_cell", logits=x), table, ((2, 3, 8, 8),))


PICKED = ("absent", "skip", "conv")


def pick_space(rank: int = 2, stride: int = 1) -> Toy:
    """DARTS in small: two nodes, each the sum of two picked edges; *absent* is a candidate. One or two axes."""
    b = Builder()
    space = (8,) * rank
    x = b.input("image", 2, *space)
    x = b.op("conv", x, key="stem_0.conv_0", kernel=3, out=4)
    states = [x, b.chain(x, ("relu", "", {}), ("conv", "stem_1.conv_0", {"kernel": 1}))]
    decisions: list[Decision] = []
    slots: list[Slot] = []
    for node in range(2):
        pick = f"cell.pick[{node}]"
        decisions.append(Decision(pick, "cell", "subset", low=2, high=2, size=len(states)))
        terms = []
        for element, state in enumerate(states):
            op = f"{pick}.edge[{element}]"
            has = Has(pick, element)
            decisions.append(Decision(op, "cell", "op", PICKED[1:], active=has))
            slots.append(Slot(f"{op}", PICKED, op, pick, element, True))
            key = f"node_{node}.edge_{element}"
            b.guard = both(has, Is(op, frozenset((0,))))
            skip = b.op("identity", state)
            b.guard = both(has, Is(op, frozenset((1,))))
            conv = b.chain(
                state,
                ("relu", "", {}),
                ("conv", f"{key}.conv_0", {"kernel": 3, "groups": 4}),
                ("conv", f"{key}.conv_1", {"kernel": 1}),
                ("bn", f"{key}.bn_0", {"affine": 0}),
                ("drop_path", f"{key}.drop_path_0", {}),
            )
            b.guard = has
            terms.append(b.choose(op, [None, skip, conv], f"cell_0.{op}"))
        b.guard = ALWAYS
        states.append(b.op("sum", *terms))
    x = b.op("concat", *states[2:])
    x = b.chain(
        x,
        ("max_pool", "", {"kernel": 3, "stride": 2}),
        ("global_pool", "", {}),
        ("dropout", "head_0.dropout_0", {"rate": 0.25}),
        ("linear", "head_0.linear_0", {"out": 3}),
    )
    table = DecisionTable("toy_pick", "0123abcd", tuple(decisions), tuple(slots))
    return Toy(b.graph("toy_pick", logits=x), table, ((3, 2, *space),))


def elastic_decision(name: str, *values: int) -> tuple[Decision, Symbol]:
    decision = Decision(name, "net", "value", tuple(map(str, values)), values, elastic=True)
    return decision, Symbol(name, values, DECISION)


def mlp_space(slots: bool = True) -> Toy:
    """TabNAS in small: two elastic widths."""
    b = Builder()
    x = b.input("row", 5)
    decisions = []
    for k in range(2):
        decision, width = elastic_decision(f"net.linear[{k}]", 2, 6, 4)
        decisions.append(decision)
        x = b.op("relu", b.op("linear", x, key=f"linear_{k}", out=poly(width)))
    x = b.op("linear", x, key="linear_2", out=1)
    table = DecisionTable(
        "toy_mlp",
        "0123abcd",
        tuple(decisions),
        tuple(Slot(d.id, d.labels, d.id) for d in decisions) if slots else (),
    )
    return Toy(b.graph("toy_mlp", y=x), table, ((7, 5),))


def elastic_conv_space(norm: str = "bn") -> Toy:
    """Elastic kernel and widths through a depthwise convolution, a norm, and a concatenation."""
    b = Builder()
    x = b.input("image", 2, 6, 6)
    kernel_decision, kernel = elastic_decision("net.kernel", 3, 5, 1)
    wide_decision, wide = elastic_decision("net.wide", 2, 4)
    side_decision, side = elastic_decision("net.side", 3, 1)
    left = b.op("conv", x, key="left_0.conv_0", kernel=poly(kernel), out=2 * poly(wide), bias=1)
    left = b.op(norm, left, key="left_0.norm_0")
    left = b.op("hardswish", left)
    left = b.op("conv", left, key="left_0.conv_1", kernel=3, out=2 * poly(wide), groups=2 * poly(wide), stride=2)
    gate = b.op("sigmoid", b.op("linear", b.op("global_pool", left), key="left_0.gate_0", out=2 * poly(wide)))
    left = b.op("mul", left, gate)
    right = b.op("conv", x, key="right_0.conv_0", kernel=2, out=poly(side), stride=2)
    both_ = b.op("concat", left, right)
    both_ = b.op("sigmoid", b.op(norm, both_, key="joint_0.norm_0"))
    y = b.op("conv", both_, key="joint_0.conv_0", kernel=poly(kernel), out=3)
    decisions = (kernel_decision, wide_decision, side_decision)
    table = DecisionTable("toy_elastic", "0123abcd", decisions, tuple(Slot(d.id, d.labels, d.id) for d in decisions))
    return Toy(b.graph("toy_elastic", map=y), table, ((3, 2, 6, 6),))


def pyramid_space() -> Toy:
    """CLEARER in small: two resolutions, two columns, one slot per column with a choice on each branch."""
    b = Builder()
    size_h, size_w = (2 * poly(Symbol(n)) for n in "HW")
    x = b.input("noisy", 1, size_h, size_w)
    high = b.op("conv", x, key="stem_0.conv_0", kernel=1, out=3, init=("normal", 0.05))
    low = b.op("conv", high, key="stem_0.conv_1", kernel=3, out=4, stride=2)
    slots, decisions = [], []
    for k in range(2):
        name = f"net.column[{k}]"
        decisions.append(Decision(name, "net", "op", ("parallel", "fusion")))
        slots.append(Slot(name, ("parallel", "fusion"), name))
        b.guard = Is(name, frozenset((0,)))
        alone = []
        for branch, state in enumerate((high, low)):
            key = f"column_{k}.parallel_0.branch_{branch}"
            y = b.chain(state, ("conv", f"{key}.conv_0", {"kernel": 3}), ("bn", f"{key}.bn_0", {}))
            alone.append(b.op("relu", b.op("sum", y, state)))
        b.guard = Is(name, frozenset((1,)))
        key = f"column_{k}.fusion_0"
        up = b.chain(low, ("conv", f"{key}.up_0", {"kernel": 1, "out": 3}), ("bn", f"{key}.bn_0", {}))
        up = b.op("upsample", up, factor=2)
        down = b.op("conv", high, key=f"{key}.down_0", kernel=3, out=4, stride=2)
        fused = [b.op("relu", b.op("sum", high, up)), b.op("relu", b.op("sum", down, low))]
        b.guard = ALWAYS
        high, low = (b.choose(name, [p, f], f"column_{k}") for p, f in zip(alone, fused, strict=True))
    high = b.op("sum", high, b.op("upsample", b.op("conv", low, key="last_0.up_0", kernel=1, out=3), factor=2))
    y = b.op("conv", high, key="last_0.conv_0", kernel=1, out=1)
    b.preconditions.append(Precondition(2 * poly(Symbol("H")), 2))
    table = DecisionTable("toy_pyramid", "0123abcd", tuple(decisions), tuple(slots))
    return Toy(b.graph("toy_pyramid", clean=y), table, ((2, 1, 6, 8),))


def ports_space() -> Toy:
    """Two inputs, two outputs, a tied layer used twice, and names that mean something in Python."""
    b = Builder()
    first = b.input("lambda", 3)
    second = b.input("x0", 3)
    a = b.op("linear", first, key="tied_0.linear_0", out=4)
    c = b.op("linear", second, key="tied_0.linear_0", out=4)
    d = b.op("sum", a, c)
    one = b.op("linear", b.op("tanh", d), key="one_0", out=2)
    name = "net.side"
    decisions = (Decision(name, "net", "op", ("plain", "deep")),)
    b.guard = Is(name, frozenset((1,)))
    deep = b.op("linear", d, key="deep_0", out=4)
    b.guard = ALWAYS
    two = b.op("linear", b.choose(name, [d, deep], "side_0"), key="two_0", out=3, bias=0)
    table = DecisionTable("class", "0123abcd", decisions, (Slot(name, ("plain", "deep"), name),))
    return Toy(b.graph("class", main=one, side=two), table, ((2, 3), (2, 3)))


TOYS: dict[str, Callable[[], Toy]] = {
    "cell": cell_space,
    "pick": pick_space,
    "pick_1d": lambda: pick_space(rank=1),
    "mlp": mlp_space,
    "elastic_bn": elastic_conv_space,
    "elastic_layer_norm": lambda: elastic_conv_space("layer_norm"),
    "pyramid": pyramid_space,
    "ports": ports_space,
}
