"""The library by name: what ``spacec explain conv`` shows, and docs/library.md, from one set of data.

Assumes that ops describe themselves (:class:`spacec.ir.ops.OpSpec`) and that a definition of the prelude is explained
by the comment above it or above its group. Types and costs are what an op's own rule answers for a general input.

``python -m spacec.cli.library`` writes docs/library.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from spacec.diagnostics.codes import codes
from spacec.diagnostics.explain import explain as explain_code
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.driver import Session
from spacec.hooks import OPEN, REQUIRED, OpParam, RuleError, installed
from spacec.ir.dims import Symbol, poly
from spacec.ir.ops import AttrValue, OpResult, OpSpec
from spacec.ir.types import TensorType
from spacec.sema.foreign import meant
from spacec.syntax import ast

HOST = "spacec"
_MODULES = {
    "spacec.std.sequence": "sequences, tokens, halting, side values",
    "spacec.std.graphs": "graphs",
}
"""Groups of ops by the module of their rules."""
GROUPS = {
    "convolutions and linear maps": ("conv", "linear"),
    "norms": ("bn", "instance_norm", "layer_norm"),
    "pools and sizes": ("max_pool", "avg_pool", "global_pool", "upsample", "shift"),
    "joining tensors": ("sum", "concat", "mul"),
    "regularisation": ("dropout", "drop_path", "noise"),
    "no operation": ("identity", "zero"),
}
"""Groups of ops whose place their signature does not tell; the others are activations or of their own."""


@dataclass(frozen=True)
class Entry:
    """A definition of the prelude: the comments that explain it, and its text."""

    name: str
    group: str
    note: str
    text: str
    signature: str


def definitions() -> dict[str, Entry]:
    """The definitions of the prelude, in its order."""
    found: dict[str, Entry] = {}
    for file in Session.default().prelude:
        text = file.span.source.text
        for item in file.items:
            if isinstance(item, ast.Binding):
                before = text[: item.span.start].rstrip("\n").split("\n")
                group = next((line[6:].strip() for line in reversed(before) if line.startswith("# ---- ")), "")
                found[item.name] = Entry(item.name, group, _note(before), item.span.text, _head(item))
    return found


def _note(before: list[str]) -> str:
    """The comment right above, if it is no title of a group."""
    lines: list[str] = []
    while before and before[-1].startswith("# ") and not before[-1].startswith("# ----"):
        lines.append(before.pop()[2:])
    return " ".join(reversed(lines))


def _head(binding: ast.Binding) -> str:
    return binding.span.text.partition("=" if binding.params is None else ") =")[0].rstrip() + (
        "" if binding.params is None else ")"
    )


def page(name: str) -> str:
    """The page of a code, an op or a definition.

    Raises :class:`SpacecError` (E0806) for none of these, with what was most likely meant.
    """
    if name.upper() in codes():
        return explain_code(name)
    ops, own = installed().ops().ops, definitions()
    if name in own:
        return _definition_page(own[name])
    if name in ops:
        return _op_page(ops[name])
    known = {*ops, *own}
    near = meant(name, known) or nearest(name, known) or nearest(name.upper(), codes())
    kind = "code" if re.fullmatch(r"[EW]\d+", name.upper()) else "code, op or definition"
    headline = f"there is no {kind} `{name[:40]}`"
    raise SpacecError(Diagnostic("E0806", headline, help=f"did you mean `{near}`?" if near else ""))


def _definition_page(entry: Entry) -> str:
    parts = [f"{entry.signature}", "A definition of the standard library."]
    parts += [part for part in (entry.group and f"Group: {entry.group}.", entry.note) if part]
    parts.append("\n".join(f"    {line}".rstrip() for line in entry.text.split("\n")))
    return "\n\n".join(parts) + "\n"


def _op_page(op: OpSpec) -> str:
    parts = [signature(op), f"An op{_origin(op)}: {op.help}."]
    if op.params:
        rows = [(param.name, _default(param), param.help) for param in op.params]
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        parts.append("\n".join(f"  {a.ljust(widths[0])}  {b.ljust(widths[1])}  {c}".rstrip() for a, b, c in rows))
    facts = [f"  {line}" for line in behaviour(op)]
    if facts:
        parts.append("\n".join(facts))
    return "\n\n".join(parts) + "\n"


def _origin(op: OpSpec) -> str:
    return "" if op.origin == HOST else f" of {op.origin}"


def signature(op: OpSpec) -> str:
    """How an op is written: parameters in order, with their defaults."""
    if not op.params:
        return op.name
    return f"{op.name}({', '.join(_parameter(param) for param in op.params)})"


def _parameter(param: OpParam) -> str:
    return param.name if param.default in (REQUIRED, OPEN) else f"{param.name} = {_value(param.default)}"


def _default(param: OpParam) -> str:
    if param.default is REQUIRED:
        return "required"
    return "open" if param.default is OPEN else _value(param.default)


def _value(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def behaviour(op: OpSpec) -> list[str]:
    """What the op makes of a general input, and what that costs, as its own rule answers."""
    for inputs, result in _tries(op):
        given = ", ".join(map(str, inputs))
        lines = [f"{given} -> {result.type}"]
        lines.append(f"weights: {result.params}; multiplies: {result.macs}")
        lines += [f"precondition: {p}" for p in result.preconditions]
        if op.elastic:
            lines.append("takes elastic sizes")
        return lines
    return []


def _tries(op: OpSpec) -> Iterator[tuple[tuple[TensorType, ...], OpResult]]:
    """The rule's answers for the kinds of input there are, most general first."""
    c, h, w, t, v = (poly(Symbol(name)) for name in ("C", "H", "W", "T", "V"))
    image, sequence, vector = TensorType(c, (h, w)), TensorType(c, (t,)), TensorType(c)
    for one in (image, sequence, vector, TensorType(v, (t,), "tokens"), TensorType(c, (), "graph")):
        inputs = (one,) * (op.inputs if op.inputs is not None else 2)
        attrs = {param.name: _general(param) for param in op.params}
        try:
            yield inputs, op.rule(attrs, inputs)
        except (RuleError, SpacecError, TypeError, ValueError):  # the op does not take such an input
            continue


def _general(param: OpParam) -> AttrValue:
    if param.default is OPEN:
        return poly(Symbol("out")) if param.name == "out" else 2 if param.name == "factor" else 1
    return poly(Symbol(param.name)) if param.default is REQUIRED else cast(AttrValue, param.default)


def groups() -> dict[str, list[str]]:
    """Names of ops and definitions by group."""
    ops = installed().ops().ops
    found: dict[str, list[str]] = {title: [n for n in names if n in ops] for title, names in GROUPS.items()}
    placed = {name for names in found.values() for name in names}
    for name, op in ops.items():
        if name not in placed:
            own = op.origin == HOST
            plain = own and not op.params and not op.state and op.inputs == 1
            title = "activations" if plain else "other ops" if own else f"ops of {op.origin}"
            found.setdefault(_MODULES.get(getattr(op.rule, "__module__", ""), title), []).append(name)
    for entry in definitions().values():
        found.setdefault(f"library: {entry.group}" if entry.group else "library", []).append(entry.name)
    return {title: names for title, names in found.items() if names}


def document() -> str:
    """docs/library.md."""
    ops, own = {n: o for n, o in installed().ops().ops.items() if o.origin == HOST}, definitions()
    parts = [_LEAD]
    for title, names in groups().items():
        mine = [name for name in names if name in ops or name in own]
        if mine:
            parts.append(f"## {title[:1].upper()}{title[1:]}")
            parts += [_section(ops[name]) if name in ops else _definition_section(own[name]) for name in mine]
    return "\n\n".join(parts) + "\n"


_LEAD = """# Ops and library

Everything a space can call without `use`: what `spacec explain NAME` shows, in one page. It is written by
`python -m spacec.cli.library` from the ops' own descriptions and from the prelude; a test keeps it so.

An *open* parameter is inferred: it takes the change of a stated type (`stage -> [c, *hw]`), else the output is as wide
as the input and the stride is 1. `C`, `H`, `W`, `T` are the sizes of a general input; multiplies are
those of one sample.

```console
$ spacec explain global_pool
global_pool
…
  [C, H, W] -> [C]
  weights: 0; multiplies: 0

```"""


def _sentence(help: str) -> str:
    """The words as a sentence; a formula keeps its letters."""
    return f"{help}." if re.match(r"x\b|\w+\(", help) else f"{help[:1].upper()}{help[1:]}."


def _section(op: OpSpec) -> str:
    lines = [f"### `{signature(op)}`", "", _sentence(op.help)]
    rows = [param for param in op.params if param.help]
    if rows:
        lines += ["", "| parameter | default | meaning |", "|---|---|---|"]
        lines += [f"| `{p.name}` | {_default(p)} | {p.help} |" for p in rows]
    facts = behaviour(op)
    if facts:
        lines += ["", f"`{facts[0]}`; " + "; ".join(facts[1:]) + "."]
    return "\n".join(lines)


def _definition_section(entry: Entry) -> str:
    note = f"{entry.note}\n\n" if entry.note else ""
    return f"### `{entry.name}`\n\n{note}```text\n{entry.text}\n```"


def main() -> None:
    Path("docs/library.md").write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
