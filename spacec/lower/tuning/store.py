"""Measured schedules on disk, in the user's cache folder: one file for each question that was answered.

Files appear whole or not at all, so any number of processes may answer the same question at once; the last one stays.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from spacec.lower.cache import cache_folder
from spacec.lower.schedule import Schedule

Question = Mapping[str, object]
"""All that the answer depends on, as JSON has it."""


def path_of(question: Question) -> Path:
    """The file of a question's answer."""
    name = blake2b(json.dumps(question, sort_keys=True).encode(), digest_size=16).hexdigest()
    return cache_folder("schedules") / f"{name}.json"


def load(question: Question) -> Schedule | None:
    """The answer, if it was stored; a file that cannot be read is told of and left aside."""
    path = path_of(question)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(stored, dict) or stored.get("question") != question:
            raise ValueError("it answers another question")
        return Schedule.from_json(stored.get("schedule"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        warnings.warn(f"the stored schedule '{path}' is left aside: {error}", stacklevel=2)
        return None


def save(question: Question, schedule: Schedule) -> None:
    """Store an answer; a disk that refuses is told of, and nothing is lost but time."""
    path = path_of(question)
    text = json.dumps({"question": question, "schedule": schedule.to_json()}, indent=1)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", text=True)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        warnings.warn(f"the schedule is not stored: {error}", stacklevel=2)
