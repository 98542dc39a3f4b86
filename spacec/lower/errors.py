"""Diagnostics of the back end, in one place."""

from __future__ import annotations

from collections.abc import Iterable

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.source import NOWHERE, Span

LOWERING = "E0901"
"""The lowering of an op cannot be loaded or used."""
ELASTIC = "E0902"
"""An op cannot run slices of its largest size."""
KEY = "E0903"
"""A parameter key is no attribute path, or two different layers share one."""
MASK = "E0904"
"""A mask does not fit the supernet."""
ABSENT = "E0905"
"""An output is absent under the chosen paths."""
STANDALONE = "E0906"
"""Code that cannot be copied into a stand-alone file."""
FORM = "E0907"
"""A supernet and a network are of different forms."""
NAME = "E0908"
"""An unknown tap, weight or parameter kind."""
MIXED = "E0910"
"""A soft mask where only an index has a meaning."""
CHECK = "E0909"
"""The reported value of a network is not what its stored tensors give."""


def lowering_error(
    code: str, headline: str, span: Span | None = None, notes: tuple[str, ...] = (), help: str = ""
) -> SpacecError:
    """An error to raise; ``span`` is dropped where the node was made by no person."""
    place = None if span is None or span is NOWHERE else span
    return SpacecError(Diagnostic(code, headline, place, notes=notes, help=help))


def unknown_name(code: str, what: str, name: object, known: Iterable[str]) -> SpacecError:
    """``what`` is not known by that name; the nearest name is suggested."""
    near = nearest(str(name), known)
    return lowering_error(code, f"no {what} `{name}`", help=f"did you mean `{near}`?" if near else "")
