"""The encodings by name. A scheme is a function of what is encoded and of keyword options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.space.encodings.adjacency import adjacency
from spacec.space.encodings.categorical import categorical
from spacec.space.encodings.graphs import GraphEncoding, graph
from spacec.space.encodings.model import Encoding
from spacec.space.encodings.onehot import onehot
from spacec.space.encodings.paths import path
from spacec.space.encodings.tokens import tokens
from spacec.space.subject import Subject

SCHEMES: dict[str, Callable[..., Encoding | GraphEncoding]] = {
    "onehot": onehot,
    "categorical": categorical,
    "adjacency": adjacency,
    "path": path,
    "graph": graph,
    "tokens": tokens,
}
"""Each takes a :class:`Subject` and its options as keywords."""


def encoding_of(subject: Subject, scheme: str, options: dict[str, Any]) -> Encoding | GraphEncoding:
    """The encoding with these options, made once per table.

    Raises :class:`SpacecError`: E0620 for an unknown scheme or option, E0623 where it would be too large.
    """
    make = SCHEMES.get(scheme)
    if make is None:
        near = nearest(scheme, SCHEMES)
        notes = (f"the schemes are {', '.join(SCHEMES)}",)
        hint = f"did you mean {near!r}?" if near else ""
        raise SpacecError(Diagnostic("E0620", f"no encoding is named {scheme!r}", notes=notes, help=hint))
    known = [name for name in inspect.signature(make).parameters if name != "subject"]
    for name in options:
        if name not in known:
            note = f"its options are {', '.join(known)}" if known else "it has no options"
            raise SpacecError(Diagnostic("E0620", f"{scheme!r} has no option {name!r}", notes=(note,)))
    key = ("encoding", scheme, tuple(sorted((k, repr(v)) for k, v in options.items())))
    found: Encoding | GraphEncoding | None = subject.table.memo.get(key)
    if found is None:
        found = subject.table.memo[key] = make(subject, **options)
    return found
