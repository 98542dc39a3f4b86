"""Fixtures of more than one folder of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def double() -> Iterator[None]:
    """Double precision by default, as comparisons to 1e-10 need it."""
    import torch  # only where a test asks for it: the front end is tested without

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
