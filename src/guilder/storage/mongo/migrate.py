"""Schema changes: numbered functions, forward only, each safe to run twice.

MongoDB has no transaction over schema changes, so one that was interrupted is run again from its
beginning. Several processes take turns; as every step may be repeated, it does no harm if two
overlap.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bson.int64 import Int64
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError, OperationFailure

from guilder.storage.errors import StorageUnavailable
from guilder.storage.mongo.document_shape import Body, DocumentShape
from guilder.storage.mongo.documents import PREFIX
from guilder.storage.mongo.engine import Database
from guilder.storage.mongo.ledger_shapes import INDEXES, VALIDATORS, genesis_body

DONE = "schema_migrations"
_EXISTS = 48
_TURN_MS = 60_000
_WAIT_S = 120.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered change."""

    number: int
    title: str
    run: Callable[[Database], Awaitable[None]]


async def _make_book(database: Database) -> None:
    """Make the collections of the book `main`, and its head."""
    for kind, validator in VALIDATORS.items():
        name = f"book_main_{kind}"
        await _make_collection(database, name, validator)
        models = [
            IndexModel([(field, 1) for field in fields], name="__".join(fields), **options)
            for fields, options in INDEXES.get(kind, ())
        ]
        if models:
            await database[name].create_indexes(models)
    # What is there already stays as it is.
    fresh = {"$mergeObjects": [{"$literal": genesis_body()}, {"changed_at": "$$NOW"}, "$$ROOT"]}
    await database.book_main_head.update_one(
        {"_id": "head"}, [{"$replaceWith": fresh}], upsert=True
    )


MIGRATIONS: Sequence[Migration] = (Migration(1, "0001_book", _make_book),)


async def migrate(
    database: Database,
    shapes: Iterable[DocumentShape[Any]],
    *,
    migrations: Sequence[Migration] = MIGRATIONS,
) -> list[str]:
    """Bring the schema up to date and return what was done.

    Args:
        database: Of somebody who may change the schema.
        shapes: Collections that must exist with their indexes.
        migrations: In order.

    Raises:
        StorageUnavailable: Another process has been migrating for two minutes.
        DuplicateKeyError: The data breaks a unique index.
    """
    await _take_turn(database)
    try:
        done = [m.title for m in migrations if await _apply(database, m)]
        return done + await _make_documents(database, list(shapes))
    finally:
        await database[DONE].delete_one({"_id": "turn"})


async def _take_turn(database: Database) -> None:
    """Wait until no other process migrates. One that died is not waited for beyond a minute."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _WAIT_S
    mine = [{"$set": {"until": {"$add": ["$$NOW", _TURN_MS]}}}]
    nobodys = {"_id": "turn", "until": None}
    expired = {"_id": "turn", "$expr": {"$lt": ["$until", "$$NOW"]}}
    while loop.time() < deadline:
        try:
            if (await database[DONE].update_one(expired, mine)).modified_count == 1:
                return
            await database[DONE].update_one(nobodys, mine, upsert=True)
        except DuplicateKeyError:
            await asyncio.sleep(_POLL_S)
        else:
            return
    raise StorageUnavailable("Another process has been changing the schema for two minutes.")


async def _apply(database: Database, migration: Migration) -> bool:
    """Run one migration unless it has run; tell whether it was run now."""
    done = database[DONE]
    if await done.find_one({"_id": Int64(migration.number)}) is not None:
        return False
    await migration.run(database)
    await done.update_one(
        {"_id": Int64(migration.number)},
        [{"$set": {"title": migration.title, "applied_at": "$$NOW"}}],
        upsert=True,
    )
    return True


async def _make_documents(database: Database, shapes: Sequence[DocumentShape[Any]]) -> list[str]:
    """Make the collections and indexes that are missing."""
    done: list[str] = []
    existing = set(await database.list_collection_names())
    for shape in shapes:
        name = PREFIX + shape.name
        if name not in existing:
            await _make_collection(database, name, shape.validator)
            existing.add(name)
            done.append(name)
        there = await database[name].index_information()
        missing = {
            index: IndexModel(keys, name=index, **options)
            for index, (keys, options) in shape.indexes().items()
            if index not in there
        }
        if missing:
            await database[name].create_indexes(list(missing.values()))
            done += [f"{name}__{index}" for index in missing]
    return done


async def _make_collection(database: Database, name: str, validator: Body) -> None:
    """Make a collection; give one that is there the validator of this version."""
    try:
        await database.create_collection(name, check_exists=False, validator=validator)
    except OperationFailure as error:
        if error.code != _EXISTS:
            raise
        await database.command("collMod", name, validator=validator)
