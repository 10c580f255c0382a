"""Fixtures that every test may use: a database server for the session, and databases on it."""

from collections.abc import AsyncIterator

import pytest

from guilder.storage.base import Storage
from tests.support.databases import Database, DatabaseServer, database_server

ENGINES = ("postgresql",)
"""Every test with `storage` or `new_storage` runs on each. A second engine is one more name here,
and the choice of its server in `server`."""


@pytest.fixture(scope="session")
async def postgresql() -> AsyncIterator[DatabaseServer]:
    """The PostgreSQL server of this test process."""
    async with database_server() as server:
        yield server


@pytest.fixture(scope="session", params=ENGINES)
async def server(postgresql: DatabaseServer) -> DatabaseServer:
    """The database server of the engine under test."""
    return postgresql


@pytest.fixture
async def storage(server: DatabaseServer) -> AsyncIterator[Storage]:
    """Open storage without any content. The books are there; `migrate` adds a model's tables.

    Tables and indexes of earlier tests may be there too, empty.
    """
    async with server.shared_storage() as storage:
        yield storage


@pytest.fixture
async def new_storage(server: DatabaseServer) -> AsyncIterator[Storage]:
    """Open storage on a database of its own: for tests that look at the schema, or break things."""
    async with server.storage() as storage:
        yield storage


@pytest.fixture
async def database(postgresql: DatabaseServer) -> AsyncIterator[Database]:
    """Urls of a new, migrated PostgreSQL database, for tests that open storage themselves."""
    async with postgresql.database() as database:
        yield database
