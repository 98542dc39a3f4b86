"""A long space file, for measurements: thousands of different definitions, all of them used."""

from __future__ import annotations

import random

_WORDS = ("stem", "local", "wide", "narrow", "early", "late", "dense", "light", "mixed", "plain", "deep", "side")
_OPS = (
    "conv(3) >> bn >> relu",
    "conv(1) >> bn",
    "sep_conv(3)",
    "sep_conv(5)",
    "dil_conv(3)",
    "conv(5, groups = in.c) >> bn",
    "max_pool(3)",
    "avg_pool(3)",
    "relu >> conv(3) >> bn",
    "skip",
)
_REMARKS = (
    "kept small: the search is to tell {a} from {b} operations, not large networks from small ones",
    "the weights are shared by all uses in this stage; the next stage has its own",
    "as in the cell above, with another set of candidates",
    "pooling is left out where the map is small already",
)


def large_space(lines: int = 10_000, seed: int = 0) -> str:
    """A file of exactly so many lines: stages of some fifty lines each, with comments, and a net through all of them.

    Every construct of a published cell space is there, none is a copy of another: operations with labels, guards and
    priors, lets, tied members, families, cells with loops and picks, value choices, elastic sizes and depths.
    """
    rng = random.Random(f"large {seed}")
    head = [
        f"# A generated space of {lines:,} lines, seed {seed}.",
        "space large(C = 16, classes = 10, affine = 0)",
        "input  image:  [3, 32, 32]",
        "output logits: [classes]",
        "preset tiny(C = 4)",
        "default bn(affine = affine)",
        "",
    ]
    stages: list[list[str]] = []
    while len(head) + sum(map(len, stages)) + (len(stages) + 2) + 60 < lines:
        stages.append(_stage(rng, len(stages)))
    tail = ["net = conv(3, C) >> bn(affine = 1)"]
    tail += [f"   >> stage{k}(C) -> [C, 32, 32]" for k in range(len(stages))]
    tail += ["   >> global_pool >> linear(classes)"]
    body = [line for stage in stages for line in stage]
    fill = [f"# {k}: {_remark(rng)}" for k in range(lines - len(head) - len(body) - len(tail))]
    return "\n".join([*head, *body, *fill, *tail]) + "\n"


def _remark(rng: random.Random) -> str:
    a, b = rng.sample(_WORDS, 2)
    return rng.choice(_REMARKS).format(a=a, b=b)


def _stage(rng: random.Random, k: int) -> list[str]:
    """The definitions of one stage; they keep the size of what flows through."""
    out = [f"# ---- stage {k}: {_remark(rng)}", ""]
    names = []
    for j in range(rng.randint(2, 4)):
        names.append(f"{rng.choice(_WORDS)}_{k}_{j}")
        out += _operations(rng, names[-1])
    out += [f"let width{k} = elastic {{{', '.join(str(w) for w in sorted(rng.sample(range(4, 17), 3)))}}}"]
    out += [f"let kernel{k} = {{3, 5}}  # the same in every block of the stage", ""]
    out += [f"def squeeze{k}(c) = conv(1, width{k}) >> bn >> relu >> conv(kernel{k}, c) >> bn", ""]
    out += _cell(rng, k, names)
    out += [f"let shared{k}[i] = {rng.choice(names)} | {rng.choice(_OPS)}", f"tied weights{k} = {rng.choice(_OPS)}", ""]
    out += _join(rng, k)
    return out


def _operations(rng: random.Random, name: str) -> list[str]:
    """A choice, one candidate to a line."""
    ops = rng.sample(_OPS, rng.randint(3, 5))
    out = [f"# {_remark(rng)}"] if rng.random() < 0.7 else []
    for i, op in enumerate(ops):
        label = f"{'abcdefg'[i]}_{rng.randint(0, 99)}: " if rng.random() < 0.7 else ""
        tail = f" @ {rng.choice(('0.5', '2', '1.5'))}" if rng.random() < 0.2 else ""
        tail += " when C > 1" if rng.random() < 0.2 else ""
        out.append(("def " + name + " = " if i == 0 else "   | ") + label + op + tail)
    return [*out, ""]


def _cell(rng: random.Random, k: int, names: list[str]) -> list[str]:
    nodes = rng.randint(1, 3)
    edge = rng.choice(names)
    return [
        f"# {_remark(rng)}",
        f"def cell{k}(c) = dag(a, b) {{",
        f"  s = [a >> relu_conv_bn({rng.choice((1, 3))}) -> [c, *a.hw], b >> relu_conv_bn(1) -> [c, *b.hw]]",
        f"  for i in 0..{nodes} {{",
        "    if i == 0 {  # the first node sees both inputs",
        f"      s += sum(from s: {edge}) -> [c, *a.hw]",
        "    } else {",
        f"      s += sum(pick {rng.choice(('2', '1..2'))} from s: {rng.choice(names)}) -> [c, *a.hw]",
        "    }",
        "  }",
        f"  return sum(s[{rng.randint(1, 2)}..])",
        "}",
        f"let chosen{k} = cell{k}",
        "",
    ]


def _join(rng: random.Random, k: int) -> list[str]:
    return [
        f"def stage{k}(c) = dag(x) {{",
        f"  # {_remark(rng)}",
        "  a = x",
        f"  b = x >> squeeze{k}(c)",
        f"  for i in 0..{rng.randint(1, 2)} {{",
        f"    a, b = b, (a, b) >> chosen{k}(c)",
        "  }",
        f"  b = b >> shared{k}[0] >> weights{k}",
        f"  y = b >> (relu | shared{k}[1]) * {{1..2}}",
        f"  return (y >> shared{k}[0]) + (x >> weights{k})",
        "}",
        "",
    ]
