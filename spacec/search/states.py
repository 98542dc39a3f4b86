"""The kept states of trials: from where the training of an architecture may go on in a later trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spacec.search import files


class States:
    """In the folder ``trials/`` of a run directory, a file for each trial that is kept; without one, in memory."""

    def __init__(self, out_dir: Path | None) -> None:
        self._folder = None if out_dir is None else out_dir / files.TRIAL_STATES
        self._held: dict[int, Any] = {}

    def keep(self, number: int, state: Any) -> None:
        """Keep the state of trial ``number``."""
        if self._folder is None:
            self._held[number] = state
            return
        with files.storage_errors(self._folder, "create"):
            self._folder.mkdir(exist_ok=True)
        files.write_tensors(self._path(number), state)

    def load(self, number: int) -> Any:
        """The state of trial ``number``, which was kept.

        Raises E0810 where its file is gone (the training would begin anew, and end elsewhere), E0813 where it is none.
        """
        if self._folder is None:
            return self._held.get(number)
        return files.read_tensors(self._path(number))

    def _path(self, number: int) -> Path:
        assert self._folder is not None, "asked of a run with a directory"
        return self._folder / f"{number}.pt"
