"""Fixtures of more than one folder of tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["XDG_CACHE_HOME"] = str(Path(tempfile.gettempdir()) / f"spacec-tests-{os.getuid()}")
"""Kernels that tests build stay out of the user's cache, and are built once for all workers and runs."""


@pytest.fixture
def double() -> Iterator[None]:
    """Double precision by default, as comparisons to 1e-10 need it."""
    import torch  # only where a test asks for it: the front end is tested without

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
