from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.store.postgres import Server

_COUNT = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A real server, for all tests of a process."""
    with Server.new() as server:
        yield server


@pytest.fixture
def database(postgres: Server) -> Callable[[], str]:
    """Makes an empty database, and gives its URL."""

    def make() -> str:
        name = f"store_{next(_COUNT)}"
        postgres.ask(f"CREATE DATABASE {name}")
        return postgres.url(name)

    return make
