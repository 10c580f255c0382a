"""Schema changes: each runs once, whole or not at all, however many processes start."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from pymongo.errors import DuplicateKeyError

from guilder.kernel.errors import InvariantViolation
from guilder.storage import open_storage
from guilder.storage.base import Document, Range, Storage
from guilder.storage.errors import StorageUnavailable
from guilder.storage.postgres import migrate as migrate_module
from guilder.storage.postgres.document_table import DocumentTable
from guilder.storage.postgres.migrate import Migration, migrate, packaged_migrations
from guilder.storage.postgres.storage import PostgresStorage
from tests.support.databases import Database
from tests.support.models import MORNING, Parcel, parcel

GOOD = Migration(9001, "9001_good", "CREATE TABLE public.good (a int); INSERT INTO good VALUES (1)")
BAD = Migration(9002, "9002_bad", "CREATE TABLE public.bad (a int); SELECT 1/0")


async def run(database: Database, migrations: Sequence[Migration]) -> list[str]:
    connection = await asyncpg.connect(database.owner_url)
    try:
        return await migrate(connection, [], application_role="guilder_app", migrations=migrations)
    finally:
        await connection.close()


async def ask(database: Database, sql: str) -> object:
    connection = await asyncpg.connect(database.owner_url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def test_packaged_migrations_are_numbered_without_a_gap() -> None:
    numbers = [migration.number for migration in packaged_migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(migration.sql.strip() for migration in packaged_migrations())


async def test_each_runs_once(database: Database) -> None:
    assert await run(database, [GOOD]) == ["9001_good"]
    assert await run(database, [GOOD]) == []
    assert await ask(database, "SELECT count(*) FROM good") == 1


async def test_two_processes_at_once_take_turns(database: Database) -> None:
    done = await asyncio.gather(*(run(database, [GOOD]) for _ in range(5)))
    assert sorted(map(len, done)) == [0, 0, 0, 0, 1]
    assert await ask(database, "SELECT count(*) FROM good") == 1


async def test_models_at_once_take_turns(database: Database) -> None:
    storages = [await open_storage(database.url, owner_url=database.owner_url) for _ in range(4)]
    done = await asyncio.gather(*(storage.migrate([Parcel]) for storage in storages))
    assert sorted(map(bool, done)) == [False, False, False, True]
    for storage in storages:
        await storage.close()


async def test_one_that_fails_leaves_nothing_and_keeps_those_before(database: Database) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await run(database, [GOOD, BAD])
    assert await ask(database, "SELECT to_regclass('public.bad')") is None
    assert await ask(database, "SELECT to_regclass('public.good')") is not None
    assert await run(database, [GOOD]) == []


async def test_one_that_was_changed_after_it_ran_is_refused(database: Database) -> None:
    await run(database, [GOOD])
    changed = Migration(GOOD.number, GOOD.title, GOOD.sql + ";")
    with pytest.raises(InvariantViolation, match="was changed"):
        await run(database, [changed])


async def test_it_does_not_wait_long_behind_a_lock(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate_module, "_CAREFUL", "SET LOCAL lock_timeout = '50ms'")
    storage = await open_storage(database.url, owner_url=database.owner_url)
    await storage.migrate([Parcel])
    more = type(
        "More",
        (Parcel,),
        {
            "collection": "parcels",
            "indexes": (("notes_count",),),
            "__annotations__": {"notes_count": int},
            "notes_count": 0,
        },
    )
    connection = await asyncpg.connect(database.owner_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE documents.parcels IN ROW EXCLUSIVE MODE")
            with pytest.raises(StorageUnavailable):
                await storage.migrate([more])
        assert await storage.migrate([more]) == ["documents.parcels__notes_count__idx"]
    finally:
        await connection.close()
        await storage.close()


async def test_a_role_without_the_right_is_told_what_to_do(database: Database) -> None:
    storage = await open_storage(database.url)
    try:
        with pytest.raises(StorageUnavailable, match="url of the schema's owner"):
            await storage.migrate([Parcel])
    finally:
        await storage.close()


async def test_tables_and_indexes_are_made_once_and_named_after_their_fields(
    new_storage: Storage,
) -> None:
    done = await new_storage.migrate([Parcel])
    assert done[:4] == [
        "documents.parcels",
        "documents.parcels__label__key",
        "documents.parcels__street__number__key",
        "documents.parcels__weight_g__idx",
    ]
    assert await new_storage.migrate([Parcel]) == []


async def test_a_unique_index_that_the_data_breaks_is_refused(new_storage: Storage) -> None:
    class Before(Document, frozen=True, kw_only=True):
        collection = "crates"
        name: str

    class After(Before, frozen=True, kw_only=True):
        unique = (("name",),)

    await new_storage.migrate([Before])
    for number in range(2):
        await new_storage.documents(Before).insert(
            Before(id=f"crate_{number}", name="same", created_at=MORNING, updated_at=MORNING)
        )
    with pytest.raises((asyncpg.UniqueViolationError, DuplicateKeyError)):
        await new_storage.migrate([After])


async def test_the_declared_indexes_serve_filter_and_order(
    postgresql_storage: PostgresStorage,
) -> None:
    """No sort and no scan of the whole table, for every page and look-up that is allowed."""
    storage = postgresql_storage
    await storage.migrate([Parcel])
    table = DocumentTable(Parcel)
    one = parcel(sent_at=MORNING)
    page = {"after": None, "descending": True, "limit": 25}
    queries = [
        table.find_one({"street": "Kade", "number": 1}),
        table.find_many("label", ["a", "b"]),
        table.page({}, within=None, **page),  # type: ignore[arg-type]
        table.page({"name": "a"}, within=None, **page),  # type: ignore[arg-type]
        table.page({"size": "small"}, within=Range(field="sent_at"), **page),  # type: ignore[arg-type]
        table.page({"is_fragile": True}, within=Range(field="weight_g"), **page),  # type: ignore[arg-type]
        table.page(
            {"size": "small"},
            within=Range(field="sent_at", at_least=MORNING),
            after=(MORNING, one.id),
            descending=False,
            limit=25,
        ),
    ]
    async with storage.engine.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        await connection.execute("SET LOCAL enable_bitmapscan = off")
        for query in queries:
            rows = await connection.fetch("EXPLAIN " + query.sql, *query.parameters)
            plan = "\n".join(row[0] for row in rows)
            assert "Index Scan" in plan, plan
            assert "Index Cond" in plan or "parcels_pkey" in plan, plan
            assert "Sort" not in plan, plan
            assert "Filter" not in plan or "IS NOT NULL" in plan, plan
