"""One running Guilder for tests that only look, and more of them on its database.

Import the fixtures in the folder's conftest. Its books are those of PostgreSQL: what is looked at
is HTTP, and the same on every engine.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import Database, DatabaseServer
from tests.support.http import Running, running, settings_for

Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture(scope="package")
async def http_database(postgresql: DatabaseServer) -> AsyncIterator[Database]:
    """Make the database that all of them share."""
    async with postgresql.database() as database:
        yield database


@pytest.fixture(scope="package")
async def guilder(
    http_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """Run one for the whole folder."""
    # Who signed in first may be asked for again when all others were tested.
    settings = settings_for(
        tmp_path_factory.mktemp("data"),
        access_ttl_s=43_200,
        session_idle_s=43_200,
        **_urls(http_database),
    )
    async with running(**settings) as started:
        yield started


@pytest.fixture
def start(http_database: Database, tmp_path: Path) -> Start:
    """Start another Guilder on the same database, with other settings."""
    return partial(running, **settings_for(tmp_path, **_urls(http_database)))


def _urls(database: Database) -> dict[str, Any]:
    return {"database_url": database.url, "database_owner_url": database.owner_url}
