"""Connections whose other end is gone without a word cost a request less than five seconds."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from guilder.kernel.errors import Unavailable
from guilder.ledger.followers import FollowerPosition
from guilder.storage import open_storage
from guilder.storage.base import Storage
from tests.support.databases import Database
from tests.support.proxy import Proxy, mongo_messages, postgres_messages

WITHIN_S = 6.5
LOAD_S = 2.0
"""What a busy machine may add. Without a remedy it would be fifteen seconds or more."""
CONNECTIONS = 5


async def _read_the_book(storage: Storage) -> object:
    return await storage.ledger().head()


async def _take_the_head(storage: Storage) -> object:
    async with storage.ledger().batch() as batch:
        return batch.head


async def _read_in_a_transaction(storage: Storage) -> object:
    async with storage.transaction() as transaction:
        return await transaction.documents(FollowerPosition).get("nobody")


_ASKED = (_read_the_book, _take_the_head, _read_in_a_transaction)


async def test_a_request_on_a_vanished_connection_is_answered_soon(new_database: Database) -> None:
    owner = await open_storage(new_database.url, owner_url=new_database.owner_url)
    await owner.migrate([FollowerPosition])
    await owner.close()
    # They wait for time-outs, each on connections of its own: together that takes no longer.
    await asyncio.gather(*(_is_answered_soon(new_database, ask) for ask in _ASKED))


async def _is_answered_soon(
    database: Database, ask: Callable[[Storage], Awaitable[object]]
) -> None:
    parts = urlsplit(database.url)
    is_mongodb = parts.scheme == "mongodb"
    messages = mongo_messages if is_mongodb else postgres_messages
    async with Proxy(str(parts.hostname), int(parts.port or 0), messages=messages) as proxy:
        netloc = parts.netloc.replace(f":{parts.port}", f":{proxy.port}")
        # MongoDB's driver would else ask the server for its address, and go there.
        query = "directConnection=true" if is_mongodb else parts.query
        storage = await open_storage(parts._replace(netloc=netloc, query=query).geturl())
        try:
            await asyncio.gather(*(ask(storage) for _ in range(CONNECTIONS)))
            assert proxy.lose_connections() > 0
            began = time.monotonic()
            with contextlib.suppress(Unavailable):
                await ask(storage)
            assert time.monotonic() - began < WITHIN_S + LOAD_S
            began = time.monotonic()
            await ask(storage)
            assert time.monotonic() - began < LOAD_S
        finally:
            await storage.close()
