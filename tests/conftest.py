"""Fixtures that every test may use: a database server for the session, and databases on it."""

import os
from collections.abc import AsyncIterator

import pytest

from guilder.storage.base import Storage
from guilder.storage.mongo.storage import MongoStorage
from guilder.storage.postgres.storage import PostgresStorage
from tests.support.databases import (
    ENGINES,
    Database,
    DatabaseServer,
    Server,
    database_server,
)
from tests.support.mongo import MongoServer, mongo_server
from tests.support.outside import the_guard

__all__ = ["the_guard"]


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell a failure when it happens: a run that is ended from outside prints no summary."""
    if report.failed and os.environ.get("PYTEST_XDIST_WORKER") is None:
        print(f"\nFAILED {report.nodeid} ({report.when})\n{report.longreprtext[-3000:]}")  # noqa: T201


@pytest.fixture(scope="session")
async def postgresql() -> AsyncIterator[DatabaseServer]:
    """The PostgreSQL server of this test process."""
    async with database_server() as server:
        yield server


@pytest.fixture(scope="session")
async def mongodb() -> AsyncIterator[MongoServer]:
    """The MongoDB replica set of this test process."""
    async with mongo_server() as server:
        yield server


@pytest.fixture(scope="session", params=ENGINES)
def server(request: pytest.FixtureRequest) -> Server:
    """The database server of the engine under test."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
async def storage(server: Server) -> AsyncIterator[Storage]:
    """Open storage without any content. The books are there; `migrate` adds a model's tables.

    Tables and indexes of earlier tests may be there too, empty.
    """
    async with server.shared_storage() as storage:
        yield storage


@pytest.fixture
async def new_storage(server: Server) -> AsyncIterator[Storage]:
    """Open storage on a database of its own: for tests that look at the schema, or break things."""
    async with server.storage() as storage:
        yield storage


@pytest.fixture
async def new_database(server: Server) -> AsyncIterator[Database]:
    """Urls of a new, migrated database, for tests that open storage themselves."""
    async with server.database() as database:
        yield database


@pytest.fixture
async def postgresql_storage(postgresql: DatabaseServer) -> AsyncIterator[PostgresStorage]:
    """As `storage`, for tests about PostgreSQL itself."""
    async with postgresql.shared_storage() as storage:
        assert isinstance(storage, PostgresStorage)
        yield storage


@pytest.fixture
async def new_postgresql_storage(postgresql: DatabaseServer) -> AsyncIterator[PostgresStorage]:
    """As `new_storage`, for tests about PostgreSQL itself."""
    async with postgresql.storage() as storage:
        assert isinstance(storage, PostgresStorage)
        yield storage


@pytest.fixture
async def mongodb_storage(mongodb: MongoServer) -> AsyncIterator[MongoStorage]:
    """As `storage`, for tests about MongoDB itself."""
    async with mongodb.shared_storage() as storage:
        assert isinstance(storage, MongoStorage)
        yield storage


@pytest.fixture
async def new_mongodb_storage(mongodb: MongoServer) -> AsyncIterator[MongoStorage]:
    """As `new_storage`, for tests about MongoDB itself."""
    async with mongodb.storage() as storage:
        assert isinstance(storage, MongoStorage)
        yield storage


@pytest.fixture
async def database(postgresql: DatabaseServer) -> AsyncIterator[Database]:
    """As `new_database`, for tests about PostgreSQL itself."""
    async with postgresql.database() as database:
        yield database
