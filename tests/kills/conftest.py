"""One process that has loaded torch, for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kills.processes import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as found:
        yield found
