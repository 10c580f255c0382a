import contextlib
from collections.abc import AsyncIterator

import pytest

from guilder.ledger.journal import Journal
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from tests.support.databases import Database, Server
from tests.support.deployment import Deployment, deployment_on
from tests.support.postgres_books import journal_on
from tests.support.racer import PROCESSES, Racers, batch_max, racers_on


@pytest.fixture(scope="package")
async def arena(server: Server) -> AsyncIterator[Database]:
    """The database of all races: each round has accounts of its own."""
    async with server.database() as database:
        yield database


@pytest.fixture(scope="package")
async def journals(arena: Database) -> AsyncIterator[list[Journal]]:
    """Writers of one process, that share nothing else. In the end the books are right."""
    async with contextlib.AsyncExitStack() as stack:
        journals = []
        for writer in range(PROCESSES):
            storage = await open_storage(arena.url)
            stack.push_async_callback(storage.close)
            journal = journal_on(storage.ledger(), batch_max=batch_max(writer))
            journals.append(await stack.enter_async_context(journal))
        yield journals
        report = await verify(journals[0].book)
        assert report.ok, report.difference


@pytest.fixture(scope="package")
async def racers(arena: Database) -> AsyncIterator[Racers]:
    """Writers of as many processes."""
    async with racers_on(arena.url) as racers:
        yield racers


@pytest.fixture
async def deployment(server: Server) -> AsyncIterator[Deployment]:
    """Four Guilders on one database."""
    async with (
        server.database() as database,
        deployment_on(database, PROCESSES, limit_daily_minor={"JPY": 30}) as deployment,
    ):
        yield deployment
