"""Files that look right: every construct of the language with names that exist, mostly of the right kind and size.

Unlike :func:`spacec.testing.generate.random_space`, whose spaces always compile, these are put together without regard
to types, so that about one in a few compiles and the others meet every rule of the checker.
"""

from __future__ import annotations

import random

OPS = (
    "relu", "identity", "zero", "bn", "conv(3)", "conv(1, C)", "conv(3, stride = 2)", "conv(k, c)", "max_pool(3)",
    "avg_pool(2, stride = 2)", "global_pool", "linear(C)", "sep_conv(3)", "dil_conv(5)", "skip", "fit", "upsample",
    "factorized_reduce", "residual(conv(3))", "basic_block", "bottleneck(2)", "conv_bn_relu(3)", "noise", "select(0)",
    "transition(2, 4)", "each(relu)", "drop_path", "fuse(up = conv(1) >> upsample, down = conv(3, stride = 2), "
    "between = relu)", "residual_down(8)", "depthwise(3)", "in", "unknown_op",
)  # fmt: skip
TAME = (
    "relu", "identity", "zero", "bn", "conv(3)", "conv(1, 4)", "max_pool(3)", "avg_pool(3)", "sep_conv(3)", "skip",
    "noise", "residual(conv(3))", "conv(k, C)", "conv({1, 3})", "basic_block", "conv(1, elastic {2, 4}) >> conv(1, C)",
)  # fmt: skip
"""What keeps a [4, 8, 8] as it is."""
SIZES = (
    "C",
    "4",
    "2*C",
    "w",
    "k",
    "H",
    "8",
    "C/2",
    "C//3",
    "in.c",
    "out.c",
    "{4, 8}",
    "elastic {2, 4}",
    "max(C, w)",
    "C^2",
)
CONDITIONS = ("C > 2", "C == 4", "aux", "not aux", "in == out", "i < 2", "k in [3, 5]", "w <= k", "C > 2 and aux", "1")
TYPES = (
    "[C, 8, 8]",
    "[C, *x.hw]",
    "[2*C, 4, 4]",
    "[C, *in.hw/2]",
    "out",
    "in",
    "[C]",
    "[*in.hw]",
    "[w, 8, 8]",
    "[C, H]",
)
PORTS = ("[3, 8, 8]", "[4, 8]", "[4]", "[C, 2*H, 2*W]", "[4, H]", "[5, 8, 8]", "{[4, 8, 8], [8, 4, 4]}", "tokens(7)[4]",
         "graph(4)")  # fmt: skip


class Writer:
    """One file in the making; ``left`` bounds its constructs."""

    def __init__(self, rng: random.Random, left: int = 30) -> None:
        self.rng = rng
        self.left = left
        self.tame = rng.random() < 0.6
        """Whether to write what probably compiles."""
        self.ops = TAME if self.tame else OPS
        self.names = [f"f{k}" for k in range(rng.randint(1, 5))]
        self.families = [f"m{k}" for k in range(rng.randint(0, 2))]
        self.numbers = ["w", "k"]

    def one(self, *choices: str) -> str:
        return self.rng.choice(choices)

    def file(self) -> str:
        lines = ["space grown(C = 4, classes = 3, aux = 0, layers = 2)"]
        if self.tame:
            lines += ["input  x: [4, 8, 8]", "output out_a: [4, 8, 8]"]
        else:
            lines += [f"input  {name}: {self.rng.choice(PORTS)}" for name in "xyz"[: self.rng.choice((1, 1, 1, 2, 3))]]
            lines += [f"output {name}: {self.one('[classes]', '[C]', '[4, 8, 8]')}" for name in self.outputs()]
        if self.rng.random() < 0.3 and not self.tame:
            lines.append("output side: [classes] when aux")
        items = [self.binding(name) for name in self.names]
        items += [self.family(name) for name in self.families]
        items += [f"let {name} = {self.value()}" for name in self.numbers]
        items += [self.extra() for _ in range(self.rng.randint(0, 3))]
        end = self.one("", " >> global_pool >> linear(classes)", " -> [4, 8, 8]")
        items.append(f"net = {self.network(3)}" + ("" if self.tame else end))
        self.rng.shuffle(items)
        return "\n".join([*lines, *items]) + "\n"

    def outputs(self) -> list[str]:
        return ["out_a", "out_b"][: self.rng.choice((1, 1, 1, 2))]

    def extra(self) -> str:
        return self.rng.choice(
            (
                "preset tiny(C = 2)",
                f"preset {self.rng.choice(self.names)}(layers = 1, aux = 1)",
                "default bn(affine = aux)",
                "default pick(absent = 0)",
                f"default conv({self.one('bias = 1', 'init = normal(0.01)', 'pad = 0')})",
                f"where {self.limit()}",
                f"where {self.limit()}, {self.limit()}",
                'use "nowhere.space"',
                "# nothing",
            )
        )

    def limit(self) -> str:
        side = self.one(
            "params", "macs", "k", "w", f"picks({self.rng.choice(self.names)})", "params + k", "macs(C = 8)"
        )
        return f"{side} {self.one('<=', '>=', '<', '==', '!=')} {self.one('5K', '1M', 'w', 'k', '3', '2*k')}"

    def value(self) -> str:
        return self.one(
            "{3, 5}", "elastic {2, 4}", "{1..3}", "4", "{2, 4} + 1", "2*k", "[1, 2]", "w", "elastic {*[2, 4]}"
        )

    def binding(self, name: str) -> str:
        kind = self.one("def", "def", "let", "tied")
        head = "" if self.tame else self.one("", "", "", "(c)", "(c, k = 3)", "(f)", " within 3")
        return f"{kind} {name}{head} = {self.network(3)}"

    def family(self, name: str) -> str:
        body = self.network(2)
        if self.rng.random() < 0.4:
            body = f"({body}) >> {name}[i + 1] when i < 3 | ({body}) when i >= 3"
        return f"{self.one('let', 'tied')} {name}[i] = {body}"

    def network(self, depth: int) -> str:
        self.left -= 1
        if depth <= 0 or self.left <= 0:
            return self.rng.choice(self.ops)
        form = self.rng.choice(_TAME_FORMS if self.tame else _FORMS)
        return form(self, depth - 1)

    def inner(self, depth: int) -> str:
        return f"({self.network(depth)})"

    def op(self, depth: int) -> str:
        return self.rng.choice(self.ops)

    def use(self, depth: int) -> str:
        if self.families and self.rng.random() < 0.3:
            return f"{self.rng.choice(self.families)}[{self.one('0', '1', 'i', '2 + 1')}]"
        given = "" if self.tame else self.one("", "", "", "(C)", "(4, k = 3)", "(relu)", "(c = w)")
        return self.rng.choice(self.names) + given

    def pipe(self, depth: int) -> str:
        return " >> ".join(self.inner(depth) for _ in range(self.rng.randint(2, 3)))

    def choice(self, depth: int) -> str:
        parts = []
        for k in range(self.rng.randint(2, 4)):
            label = f"{'abcd'[k]}: " if self.rng.random() < 0.4 else ""
            prior = f" @ {self.one('0.5', '2', '0')}" if self.rng.random() < 0.15 else ""
            guard = f" when {self.rng.choice(CONDITIONS)}" if self.rng.random() < (0 if self.tame else 0.2) else ""
            parts.append(f"{label}{self.inner(depth)}{prior}{guard}")
        return f"({' | '.join(parts)})"

    def total(self, depth: int) -> str:
        return f"{self.inner(depth)} + {self.inner(depth)}"

    def repeat(self, depth: int) -> str:
        return f"{self.inner(depth)} * {self.one('2', '3', 'layers', '{1..2}', '{0, 2}', 'elastic {1..3}', 'k', '0')}"

    def inline(self, depth: int) -> str:
        return f"{self.one('let', 'tied')}({self.network(depth)})"

    def typed(self, depth: int) -> str:
        return f"{self.inner(depth)} -> {self.rng.choice(TYPES)}"

    def sized(self, depth: int) -> str:
        return f"conv({self.one('1', '3', 'k', '{1, 3}', 'elastic {1, 3}')}, {self.rng.choice(SIZES)})"

    def side_by_side(self, depth: int) -> str:
        return f"({self.network(depth)}, {self.network(depth)})"

    def dag(self, depth: int) -> str:
        names = "x" if self.tame else self.one("x", "x", "x", "a, b", "x, y, z")
        first = names.split(",")[0]
        body = [f"s = [{names}, {first} >> {self.inner(depth)}]"]
        for _ in range(self.rng.randint(0, 3)):
            body.append(self.statement(depth, first))
        body.append("return " + self.result(depth, first))
        return f"dag({names}) {{ {'; '.join(body)} }}"

    def statement(self, depth: int, x: str) -> str:
        match self.rng.randrange(9):
            case 0:
                return f"for i in {self.one('0..1', '1..2', 's', '0..layers-1')} {{ {self.statement(depth - 1, x)} }}"
            case 1:
                other = f" else {{ {self.statement(depth - 1, x)} }}" if self.rng.random() < 0.5 else ""
                return f"if {self.rng.choice(CONDITIONS)} {{ {self.statement(depth - 1, x)} }}{other}"
            case 2:
                return f"{self.one('def', 'let', 'tied')} g = {self.network(depth - 1)}"
            case 3:
                return f"out_a = {x} >> {self.inner(depth - 1)}"
            case 4:
                return f"n = {self.one('3', 'len(s)', '{1, 2}', 'x.c', '[1, 2]', 'elastic {2, 3}', 'x.hw/2')}"
            case 5:
                return f"{x} = {x} >> {self.inner(depth - 1)}"
            case 6:
                return f"s += {self.pick(depth)}"
            case _:
                return f"s += s[{self.one('0', '1', '-1')}] >> {self.inner(depth - 1)}"

    def pick(self, depth: int) -> str:
        count = self.one("pick 1", "pick 2", "pick 1..2", "pick any", "pick min(2, len(s))", "", "pick k")
        edge = self.inner(depth - 1)
        loop = self.one(
            f"from s: {edge}", f"from v in s: v >> {edge}", f"from j in 0..1: s[j] >> {edge}", "from v in 0..1: v"
        )
        return self.one(f"sum({count} {loop})", f"concat({count} {loop})", f"sum({count} {loop}) -> [C, 8, 8]")

    def result(self, depth: int, x: str) -> str:
        plain = ("s[1]", "sum(s[1..])", "concat(s)", f"{x} + s[1]", "s", "s[0], s[1]")
        return self.one(*plain, f"{x} >> {self.inner(depth - 1)}", self.pick(depth))


_TAME_FORMS = (
    Writer.op, Writer.use, Writer.pipe, Writer.pipe, Writer.choice, Writer.choice, Writer.total, Writer.repeat,
    Writer.inline, Writer.dag,
)  # fmt: skip
_FORMS = (
    Writer.op, Writer.op, Writer.use, Writer.use, Writer.pipe, Writer.pipe, Writer.choice, Writer.choice, Writer.total,
    Writer.repeat, Writer.inline, Writer.typed, Writer.sized, Writer.side_by_side, Writer.dag, Writer.dag,
)  # fmt: skip


def grown(rng: random.Random) -> str:
    """A whole file."""
    return Writer(rng, rng.choice((5, 15, 30))).file()
