from collections.abc import AsyncIterator

import pytest

from guilder.ledger.journal import Journal
from guilder.ledger.verify import verify
from tests.support.books import MemoryBook, account
from tests.support.journals import Start


@pytest.fixture
def book() -> MemoryBook:
    return MemoryBook(account("mint"), account("payer"), account("payee"))


@pytest.fixture
async def start(book: MemoryBook) -> AsyncIterator[Start]:
    """Start a journal; in the end it is stopped, and the books are right."""
    started: list[Journal] = []

    async def start(**options: int) -> Journal:
        journal = Journal(book, **options)
        await journal.start()
        started.append(journal)
        return journal

    yield start
    book.open.set()
    for journal in started:
        await journal.stop()
    report = await verify(book)
    assert report.ok, report.difference


@pytest.fixture
async def journal(start: Start) -> Journal:
    found = await start()
    assert isinstance(found, Journal)
    return found
