"""Every node of a tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from spacec.syntax.ast import Node


def nodes(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
        for field in fields(value):
            yield from nodes(getattr(value, field.name))
    elif isinstance(value, tuple):
        for part in value:
            yield from nodes(part)
