from collections.abc import AsyncIterator

import pytest

from guilder.ledger.verify import verify
from guilder.storage.base import Storage
from tests.support.people import People, people_on
from tests.support.running import guilder

__all__ = ["guilder", "people"]


@pytest.fixture
async def people(storage: Storage) -> AsyncIterator[People]:
    """The services on the shared database. In the end the books are right."""
    async with people_on(storage) as people:
        yield people
    report = await verify(storage.ledger())
    assert report.ok, report.difference
