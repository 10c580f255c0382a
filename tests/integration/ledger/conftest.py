from collections.abc import AsyncIterator

import pytest

from guilder.ledger.journal import Journal
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from guilder.storage.base import Storage
from tests.support.databases import Database
from tests.support.postgres_books import journal_on


@pytest.fixture
async def journal(storage: Storage) -> AsyncIterator[Journal]:
    """A journal on the shared database. In the end the books are right."""
    async with journal_on(storage.ledger()) as journal:
        yield journal
    report = await verify(storage.ledger())
    assert report.ok, report.difference


@pytest.fixture
async def own_journal(database: Database) -> AsyncIterator[Journal]:
    """A journal on a database of its own, for tests that tamper with it."""
    storage = await open_storage(database.url)
    async with journal_on(storage.ledger()) as journal:
        yield journal
    await storage.close()
