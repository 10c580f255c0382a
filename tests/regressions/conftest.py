from collections.abc import AsyncIterator

import pytest

from guilder.ledger.journal import Journal
from guilder.ledger.verify import verify
from guilder.payment_requests.models import PaymentRequest
from guilder.storage.base import Storage
from tests.support.gateways import World
from tests.support.gateways import world as build
from tests.support.people import People, people_on
from tests.support.postgres_books import journal_on
from tests.support.running import guilder

__all__ = ["guilder"]


@pytest.fixture
async def journal(storage: Storage) -> AsyncIterator[Journal]:
    """A writer. In the end the books are right."""
    async with journal_on(storage.ledger()) as journal:
        yield journal
        report = await verify(journal.book)
        assert report.ok, report.difference


@pytest.fixture
async def people(storage: Storage) -> AsyncIterator[People]:
    """The services. In the end the books are right."""
    await storage.migrate([PaymentRequest])
    async with people_on(storage) as people:
        yield people
    report = await verify(storage.ledger())
    assert report.ok, report.difference


@pytest.fixture
async def world(storage: Storage) -> AsyncIterator[World]:
    async with build(storage) as built:
        yield built
