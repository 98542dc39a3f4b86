"""Straight-line source text of a forward pass.

The text is made from a checked plan: parameter keys are attribute paths, names of inputs are made
into free identifiers, everything else is a literal by ``repr``. A network in memory and an exported
file run this same text.
"""

from __future__ import annotations

import heapq
import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from spacec.ir.flat import LOSS_PREFIX, FlatGraph, FlatInput, FlatOp
from spacec.lower import sizes
from spacec.lower.entry import entry_checks, input_pattern
from spacec.lower.layers import Call, Layer, literal
from spacec.lower.modules import add_losses, check_divisible, check_input
from spacec.lower.modules_graph import check_graph
from spacec.lower.modules_sequence import check_tokens
from spacec.lower.pieces import OpStep
from spacec.lower.plan import ChooseStep, Plan
from spacec.lower.sizes import Sizes

INDENT = "        "
_RESERVED = re.compile(r"__\w*|self|torch|nn|F|sizes|losses|extra|x\d+", re.ASCII)


@dataclass(frozen=True)
class Program:
    """A forward pass: its parameters (the inputs), its lines without indentation, and the code it calls."""

    parameters: tuple[str, ...]
    lines: tuple[str, ...]
    code: tuple[object, ...]

    def text(self) -> str:
        """The method's source, without indentation of its own."""
        body = "\n".join(f"    {line}" if line else "" for line in self.lines)
        return f"def forward(self, {', '.join(self.parameters)}):\n{body}\n"

    def compile(self) -> Callable[..., Any]:
        """The method as a function."""
        return compile_function(self.text(), "forward", self.code)

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        return self


def compile_function(text: str, name: str, code: tuple[object, ...]) -> Callable[..., Any]:
    """Run the definition of ``name``, with torch and ``code`` in scope."""
    scope: dict[str, Any] = {"torch": torch, "nn": nn, "F": F}
    scope.update({getattr(c, "__name__", ""): c for c in code})
    exec(compile(text, f"<generated {name}>", "exec"), scope)
    found: Callable[..., Any] = scope[name]
    return found


def safe_names(names: tuple[str, ...], reserved: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Parameter names for input names: the same, but for words that mean something else here."""
    taken = {"check_input", "check_tokens", "check_graph", "check_divisible", "add_losses", *reserved}
    out = []
    for name in names:
        safe = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
        while keyword.iskeyword(safe) or safe[0].isdigit() or _RESERVED.fullmatch(safe) or safe in taken:
            safe = f"input_{safe}"
        taken.add(safe)
        out.append(safe)
    return tuple(out)


def entry_lines(flat: FlatGraph, given: Sizes, names: tuple[str, ...]) -> tuple[list[str], list[object]]:
    """Lines that check the inputs' shapes and the preconditions, and the functions they call."""
    lines: list[str] = ["sizes = {}"]
    code: list[object] = [check_input]
    by_name = {n.name: n for n in flat.nodes if isinstance(n, FlatInput)}
    for name, safe in zip(flat.inputs, names, strict=True):
        kind = by_name[name].type
        pattern = input_pattern(kind)
        if kind.kind == "tokens":
            vocabulary = sizes.number(kind.channels, given)
            lines.append(f"check_tokens({literal(name)}, {safe}, {literal(pattern)}, sizes, {vocabulary})")
            code.append(check_tokens)
        elif kind.kind == "graph":
            lines.append(f"{safe} = check_graph({literal(name)}, {safe}, {sizes.number(kind.channels, given)})")
            code.append(check_graph)
        elif pattern is not None:
            lines.append(f"check_input({literal(name)}, {safe}, {literal(pattern)}, sizes)")
    for check in entry_checks(flat, given):
        lines.append(f"check_divisible({literal(check.text)}, {check.expression}, {check.divisor})")
        code.append(check_divisible)
    return (lines, code) if len(lines) > 1 else ([], [])


def entry_function(flat: FlatGraph, given: Sizes) -> Callable[..., tuple[Any, ...]]:
    """The checks alone, as a function of the inputs in order that returns them."""
    names = safe_names(flat.inputs)
    lines, code = entry_lines(flat, given, names)
    text = f"def entry({', '.join(names)}):\n" + "".join(
        f"    {line}\n" for line in [*lines, f"return ({', '.join(names)},)"]
    )
    return compile_function(text, "entry", tuple(code))


class _Registers:
    """Names of live values: a name is used again once nothing reads its value, so memory is freed as in a loop."""

    def __init__(self, last_use: dict[int, int]) -> None:
        self._last_use = last_use
        self._free: list[int] = []
        self._count = 0
        self.names: dict[int, str] = {}

    def read(self, nodes: tuple[int, ...], step: int) -> list[str]:
        """Names of values; those read for the last time give their names back."""
        texts = [self.names[n] for n in nodes]
        for node in dict.fromkeys(nodes):
            name = self.names[node]
            if self._last_use.get(node) == step and name[0] == "x" and name[1:].isdigit():
                heapq.heappush(self._free, int(name[1:]))
        return texts

    def write(self, node: int) -> str:
        if self._free:
            number = heapq.heappop(self._free)
        else:
            number, self._count = self._count, self._count + 1
        self.names[node] = f"x{number}"
        return self.names[node]


def make_program(flat: FlatGraph, plan: Plan, lowered: dict[int, Layer | Call], given: Sizes) -> Program:
    """The forward pass of ``plan``, where every choice has one option. Returns a tensor for one output, else a dict.

    Auxiliary losses are returned in the dict under ``loss:NAME``.
    """
    called = {getattr(c, "__name__", "") for s in plan.steps if s.node in lowered for c in lowered[s.node].code}
    parameters = safe_names(flat.inputs, frozenset(called))
    lines, code = entry_lines(flat, given, parameters)
    roots = _roots(plan, lowered)
    steps = [s for s in plan.steps if isinstance(s, OpStep) and roots.get(s.node, s.node) == s.node]
    kept = {roots.get(i, i) for i in flat.outputs.values()}
    registers = _Registers({i: n for i, n in _last_uses(steps, roots).items() if i not in kept})
    by_name = {n.name: i for i, n in enumerate(flat.nodes) if isinstance(n, FlatInput)}
    registers.names.update({by_name[name]: safe for name, safe in zip(flat.inputs, parameters, strict=True)})
    graphs = [registers.names[i] for i in by_name.values() if flat.nodes[i].type.kind == "graph"]
    registers.names.update({i: f"{registers.names[i]}.x" for i in by_name.values() if registers.names[i] in graphs})
    emits = any(isinstance(found := lowered[s.node], Layer) and found.emits for s in steps)
    if emits:
        lines.append("losses = {}")
        code.append(add_losses)
    group = ""
    for number, step in enumerate(steps):
        op, found = flat.nodes[step.node], lowered[step.node]
        assert isinstance(op, FlatOp), "only ops have steps of their own"
        if isinstance(found, Layer) and op.key.split(".")[0] != group:
            group = op.key.split(".")[0]
            lines.append(f"# {group}")
        tensors = registers.read(tuple(roots.get(i, i) for i in step.inputs), number)
        if found.graph:
            tensors += graphs
        target = registers.write(step.node)
        if isinstance(found, Call):
            lines.append(f"{target} = {found.text(tensors)}")
            code += found.code
        elif found.emits:
            lines += [f"{target}, extra = {attribute(op.key)}({', '.join(tensors)})", "add_losses(losses, extra)"]
        else:
            lines.append(f"{target} = {attribute(op.key)}({', '.join(tensors)})")
    results = {name: registers.names[roots.get(i, i)] for name, i in flat.outputs.items()}
    lines.append(_return_line(results, emits))
    return Program(parameters, tuple(lines), tuple(dict.fromkeys(code)))


def attribute(key: str) -> str:
    """The module of a key, as ``self`` has it; a name that Python would mangle inside a class is given as text."""
    found = "self"
    for part in key.split("."):
        mangled = part.startswith("__") and not part.endswith("__")
        found = f"getattr({found}, {literal(part)})" if mangled else f"{found}.{part}"
    return found


def _return_line(results: dict[str, str], emits: bool) -> str:
    if len(results) == 1 and not emits:
        return f"return {next(iter(results.values()))}"
    pairs = [f"{literal(name)}: {value}" for name, value in results.items()]
    if emits:
        pairs.append(f'**{{f"{LOSS_PREFIX}{{name}}": value for name, value in losses.items()}}')
    return f"return {{{', '.join(pairs)}}}"


def _roots(plan: Plan, lowered: dict[int, Layer | Call]) -> dict[int, int]:
    """Nodes that only pass another node's value on, with that node."""
    roots: dict[int, int] = {}
    for step in plan.steps:
        if isinstance(step, ChooseStep):
            ((_, source),) = step.options
        else:
            found = lowered[step.node]
            alone = isinstance(found, Call) and (
                found.style == "identity" or (found.style != "call" and len(step.inputs) == 1)
            )
            if not alone:
                continue
            source = step.inputs[0]
        roots[step.node] = roots.get(source, source)
    return roots


def _last_uses(steps: list[OpStep], roots: dict[int, int]) -> dict[int, int]:
    """Value to the step that reads it last."""
    return {roots.get(i, i): number for number, step in enumerate(steps) for i in step.inputs}
