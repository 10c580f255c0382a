"""Changes to stored books past Guilder, by whoever administers the database; on both engines."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from bson.int64 import Int64
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from tests.support.databases import Database
from tests.support.postgres_books import owner_of

_BLANK = "decode(repeat('00', 32), 'hex')"


async def blank_hash(database: Database, position: int) -> None:
    """Overwrite the hash of one line of the journal."""
    if is_mongodb(database):
        await _overwrite(database, "transfers", {"_id": Int64(position)}, {"hash": bytes(32)})
        return
    async with owner_of(database) as owner:
        await owner.execute("ALTER TABLE book_main.transfers DISABLE TRIGGER USER")
        await owner.execute(
            f"UPDATE book_main.transfers SET hash = {_BLANK} WHERE position = $1", position
        )


async def blank_head(database: Database) -> None:
    """Overwrite the hash at the head."""
    if is_mongodb(database):
        await _overwrite(database, "head", {"_id": "head"}, {"hash": bytes(32)})
        return
    async with owner_of(database) as owner:
        await owner.execute(f"UPDATE book_main.head SET hash = {_BLANK}")


async def raise_balances(database: Database) -> None:
    """Make everybody who has something one unit richer."""
    if is_mongodb(database):
        async with mongo_database(database) as found:
            done = await found["book_main_accounts"].update_many(
                {"posted": {"$gt": 0}},
                {"$inc": {"posted": Int64(1)}},
                bypass_document_validation=True,
            )
            assert done.modified_count
        return
    async with owner_of(database) as owner:
        await owner.execute("UPDATE book_main.balances SET posted = posted + 1 WHERE posted > 0")


@contextlib.asynccontextmanager
async def mongo_database(database: Database) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    """Lend the database of a url to look into, or to break things."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        database.owner_url, uuidRepresentation="standard", tz_aware=True
    )
    try:
        yield client.get_default_database()
    finally:
        await client.close()


def is_mongodb(database: Database) -> bool:
    """Tell whether a database is one of MongoDB's."""
    return database.url.startswith("mongodb")


async def _overwrite(
    database: Database, kind: str, which: dict[str, Any], fields: dict[str, Any]
) -> None:
    async with mongo_database(database) as found:
        done = await found[f"book_main_{kind}"].update_one(
            which, {"$set": fields}, bypass_document_validation=True
        )
        assert done.modified_count == 1
