"""What a command line left behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    """Exit code, standard output and standard error."""

    code: int
    out: str
    err: str
