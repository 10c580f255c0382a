"""Documents that change together or not at all, also when the caller is cancelled."""

import asyncio
from typing import Any

import msgspec
import pytest
from pymongo.read_concern import ReadConcern

from guilder.storage.base import Collection, Storage
from guilder.storage.errors import DuplicateDocument
from guilder.storage.mongo.storage import MongoStorage
from guilder.storage.postgres.storage import PostgresStorage
from tests.support.models import Parcel, parcel


@pytest.fixture
async def parcels(storage: Storage) -> Collection[Parcel]:
    await storage.migrate([Parcel])
    return storage.documents(Parcel)


async def test_all_is_there_after_leaving(storage: Storage, parcels: Collection[Parcel]) -> None:
    one, two = parcel(), parcel()
    async with storage.transaction() as transaction:
        inside = transaction.documents(Parcel)
        await inside.insert(one)
        await inside.insert(two)
        assert await inside.get(one.id) == one
        assert await parcels.get(one.id) is None
    assert set(await parcels.get_many([one.id, two.id])) == {one.id, two.id}


async def test_nothing_is_there_after_an_exception(
    storage: Storage, parcels: Collection[Parcel]
) -> None:
    one, old = parcel(), parcel(name="old")
    await parcels.insert(old)

    async def fail() -> None:
        async with storage.transaction() as transaction:
            inside = transaction.documents(Parcel)
            await inside.insert(one)
            await inside.replace(msgspec.structs.replace(old, name="new"))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await parcels.get(one.id) is None
    assert await parcels.get(old.id) == old


async def test_a_duplicate_undoes_the_rest(storage: Storage, parcels: Collection[Parcel]) -> None:
    await parcels.insert(parcel(label="taken"))
    other = parcel()

    async def fail() -> None:
        async with storage.transaction() as transaction:
            inside = transaction.documents(Parcel)
            await inside.insert(other)
            await inside.insert(parcel(label="taken"))

    with pytest.raises(DuplicateDocument):
        await fail()
    assert await parcels.get(other.id) is None


@pytest.mark.parametrize("steps", range(1, 30))
async def test_cancelled_at_any_await_it_rolls_back_and_gives_the_connection_back(
    storage: Storage, parcels: Collection[Parcel], steps: int
) -> None:
    """Cancel after `steps` turns of the event loop: somewhere between begin and commit."""
    one, two = parcel(label="one"), parcel(label="two")

    async def work() -> None:
        async with storage.transaction() as transaction:
            inside = transaction.documents(Parcel)
            await inside.insert(one)
            await inside.insert(two)

    task = asyncio.create_task(work())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    found = await parcels.get_many([one.id, two.id])
    assert len(found) in {0, 2}
    assert len(found) == 2 or task.cancelled()
    assert await _open_transactions(storage) == 0


async def _open_transactions(storage: Storage) -> int:
    """Return how many transactions wait for their client."""
    if isinstance(storage, MongoStorage):
        admin = storage.engine.client.get_database("admin", read_concern=ReadConcern("local"))
        pipeline: list[dict[str, Any]] = [
            {"$currentOp": {"idleSessions": True}},
            {"$match": {"transaction": {"$exists": True}}},
        ]
        return len(await (await admin.aggregate(pipeline)).to_list())
    assert isinstance(storage, PostgresStorage)
    async with storage.engine.acquire() as connection:
        left: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state LIKE 'idle in transaction%'"
        )
    return left


async def test_cancelled_while_waiting_for_a_lock(postgresql_storage: PostgresStorage) -> None:
    storage = postgresql_storage
    await storage.migrate([Parcel])
    parcels = storage.documents(Parcel)
    written = parcel()
    await parcels.insert(written)
    waiting = asyncio.Event()

    async def wait_behind() -> None:
        async with storage.transaction() as transaction:
            waiting.set()
            await transaction.documents(Parcel).replace(written)

    async with storage.transaction() as transaction:
        await transaction.documents(Parcel).replace(written)
        task = asyncio.create_task(wait_behind())
        await waiting.wait()
        await _until_somebody_waits_for_a_lock(storage)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    found = await parcels.get(written.id)
    assert found is not None
    await parcels.replace(found)


async def _until_somebody_waits_for_a_lock(storage: PostgresStorage) -> None:
    async with asyncio.timeout(5), storage.engine.acquire() as connection:
        waiting = 0
        while not waiting:
            waiting = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )


async def test_a_cancelled_batch_of_callers_leaves_every_connection_usable(
    storage: Storage, parcels: Collection[Parcel]
) -> None:
    tasks = [asyncio.create_task(parcels.insert(parcel())) for _ in range(100)]
    for turn, task in enumerate(tasks):
        if turn % 3 == 0:
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(parcels.insert(parcel()) for _ in range(50)))
