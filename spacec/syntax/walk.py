"""Every node of a tree."""

from __future__ import annotations

from collections.abc import Iterator

from spacec.syntax.ast import Node


def nodes(value: object) -> Iterator[Node]:
    """The nodes of a tree or of a tuple of trees, the parts of a node before itself."""
    if isinstance(value, tuple):
        for part in value:
            yield from nodes(part)
    elif isinstance(value, Node):
        for part in vars(value).values():
            if isinstance(part, Node | tuple):
                yield from nodes(part)
        yield value
