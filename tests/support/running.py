"""One running Guilder for the tests of a folder; import its fixtures in the folder's conftest.

It runs on each engine in turn.
"""

from collections.abc import AsyncIterator

import pytest

from guilder.ledger.verify import verify
from tests.support.databases import Server
from tests.support.http import Running, running, settings_for


@pytest.fixture(scope="package")
async def guilder(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """Run it on a database of its own. In the end the books are right."""
    async with server.database() as database:
        settings = settings_for(
            tmp_path_factory.mktemp("data"),
            database_url=database.url,
            database_owner_url=database.owner_url,
            limit_transfer_minor={"JPY": 500},
            limit_daily_minor={"JPY": 1000},
        )
        async with running(**settings) as started:
            yield started
            report = await verify(started.app.state.journal.book)
            assert report.ok, report.difference
