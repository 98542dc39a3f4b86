"""The architectures of a space as arrays of numbers; numpy is imported by the methods that need it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from spacec.facade.form import Form
from spacec.space.architecture import Architecture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spacec.space.batch import Batch
    from spacec.space.encodings.graphs import GraphEncoding
    from spacec.space.encodings.model import Encoding


class Encodings(Form):
    """The space as rows of numbers."""

    def encode(self, archs: Architecture | Iterable[Architecture], scheme: str = "onehot", **options: Any) -> Any:
        """Architectures as an array [architectures, *shape], one alone as its row.

        ``scheme`` is one of ``onehot``, ``categorical``, ``adjacency``, ``path``, ``graph`` and ``tokens``; see
        :meth:`encoding` for shape, columns and options. ``graph`` gives :class:`spacec.space.encodings.graphs.Graphs`,
        always of a batch. Raises :class:`SpacecError`: E0620 for an unknown scheme or option, E0623 where
        an encoding would be too large, E0602 to E0605 for an architecture of another space.
        """
        from spacec.space.encodings.graphs import Graphs
        from spacec.space.encodings.model import stack

        batch, alone = stack(archs, self.table)
        rows = self.encoding(scheme, **options).encode(batch)
        return rows[0] if alone and not isinstance(rows, Graphs) else rows

    def decode(self, rows: NDArray[Any], scheme: str = "onehot", **options: Any) -> Architecture | Batch:
        """The architectures of an array that :meth:`encode` made: a batch of rows, or the one of a single row.

        Raises :class:`SpacecError`: E0621 where the scheme loses something (its note says what), E0622
        for an array that encodes no architecture.
        """
        import numpy as np

        given = np.asarray(rows)
        encoding = self.encoding(scheme, **options)
        return encoding.decode(given[None])[0] if given.ndim == 1 else encoding.decode(given)

    def encoding(self, scheme: str, **options: Any) -> Encoding | GraphEncoding:
        """What :meth:`encode` makes: its ``columns`` in order, ``shape``, ``dtype``, ``lossless``, what it ``loses``.

        Options: of ``path`` ``length``, ``keep`` (with ``samples``, ``seed``) and ``hashed``; of ``graph`` ``joins``,
        ``compact`` and ``labels``.
        """
        from spacec.space.encodings.registry import encoding_of
        from spacec.space.subject import Subject

        return encoding_of(Subject(self.table, self.graph), scheme, options)
