"""Parameters that nothing reads: most often a width that was meant to reach a layer, and did not."""

from __future__ import annotations

from itertools import chain

from spacec.diagnostics.model import Diagnostic, Sink
from spacec.syntax import ast
from spacec.syntax.walk import nodes


def warn_of_unread(file: ast.File, sink: Sink) -> None:
    """W0204 for every parameter of the header or of a definition of this file that is mentioned nowhere.

    Asks for names only, so a parameter that something inside hides counts as read.
    """
    if file.header is not None:
        _warn(file.header.name, file.header.params, file.items, sink)
    for item in file.items:
        if isinstance(item, ast.Binding):
            inner = nodes(item.body) if isinstance(item.body, ast.Dag) else ()
            for binding in (item, *(n for n in inner if isinstance(n, ast.Binding))):
                _warn(binding.name, binding.params or (), binding.body, sink)


def _warn(owner: str, params: tuple[ast.Param, ...], where: object, sink: Sink) -> None:
    unread = {p.name: p for p in params if not p.name.startswith("_")}
    defaults = tuple(p.default for p in params if p.default is not None)
    for node in chain(nodes(defaults), nodes(where) if unread else ()):
        if isinstance(node, ast.Name):
            unread.pop(node.id, None)
            if not unread:
                return
    for param in unread.values():
        headline = f"nothing reads the parameter `{param.name}` of `{owner}`"
        sink.add(Diagnostic("W0204", headline, param.span, "not used", severity="warning"))
