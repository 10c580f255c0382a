"""Which MongoDB deployments are refused, how a lost server is told, and how the schema changes."""

import asyncio
import contextlib
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

from guilder.kernel.errors import InvariantViolation
from guilder.storage import open_storage
from guilder.storage.embedded import free_port
from guilder.storage.errors import StorageUnavailable, UnsafeDatabase
from guilder.storage.mongo.migrate import DONE, MIGRATIONS, Migration, migrate
from guilder.storage.mongo.server_check import ARBITERS, JOURNAL_DEFAULT
from guilder.storage.mongo.storage import MongoStorage
from tests.support.models import Parcel, parcel
from tests.support.mongo import (
    MongoServer,
    direct,
    eventually,
    mongods,
    replica_set,
)

QUICK = "serverSelectionTimeoutMS=1500&heartbeatFrequencyMS=500"


async def test_a_server_that_stands_alone_is_refused() -> None:
    async with mongods(1, replica_set="") as (alone,):
        async with direct(alone) as client:
            await eventually(lambda: client.admin.command("ping"))
        with pytest.raises(UnsafeDatabase, match=r"stands alone.*--replSet"):
            await open_storage(f"mongodb://{alone.address}/guilder")


async def test_a_set_that_acknowledges_before_it_writes_is_refused_or_accepted_by_name() -> None:
    unsafe: dict[str, Any] = {JOURNAL_DEFAULT: False}
    async with replica_set(1, **unsafe) as made:
        with pytest.raises(UnsafeDatabase, match=f"{JOURNAL_DEFAULT} is false"):
            await open_storage(made.url)
        with pytest.raises(UnsafeDatabase):
            await open_storage(made.url, accepted_settings={ARBITERS})
        storage = await open_storage(made.url, accepted_settings={JOURNAL_DEFAULT})
        await storage.close()


async def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guilder.storage.mongo.engine._OPEN_TIMEOUT_S", 1)
    with pytest.raises(StorageUnavailable):
        await open_storage(f"mongodb://user:secret@127.0.0.1:{free_port()}/guilder?{QUICK}")


async def test_while_the_server_hangs_or_is_away_calls_are_unavailable() -> None:
    async with (
        replica_set(1, settings={"electionTimeoutMillis": 1000}) as made,
        contextlib.AsyncExitStack() as closing,
    ):
        (server,) = made.members
        maker = await open_storage(made.url)
        closing.push_async_callback(maker.close)
        await maker.migrate([Parcel])
        storage = await open_storage(made.url + f"&{QUICK}&socketTimeoutMS=2000")
        closing.push_async_callback(storage.close)
        written = parcel()
        await storage.documents(Parcel).insert(written)
        server.hang()
        with pytest.raises(StorageUnavailable):
            await storage.ping()
        with pytest.raises(StorageUnavailable):
            await storage.documents(Parcel).get(written.id)
        server.go_on()
        server.kill()
        for call in (storage.ping(), storage.migrate([])):
            with pytest.raises(StorageUnavailable):
                await call
        server.start()
        async with asyncio.timeout(30):
            while True:
                try:
                    assert await storage.documents(Parcel).get(written.id) == written
                    break
                except StorageUnavailable:
                    await asyncio.sleep(0.05)


async def test_a_wrong_password_is_said_without_repeating_it(mongodb: MongoServer) -> None:
    url = mongodb.url_of("guilder").replace("://", "://somebody:wrong-secret@")
    with pytest.raises(StorageUnavailable, match="refused") as caught:
        await open_storage(url)
    assert "wrong-" not in str(caught.value)


async def test_a_closed_storage_is_a_fault_of_ours(new_mongodb_storage: MongoStorage) -> None:
    await new_mongodb_storage.close()
    with pytest.raises(InvariantViolation, match="is open"):
        await new_mongodb_storage.ping()
    await new_mongodb_storage.close()


async def test_the_url_does_not_make_commits_weaker(new_mongodb_storage: MongoStorage) -> None:
    name = new_mongodb_storage.engine.name
    host, port = next(iter(new_mongodb_storage.engine.client.nodes))
    storage = await open_storage(
        f"mongodb://{host}:{port}/{name}?w=1&journal=false&readConcernLevel=local&retryWrites=false"
    )
    assert isinstance(storage, MongoStorage)
    database = storage.engine.database
    assert database.write_concern.document == {"w": "majority", "j": True, "wtimeout": 10_000}
    assert database.read_concern.level == "majority"
    await storage.close()


class TestMigrations:
    """Each runs once, however many processes start."""

    async def test_numbers_have_no_gap(self) -> None:
        assert [each.number for each in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))

    async def test_processes_at_once_take_turns(self, new_mongodb_storage: MongoStorage) -> None:
        done = await asyncio.gather(*(new_mongodb_storage.migrate([Parcel]) for _ in range(4)))
        assert sorted(map(bool, done)) == [False, False, False, True]

    async def test_one_that_fails_is_run_again(self, new_mongodb_storage: MongoStorage) -> None:
        runs = []

        async def run(_database: Any) -> None:
            runs.append(1)
            if len(runs) == 1:
                raise LookupError

        migrations = [*MIGRATIONS, Migration(9_001, "9001_test", run)]
        database = new_mongodb_storage.engine.database
        with pytest.raises(LookupError):
            await migrate(database, [], migrations=migrations)
        assert await migrate(database, [], migrations=migrations) == ["9001_test"]
        assert await migrate(database, [], migrations=migrations) == []
        assert len(runs) == 2

    async def test_the_books_survive_their_migration_run_twice(
        self, new_mongodb_storage: MongoStorage
    ) -> None:
        database = new_mongodb_storage.engine.database
        await database["book_main_head"].update_one({}, {"$inc": {"fence": 5}})
        before = await database["book_main_head"].find_one({"_id": "head"})
        await database[DONE].delete_many({})
        assert await new_mongodb_storage.migrate([]) == ["0001_book"]
        assert await database["book_main_head"].find_one({"_id": "head"}) == before

    async def test_a_process_that_died_is_not_waited_for(
        self, new_mongodb_storage: MongoStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("guilder.storage.mongo.migrate._WAIT_S", 0.2)
        turns = new_mongodb_storage.engine.database[DONE]
        ahead = [{"$set": {"until": {"$add": ["$$NOW", 60_000]}}}]
        await turns.update_one({"_id": "turn"}, ahead, upsert=True)
        with pytest.raises(StorageUnavailable, match="two minutes"):
            await new_mongodb_storage.migrate([])
        await turns.update_one({"_id": "turn"}, [{"$set": {"until": {"$add": ["$$NOW", -1]}}}])
        assert await new_mongodb_storage.migrate([]) == []


async def test_the_owners_url_is_used_for_migrations(mongodb: MongoServer) -> None:
    async with mongodb.database() as database:
        storage = await open_storage(database.url, owner_url=database.owner_url)
        assert await storage.migrate([Parcel])
        await storage.close()


async def test_validators_refuse_a_document_without_a_version(
    new_mongodb_storage: MongoStorage,
) -> None:
    await new_mongodb_storage.migrate([Parcel])
    parcels = new_mongodb_storage.engine.database["documents.parcels"]
    for body in ({"_id": "x"}, {"_id": "x", "version": 1}, {"_id": "x", "version": 1.0}):
        with pytest.raises(Exception, match="failed validation"):
            await parcels.insert_one(body)


async def test_a_duplicate_in_the_data_stops_a_unique_index(
    new_mongodb_storage: MongoStorage,
) -> None:
    await new_mongodb_storage.migrate([Parcel])
    database = new_mongodb_storage.engine.database
    await database["documents.parcels"].drop_index("label__key")
    for _ in range(2):
        await new_mongodb_storage.documents(Parcel).insert(parcel(label="same"))
    with pytest.raises(DuplicateKeyError):
        await new_mongodb_storage.migrate([Parcel])
