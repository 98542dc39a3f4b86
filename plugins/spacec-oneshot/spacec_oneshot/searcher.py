"""Who searches a trained supernet: an installed strategy by name, with its options in one text."""

from __future__ import annotations

import re

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.hooks import installed
from spacec.search.options import outside, split_assignments
from spacec.search.strategy import Strategy

_ASSIGNED = re.compile(r"\s*[A-Za-z_]\w*\s*=")


def make_searcher(owner: str, name: str, options: str) -> Strategy:
    """The strategy ``name`` with ``options``, for the strategy ``owner``.

    Where it can also do without a supernet of its own (``random``), it does. Raises :class:`SpacecError`: E0710 for one
    that is not installed, E0880 for one that trains a supernet of its own, lets trainings go on,
    or is told of a server or a file outside the run: who takes up somebody else's run is not asked about those.
    """
    implementation = installed().find("spacec_strategies", name).load()
    searcher: Strategy = implementation({**implementation.tabular, **parsed(options)})
    if searcher.uses_supernet:
        raise _refused(owner, name, "it trains a supernet of its own")
    if searcher.resumes:
        raise _refused(
            owner, name, "it lets trainings of trials go on, and a rating with shared weights trains nothing"
        )
    if beyond := tuple(outside(searcher.options)):
        raise _refused(owner, name, f"its option '{beyond[0]}' names what is outside the run")
    return searcher


def parsed(text: str) -> dict[str, str]:
    """``"population=20,limits=params<=9,macs<=8"`` by name: a comma belongs to a value unless ``name=`` follows it.

    Raises :class:`SpacecError`: E0704, E0705.
    """
    items: list[str] = []
    for part in text.split(",") if text.strip() else ():
        if items and not _ASSIGNED.match(part):
            items[-1] += f",{part}"
        else:
            items.append(part)
    return split_assignments(items, "search_options")


def _refused(owner: str, name: str, why: str) -> SpacecError:
    headline = f"strategy '{owner}' cannot have its supernet searched by '{name}': {why}"
    help = "strategies that rate architectures one by one can: spos-evolution, random, nsga2, evolution"
    return SpacecError(Diagnostic("E0880", headline, help=help))
