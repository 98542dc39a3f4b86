"""``categorical``: one integer per decision, -1 where it is not active; lossless.

The integer is the candidate's index; of a subset decision the sum of ``2**e`` over its elements
``e``. These are the codes of a :class:`spacec.space.batch.Batch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from spacec.space.batch import code_type, elements_of
from spacec.space.decisions import Decision
from spacec.space.encodings.model import Encoding
from spacec.space.subject import Subject
from spacec.space.values import Value


def categorical(subject: Subject) -> Encoding:
    """The codes: shape [decisions], int64 (object where a subset has over 62 elements)."""
    table = subject.table
    places = {d.id: i for i, d in enumerate(table.decisions)}

    def fill(codes: NDArray[Any], rows: NDArray[Any]) -> None:
        rows[:] = codes

    def reader(row: NDArray[Any]) -> Callable[[Decision], Value | None]:
        def read(decision: Decision) -> Value | None:
            code = int(row[places[decision.id]])
            if code < 0:
                return None
            return elements_of(code) if decision.kind == "subset" else code

        return read

    def names() -> tuple[str, ...]:
        return tuple(places)

    return Encoding("categorical", table, (len(places),), code_type(table), names, fill, reader)
