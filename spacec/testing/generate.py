"""Random small spaces, for laws that must hold on every space.

A space is grown from a seed: networks that keep their type, put together by every construct of the
language. What comes out always compiles, so a law that fails on it is a fault of the compiler.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

_PLAIN = (
    "conv(1)",
    "conv(3) >> bn",
    "relu",
    "identity",
    "max_pool(3)",
    "avg_pool(3)",
    "relu >> conv(3)",
    "bn",
)
_BLIND = ("zero", "noise")
"""What reads only the type of its input: candidates among others, since a decision before it would feed nothing."""
_FORMS = (
    *("plain", "pipe", "choice", "choice", "sum", "repeat", "depth"),
    *("name", "inline", "dag", "value", "elastic", "residual", "presence"),
    *("determined", "shared depth", "widened", "bounded", "lattice", "frozen", "recurrence"),
    *("pyramid", "family", "nested pick", "limited"),
)
_PRESENCE = (
    "e = pick any from v in 1..3: v; return x >> conv(1, 1 + 2*len(e)) >> bn >> relu >> conv(1, 4)",
    "e = pick 1..2 from v in 0..2: v; return sum(from v in e: s[v % 2])",
    "e = pick any from v in 0..1: v; return s[0] + sum(from v in e: s[v])",
    "return concat(x, pick any from s: identity) >> relu >> conv(1, 4) >> bn",
    "return concat(pick 1..2 from s: relu) >> bn >> relu >> conv(1, 4)",
    "e = pick 1..3 from v in 0..2: v; k = len(e)\n"
    "  return concat(from v in e: s[v % 2] >> conv(1, (3 + len(e[v..])) // k))",
    "e = pick any from v in 1..3: v; w = max(2, from v in e: v + 1)\n  return s[1] >> narrow(w) >> conv(1, 4)",
    "e = pick any from v in 0..1: v; y = x >> conv(1, 4 - (0 in e))\n  return y >> narrow(3) >> bn >> conv(1, 4)",
)
"""Cells whose sizes follow what is picked; ``x`` is their input and ``s`` two tensors of its type."""


@dataclass
class _Grower:
    """The names defined so far, and what is left to spend."""

    rng: random.Random
    budget: int
    definitions: list[str] = field(default_factory=list)
    limits: dict[str, str] = field(default_factory=dict)
    """Constraints, by the name of the let that they are about."""
    names: list[str] = field(default_factory=list)
    values: list[tuple[str, str]] = field(default_factory=list)

    def plain(self) -> str:
        return self.rng.choice(_PLAIN)

    def network(self, depth: int) -> str:
        """An expression for a network whose output type is its input type."""
        self.budget -= 1
        if depth <= 0 or self.budget <= 0:
            return self.plain()
        form = self.rng.choice(_FORMS)
        match form:
            case "pipe":
                return f"{self.inner(depth)} >> {self.inner(depth)}"
            case "choice":
                return self.choice(depth)
            case "sum":
                return f"{self.inner(depth)} + {self.inner(depth)}"
            case "repeat":
                return f"{self.inner(depth)} * 2"
            case "depth":
                return f"{self.inner(depth)} * {{{self.rng.choice(('1..2', '0..1', '1, 3'))}}}"
            case "name":
                return self.name(depth)
            case "inline":
                return f"{self.rng.choice(('let', 'tied'))}({self.choice(1)}) * 2"
            case "dag":
                return self.dag(depth)
            case "bounded":
                return self.bounded(depth)
            case "lattice":
                return self.lattice()
            case "value":
                return "conv({1, 3}) >> bn"
            case "elastic":
                return "conv(1, elastic {2, 3, 5}) >> bn >> relu >> conv(1, 4)"
            case "presence":
                return f"dag(x) {{ s = [x, x >> {self.inner(1)}]; {self.rng.choice(_PRESENCE)} }}"
            case "determined":
                value = self.value("{1, 2, 3}")
                return f"({self.network(depth - 1)} when {value} < 3 | {self.plain()} when {value} == 3)"
            case "shared depth":
                return f"{self.inner(depth)} * {self.value('{1..2}')}"
            case "widened":
                back = "def back = identity when in.c == 4 | conv(1, 4) when in.c != 4"
                self.definitions += [] if back in self.definitions else [back]
                return "conv(1, elastic {2, 4, 6}) >> bn >> relu >> back"
            case "frozen":
                return f"frozen({self.network(depth - 1)})"
            case "recurrence":
                return f"tied({self.network(depth - 1)}) * {{1..3}}"
            case "residual":
                return f"residual({self.network(depth - 1)})"
            case "pyramid":
                return self.pyramid()
            case "family":
                return self.family()
            case "nested pick":
                inner = "dag(y) { return sum(pick 1..2 from [y, y >> relu]: conv(1) | bn) }"
                return f"dag(x) {{ return sum(pick 1..2 from [x, x >> bn]: {inner}) }}"
            case "limited":
                return self.limited()
            case _:
                return self.plain()

    def bounded(self, depth: int) -> str:
        """A definition inside itself, two or three levels deep."""
        end = self.network(depth - 1)
        name = f"r{len(self.definitions)}"
        body = self.rng.choice((f"{self.plain()} >> {name}", f"residual({name})", f"{name} >> bn"))
        self.definitions.append(f"def {name} within {self.rng.choice((2, 3))} = {body} | ({end})")
        return name

    def lattice(self) -> str:
        """A path through three layers of two nodes each."""
        name = f"l{len(self.definitions)}"
        self.definitions.append(
            f"tied {name}[i, j] = {self.plain()} >> ( on: {name}[i+1, j] when i < 2"
            f" | over: {self.plain()} >> {name}[i+1, 1-j] when i < 2 | end: {self.plain()} when i == 2 )"
        )
        return f"{name}[0, 0]"

    def inner(self, depth: int) -> str:
        return f"({self.network(depth - 1)})"

    def choice(self, depth: int) -> str:
        count = self.rng.randint(2, 3)
        parts = [self.network(depth - 1) for _ in range(count)]
        if self.rng.random() < 0.2:
            parts[-1] = self.rng.choice(_BLIND)
        labelled = self.rng.random() < 0.5
        texts = [f"{'abc'[k]}: ({p})" if labelled else f"({p})" for k, p in enumerate(parts)]
        return f"({' | '.join(texts)})"

    def name(self, depth: int) -> str:
        """A definition of the file, an old one or a new one."""
        if self.names and self.rng.random() < 0.6:
            return self.rng.choice(self.names)
        kind = self.rng.choice(("def", "let", "tied"))
        body = self.network(depth - 1)
        name = f"f{len(self.names)}"
        self.names.append(name)
        self.definitions.append(f"{kind} {name} = {body}")
        return name

    def pyramid(self) -> str:
        """Two scales, something in each, perhaps fused, and the first of them."""
        exchange = "fuse(up = conv(1) >> bn >> upsample, down = conv(3, stride = 2) >> bn, between = relu)"
        middle = self.rng.choice((f"each({self.choice(1)})", exchange, f"({exchange} | each(bn))"))
        return f"transition(2, 4) >> {middle} >> {exchange} >> select(0)"

    def family(self) -> str:
        """Members of one family, one of them twice."""
        name = f"m{len(self.names) + len(self.definitions)}"
        self.definitions.append(f"{self.rng.choice(('let', 'tied'))} {name}[i] = {self.choice(1)}")
        return f"{name}[0] >> {name}[1] >> {name}[0]"

    def limited(self) -> str:
        """An elastic width that a constraint of the file holds down."""
        name = f"w{len(self.definitions)}"
        self.definitions.append(f"let {name} = elastic {{2, 3, 5}}")
        self.limits[name] = self.rng.choice((f"{name} <= 3", f"{name} != 3", f"{name} in [2, 5]", "params <= 1M"))
        return f"conv(1, {name}) >> bn >> relu >> conv(1, 4)"

    def where(self, net: str) -> list[str]:
        """The constraints about lets that the net itself reads."""
        return [f"where {limit}" for name, limit in self.limits.items() if f"({name})" in net or f", {name})" in net]

    def value(self, candidates: str) -> str:
        """A value of the file with these candidates, an old one or a new one."""
        known = [name for name, listed in self.values if listed == candidates]
        if known and self.rng.random() < 0.5:
            return self.rng.choice(known)
        name = f"k{len(self.values)}"
        self.values.append((name, candidates))
        self.definitions.append(f"let {name} = {candidates}")
        return name

    def dag(self, depth: int) -> str:
        """A cell: nodes that sum over all earlier nodes, or over a picked few of them."""
        edge = self.rng.choice((self.choice(1), self.network(depth - 1), "conv(1) >> bn"))
        count = self.rng.choice(("", "pick 1 ", "pick 1..2 "))
        result = self.rng.choice(("s[3]", "s[2] + s[3]", "sum(s[1..])"))
        loop = f"for i in 2..3 {{ s += sum({count}from s: {edge}) }}"
        return f"dag(x) {{ s = [x, x >> {self.inner(1)}]; {loop}; return {result} }}"


def random_ports(seed: int, size: int = 8) -> str:
    """The text of a random space of two inputs and two outputs, in every second one of them pyramids."""
    rng = random.Random(f"ports {seed}")
    grower = _Grower(rng, size)
    first, second, both = (grower.inner(2) for _ in range(3))
    right, low = rng.choice((("b", ""), ("b[0]", rng.choice(("[z, b[1]] >> ", "(z, b[1] >> bn) >> ")))))
    scales = "{[4, 6, 6], [8, 3, 3]}"
    lines = [
        f"space ports_{seed}(classes = 3)",
        "input  a: [2, 6, 6]",
        f"input  b: {scales if low else '[4, 6, 6]'}",
        "output y: [classes]",
        f"output z: {scales if low else '[4, 6, 6]'}",
        *grower.definitions,
        "net = dag(a, b) {",
        f"  left = a >> conv(1, 4) >> {first}",
        f"  right = {right} >> {second}",
        f"  z = (left + right) >> {both}",
        "  y = concat(left, z) >> global_pool >> linear(classes)",
        *([f"  z = {low}each({rng.choice(('conv(1) | conv(3)', 'bn >> relu'))}) -> {scales}"] if low else ()),
        "}",
        *grower.where(first + second + both),
    ]
    return "\n".join(lines) + "\n"


def random_space(seed: int, size: int = 8, rank: int = 2) -> str:
    """The text of a random space: ``size`` bounds its constructs, ``rank`` is 1 or 2 spatial axes."""
    rng = random.Random(f"space {seed}")
    grower = _Grower(rng, size)
    body = [f"({grower.network(3)})" for _ in range(rng.randint(1, 2))]
    space = ", ".join(["6"] * rank)
    net = f"net = conv(1, C) >> {' >> '.join(body)} >> global_pool >> linear(classes)"
    lines = [
        f"space random_{seed}(C = 4, classes = 3)",
        f"input  x: [2, {space}]",
        "output y: [classes]",
        *grower.definitions,
        net,
        *grower.where(net),
    ]
    return "\n".join(lines) + "\n"
