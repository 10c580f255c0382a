"""Books on PostgreSQL, for tests that open several journals or look past them."""

import contextlib
from collections.abc import AsyncIterator, Sequence

import asyncpg

from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, Verdict
from guilder.storage import open_storage
from guilder.storage.base import LedgerStorage
from guilder.storage.records import Account
from tests.support.books import account, account_id, request
from tests.support.databases import Database


@contextlib.asynccontextmanager
async def journal_on(book: LedgerStorage, **options: int) -> AsyncIterator[Journal]:
    """Lend a started journal on a book."""
    journal = Journal(book, **options)
    await journal.start()
    try:
        yield journal
    finally:
        await journal.stop()


@contextlib.asynccontextmanager
async def journals_on(database: Database, count: int) -> AsyncIterator[list[Journal]]:
    """Lend journals that share nothing but the database, as so many processes would."""
    async with contextlib.AsyncExitStack() as stack:
        journals = []
        for _ in range(count):
            storage = await open_storage(database.url)
            stack.push_async_callback(storage.close)
            journals.append(await stack.enter_async_context(journal_on(storage.ledger())))
        yield journals


async def open_funded(journal: Journal, **amounts: int) -> None:
    """Open test accounts and pay these amounts in from `mint`."""
    await journal.open_accounts([account("mint"), *map(account, amounts)])
    funding = [request("mint", name, amount) for name, amount in amounts.items() if amount]
    if funding:
        created(await journal.post_all(funding))


def created(outcomes: Sequence[Outcome]) -> None:
    """Check that all of it is in the journal now."""
    assert {outcome.verdict for outcome in outcomes} == {Verdict.CREATED}


async def state(journal: Journal, name: str) -> Account:
    """Return a test account as it is stored."""
    found = await journal.book.accounts([account_id(name)])
    return found[account_id(name)]


async def posted(journal: Journal, name: str) -> int:
    """Return what is posted on a test account."""
    return (await state(journal, name)).posted


@contextlib.asynccontextmanager
async def owner_of(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Lend a connection of the schema's owner."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        yield connection
    finally:
        await connection.close()
