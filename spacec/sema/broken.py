"""What can be said about the names of a file that does not parse.

Assumes the partial tree that the parser leaves. Says only what no mend of the rest could make wrong: a name is unknown
if every place where it stands is a use that was understood; it is defined twice if both definitions were.
"""

from __future__ import annotations

from collections import Counter

from spacec.diagnostics.model import Sink
from spacec.ir.ops import OpTable
from spacec.sema.apply import apply
from spacec.sema.evaluate import evaluate
from spacec.sema.machine import Machine
from spacec.sema.modules import definitions
from spacec.sema.scopes import report_duplicates, report_unknown
from spacec.sema.values import Env, Value
from spacec.syntax import ast
from spacec.syntax.lexer import lex
from spacec.syntax.walk import nodes


def report_names(file: ast.File, libraries: tuple[ast.File, ...], ops: OpTable, sink: Sink) -> None:
    """Add findings about names; ``libraries`` are visible everywhere. A file with a ``use`` line gets none: its names
    may come from there."""
    tokens = lex(file.span.source, Sink()).tokens
    if any(token.kind == "use" for token in tokens):
        return
    known: dict[str, Value] = dict(ops.ops)
    outer = Env(known, top=True)
    for library in libraries:
        known.update(definitions(library.items, outer))
    names: dict[str, Value] = {}
    env = Env(names, outer, top=True)
    found = Sink()
    m = Machine(file.span.source, found, ops, {}, evaluate, apply)
    names.update(dict.fromkeys((p.name for p in file.header.params) if file.header else (), 0))
    names.update(definitions(file.items, env))
    ports = [item for item in file.items if isinstance(item, ast.Port)]
    m.inputs.update({port.name: port.name_span for port in ports if port.direction == "input"})
    sizes = {node.id for port in ports for node in nodes(port) if isinstance(node, ast.Name)}
    report_duplicates(m, file.items, file.header)
    for item in file.items:
        report_unknown(m, item, env)
    texts = Counter(token.text for token in tokens)
    uses = Counter(node.id for node in nodes(file) if isinstance(node, ast.Name))
    seen = {d.span.start for d in sink.diagnostics if d.span}
    for diagnostic in found.diagnostics:
        name = diagnostic.span.text if diagnostic.span else ""
        understood = uses[name] + (name in m.inputs) == texts[name] and name not in sizes
        if (diagnostic.code == "E0202" or understood) and diagnostic.span and diagnostic.span.start not in seen:
            sink.add(diagnostic)
