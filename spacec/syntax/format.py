"""Tree to text.

``parse(format_file(tree)) == tree`` for every tree that the parser can make, and formatting twice changes nothing.
Parentheses stand where binding demands them, and around a sum inside a ``>>`` chain, where readers differ on what binds
tighter. Comments are not part of the tree and are not kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from spacec.syntax import ast

WIDTH = 100
INDENT = "  "

# ast.Binding strength, loosest first; an expression is put in parentheses where a stronger one is asked for.
_EXPR, _ALTERNATIVES, _PIPE, _STAGE, _OR, _AND, _NOT = range(7)
_COMPARE, _SUM, _TERM, _FACTOR, _POWER, _POSTFIX, _ATOM = range(7, 14)
_BINARY = {
    "or": (_OR, _OR, _AND), "and": (_AND, _AND, _NOT), "+": (_SUM, _SUM, _TERM), "-": (_SUM, _SUM, _TERM),
    "*": (_TERM, _TERM, _FACTOR), "/": (_TERM, _TERM, _FACTOR), "//": (_TERM, _TERM, _FACTOR),
    "%": (_TERM, _TERM, _FACTOR), "^": (_POWER, _POSTFIX, _FACTOR),
}  # fmt: skip
"""Of each operator: its own strength, and those asked of its left and right side."""


def format_file(tree: ast.File) -> str:
    """The text of a file, one item after the other, ending in a line break."""
    lines = [_header(tree.header)] if tree.header else []
    lines += [_item(item) for item in tree.items]
    return "".join(line + "\n" for line in lines)


def format_expression(tree: ast.Expr) -> str:
    """The text of one expression, as short as it comes."""
    return _expr(tree, _EXPR, "")


# ------------------------------------------------------------------- top level


def _header(header: ast.Header) -> str:
    return f"space {header.name}" + (_params(header.params) if header.params else "")


def _params(params: Sequence[ast.Param]) -> str:
    parts = (p.name if p.default is None else f"{p.name} = {_expr(p.default, _EXPR, '')}" for p in params)
    return f"({', '.join(parts)})"


def _item(item: ast.Item) -> str:
    match item:
        case ast.Use():
            return f'use "{item.path}"' + (f"({_args(item.args, '')})" if item.args else "")
        case ast.Port():
            guard = f" when {_expr(item.guard, _OR, '')}" if item.guard else ""
            return f"{item.direction} {item.name}: {_expr(item.type, _POSTFIX, '')}{guard}"
        case ast.Default():
            return f"default {item.op}({_args(item.args, '')})"
        case ast.Preset():
            return f"preset {item.name}({_args(item.args, '')})"
        case ast.Where():
            return "where " + ", ".join(_expr(c, _OR, "") for c in item.conditions)
        case ast.Net():
            return _broken("net = ", item.value, "")
        case ast.Binding():
            return _binding(item, "")


def _binding(item: ast.Binding, indent: str) -> str:
    indices = f"[{', '.join(item.indices)}]" if item.indices else ""
    params = "" if item.params is None else _params(item.params)
    within = "" if item.within is None else f" within {item.within}"
    return _broken(f"{item.kind} {item.name}{indices}{params}{within} = ", item.body, indent)


def _broken(lead: str, value: ast.Expr, indent: str) -> str:
    """``lead`` and an expression, broken before ``|`` or ``>>`` if one line cannot hold it."""
    text = lead + _expr(value, _EXPR, indent)
    if all(len(indent) + len(line) <= WIDTH for line in text.split("\n")):
        return text
    if isinstance(value, ast.Alternatives):
        margin = "\n" + indent + " " * (len(lead) - 2)
        return lead + f"{margin}| ".join(_candidate(c, indent) for c in value.candidates)
    if isinstance(value, ast.Pipe):
        return _filled(lead, value, indent)
    return text


def _filled(lead: str, value: ast.Pipe, indent: str) -> str:
    margin = f"{indent}{INDENT} "
    lines = [indent + lead + _stage(value.stages[0], indent)]
    for stage in value.stages[1:]:
        text = _stage(stage, indent)
        if isinstance(stage, ast.Alternatives) and len(margin) + 3 + len(text.split("\n")[0]) > WIDTH:
            inner = indent + INDENT * 2
            text = "( " + f"\n{margin}   | ".join(_candidate(c, inner) for c in stage.candidates) + " )"
        if len(lines[-1]) + 4 + len(text.split("\n")[0]) <= WIDTH and "\n" not in lines[-1]:
            lines[-1] += f" >> {text}"
        else:
            lines.append(f"{margin}>> {text}")
    return "\n".join(lines).removeprefix(indent)


# ------------------------------------------------------------------- statements


def _block(body: Sequence[ast.Stmt], indent: str) -> str:
    """A block, on one line if it is one short statement without a block of its own."""
    if not body:
        return "{ }"
    inner = indent + INDENT
    texts = [_statement(s, inner) for s in body]
    if len(texts) == 1 and "\n" not in texts[0] and "{ " not in texts[0] and len(inner) + len(texts[0]) <= WIDTH // 2:
        return f"{{ {texts[0]} }}"
    return "{\n" + "".join(f"{inner}{text}\n" for text in texts) + indent + "}"


def _statement(statement: ast.Stmt, indent: str) -> str:
    match statement:
        case ast.Assign():
            lead = "".join(f"{', '.join(names)} = " for names in statement.targets)
            return _values(lead, statement.values, indent)
        case ast.Append():
            return _broken(f"{statement.target} += ", statement.value, indent)
        case ast.For():
            loop = _loop(statement.iterable, indent)
            return f"for {statement.name} in {loop} {_block(statement.body, indent)}"
        case ast.If():
            return _if(statement, indent)
        case ast.Return():
            return _values("return ", statement.values, indent)
        case ast.Binding():
            return _binding(statement, indent)


def _values(lead: str, values: Sequence[ast.Expr], indent: str) -> str:
    if len(values) == 1:
        return _broken(lead, values[0], indent)
    return lead + ", ".join(_expr(v, _EXPR, indent) for v in values)


def _if(statement: ast.If, indent: str) -> str:
    parts = []
    while True:
        parts.append(f"if {_expr(statement.condition, _OR, indent)} {_block(statement.then, indent)}")
        rest = statement.orelse
        if len(rest) != 1 or not isinstance(rest[0], ast.If):
            break
        statement = rest[0]
    if rest:
        parts.append(_block(rest, indent))
    return " else ".join(parts)


# ------------------------------------------------------------------ expressions


def _expr(node: ast.Expr, least: int, indent: str) -> str:
    """The text of a node, in parentheses if it binds looser than ``least``."""
    strength, text = _bare(node, indent)
    return f"({text})" if strength < least else text


def _bare(node: ast.Expr, indent: str) -> tuple[int, str]:
    match node:
        case ast.Name():
            return _ATOM, node.id
        case ast.Number():
            return _ATOM, node.text or f"{node.value!r}{node.unit}"
        case ast.String():
            return _ATOM, f'"{node.value}"'
        case ast.From():
            return _EXPR, _from(node, indent)
        case ast.Alternatives():
            return _ALTERNATIVES, " | ".join(_candidate(c, indent) for c in node.candidates)
        case ast.Pipe():
            return _PIPE, " >> ".join(_stage(s, indent) for s in node.stages)
        case ast.Typed():
            return _STAGE, f"{_expr(node.stage, _SUM, indent)} -> {_expr(node.type, _POSTFIX, indent)}"
        case ast.Compare():
            return _COMPARE, _compare(node, indent)
        case ast.Unary(op="not"):
            return _NOT, f"not {_expr(node.operand, _NOT, indent)}"
        case ast.Unary():
            return _FACTOR, f"-{_expr(node.operand, _FACTOR, indent)}"
        case ast.Binary():
            own, left, right = _BINARY[node.op]
            space = "" if node.op == "^" else " "
            sides = (_expr(node.left, left, indent), _expr(node.right, right, indent))
            return own, f"{space}{node.op}{space}".join(sides)
        case ast.Range() | ast.Spread():
            return _ATOM, _element(node, indent)
        case _:
            return _closed(node, indent)


def _closed(node: ast.Expr, indent: str) -> tuple[int, str]:
    """Expressions that end in a bracket or a name."""
    match node:
        case ast.Call():
            return _POSTFIX, f"{_expr(node.callee, _POSTFIX, indent)}({_args(node.args, indent)})"
        case ast.Index():
            return _POSTFIX, f"{_expr(node.base, _POSTFIX, indent)}[{_elements(node.items, indent, _SUM)}]"
        case ast.Slice():
            low, high = (_expr(end, _SUM, indent) if end else "" for end in (node.low, node.high))
            return _POSTFIX, f"{_expr(node.base, _POSTFIX, indent)}[{low}..{high}]"
        case ast.Attribute():
            return _POSTFIX, f"{_expr(node.base, _POSTFIX, indent)}.{node.name}"
        case ast.TupleOf():
            return _ATOM, f"({_elements(node.items, indent)})"
        case ast.ListOf():
            return _ATOM, f"[{_elements(node.items, indent)}]"
        case ast.Braces():
            return _ATOM, f"{'elastic ' if node.elastic else ''}{{{_elements(node.items, indent)}}}"
        case ast.Inline():
            return _ATOM, f"{node.kind}({_expr(node.value, _EXPR, indent)})"
        case ast.Dag():
            return _ATOM, f"dag({', '.join(node.params)}) {_block(node.body, indent)}"
    raise AssertionError(f"no form for {type(node).__name__}")


def _stage(node: ast.Expr, indent: str) -> str:
    if isinstance(node, ast.Binary) and node.op in ("+", "-"):
        return f"({_expr(node, _SUM, indent)})"
    if isinstance(node, ast.Typed) and isinstance(node.stage, ast.Binary) and node.stage.op in ("+", "-"):
        return f"({_expr(node.stage, _SUM, indent)}) -> {_expr(node.type, _POSTFIX, indent)}"
    return _expr(node, _STAGE, indent)


def _candidate(candidate: ast.Candidate, indent: str) -> str:
    label = f"{candidate.label}: " if candidate.label else ""
    prior = f" @ {_expr(candidate.prior, _SUM, indent)}" if candidate.prior else ""
    guard = f" when {_expr(candidate.guard, _OR, indent)}" if candidate.guard else ""
    return f"{label}{_expr(candidate.value, _PIPE, indent)}{prior}{guard}"


def _from(node: ast.From, indent: str) -> str:
    if node.count is None:
        lead = "from"
    elif node.count == "any":
        lead = "pick any from"
    elif isinstance(node.count, ast.Name) and node.count.id == "any":
        lead = "pick (any) from"
    else:
        lead = f"pick {_loop(node.count, indent)} from"
    bound = "" if node.name is None else f"{node.name} in "
    source = _loop(node.source, indent) if node.name else _expr(node.source, _SUM, indent)
    return f"{lead} {bound}{source}: {_expr(node.body, _EXPR, indent)}"


def _loop(node: ast.Expr, indent: str) -> str:
    return _element(node, indent) if isinstance(node, ast.Range) else _expr(node, _SUM, indent)


def _compare(node: ast.Compare, indent: str) -> str:
    parts = [_expr(node.operands[0], _SUM, indent)]
    for op, operand in zip(node.ops, node.operands[1:], strict=True):
        parts += [op, _expr(operand, _SUM, indent)]
    return " ".join(parts)


def _elements(items: Sequence[ast.Expr], indent: str, least: int = _EXPR) -> str:
    return ", ".join(_element(item, indent, least) for item in items)


def _element(item: ast.Expr, indent: str, least: int = _EXPR) -> str:
    match item:
        case ast.Range():
            return f"{_expr(item.low, _SUM, indent)}..{_expr(item.high, _SUM, indent)}"
        case ast.Spread():
            return f"*{_expr(item.value, _SUM, indent)}"
    return _expr(item, least, indent)


def _args(args: Sequence[ast.Arg], indent: str) -> str:
    return ", ".join((f"{arg.name} = " if arg.name else "") + _element(arg.value, indent) for arg in args)
