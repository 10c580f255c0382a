"""Sealing: gapless, once, in one order, whoever seals and wherever it is interrupted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from guilder.audit.models import MODELS, AuditEvent, AuditHead, AuditSeal, AuditWaiting
from guilder.audit.sealer import BATCH, AuditSealer
from guilder.audit.trail import AuditTrail
from guilder.audit.verify import verify
from guilder.kernel.clock import utc_now
from guilder.storage import open_storage
from guilder.storage.base import Storage
from guilder.storage.errors import DuplicateDocument, StorageUnavailable
from tests.support.audit import USER, everything, fill, seal_all
from tests.support.databases import Database
from tests.support.identity import HandClock


@pytest.fixture(autouse=True)
async def migrated(storage: Storage) -> None:
    await storage.migrate(MODELS)


async def positions(storage: Storage) -> dict[str, int]:
    """Return the position of each event that has one."""
    return {each.id: each.position for each in await everything(storage, AuditSeal)}


async def test_events_get_gapless_positions_in_the_order_of_their_ids(storage: Storage) -> None:
    await fill(storage, 5)
    await seal_all(storage)
    await fill(storage, 4)
    sealer = await seal_all(storage)
    ids = [each.id for each in await everything(storage, AuditEvent)]
    assert await positions(storage) == {each: at for at, each in enumerate(ids, start=1)}
    assert await everything(storage, AuditWaiting) == []
    assert (sealer.position, sealer.waiting, sealer.oldest_waiting_s) == (9, 0, 0)
    report = await verify(storage)
    assert (report.ok, report.position) == (True, 9)


async def test_more_than_a_batch_is_sealed_in_several_steps(storage: Storage) -> None:
    trail = AuditTrail(storage, clock=utc_now)
    async with storage.transaction() as transaction:
        for _ in range(BATCH + 3):
            await trail.record("session.opened", actor=USER, subject=USER, transaction=transaction)
    sealer = AuditSealer(storage, clock=utc_now)
    assert await sealer.step() is True
    assert await sealer.step() is False
    assert sealer.position == BATCH + 3
    report = await verify(storage)
    assert report.ok, report.difference


async def test_an_event_that_commits_late_comes_behind_those_that_are_sealed(
    storage: Storage,
) -> None:
    """Ids are made in time's order, commits are not: the place in the chain is decided once."""
    trail = AuditTrail(storage, clock=utc_now)
    async with storage.transaction() as transaction:
        await trail.record("role.changed", actor=USER, subject=USER, transaction=transaction)
        await fill(storage, 2)
        await seal_all(storage)
    await seal_all(storage)
    (late,) = [each for each in await everything(storage, AuditEvent) if "role" in each.action]
    assert late.id == min(await positions(storage))
    assert (await positions(storage))[late.id] == 3
    report = await verify(storage)
    assert report.ok, report.difference


async def test_sealers_of_several_processes_seal_every_event_once(
    new_database: Database,
) -> None:
    """Each has connections of its own, as processes have, and they race while events come in."""
    stores = [
        await open_storage(new_database.url, owner_url=new_database.owner_url) for _ in range(3)
    ]
    await stores[0].migrate(MODELS)
    is_over = asyncio.Event()

    async def seal(storage: Storage) -> None:
        sealer = AuditSealer(storage, clock=utc_now)
        while not is_over.is_set() or await storage.documents(AuditWaiting).page({}, limit=1):
            try:
                await sealer.step()
            except StorageUnavailable:
                continue

    async def record(storage: Storage) -> None:
        await fill(storage, 25)

    sealers = [asyncio.create_task(seal(each)) for each in stores]
    await asyncio.gather(*[record(each) for each in stores])
    is_over.set()
    await asyncio.gather(*sealers)
    found = await positions(stores[0])
    assert sorted(found.values()) == list(range(1, 76))
    report = await verify(stores[0])
    assert report.ok, report.difference
    for storage in stores:
        await storage.close()


class Died(Exception):
    """Stands for the end of the process."""


class Dying:
    """A storage whose transactions end after a number of calls, or right after the commit."""

    def __init__(self, storage: Storage, *, calls: int) -> None:
        self._storage = storage
        self.left = calls

    def documents(self, model: Any) -> Any:
        return self._storage.documents(model)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self._storage.transaction() as transaction:
            yield _DyingTransaction(self, transaction)
        self.count()

    def count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Died


class _DyingTransaction:
    def __init__(self, storage: Dying, transaction: Any) -> None:
        self._storage = storage
        self._transaction = transaction

    def documents(self, model: Any) -> Any:
        storage, documents = self._storage, self._transaction.documents(model)

        class Documents:
            def __getattr__(self, name: str) -> Any:
                async def call(*arguments: Any) -> Any:
                    storage.count()
                    return await getattr(documents, name)(*arguments)

                return call

        return Documents()


async def test_a_crash_at_any_point_leaves_a_right_chain(storage: Storage) -> None:
    await seal_all(storage)
    deaths = 0
    while True:
        await fill(storage, 2)
        sealer = AuditSealer(Dying(storage, calls=deaths), clock=utc_now)  # type: ignore[arg-type]
        try:
            await sealer.step()
        except Died:
            deaths += 1
            report = await verify(storage)
            assert report.ok, report.difference
            # All or nothing.
            assert report.waiting in (0, 2)
        else:
            break
        await seal_all(storage)
    # The head, two events of two calls each, the commit.
    assert deaths == 6
    report = await verify(storage)
    assert (report.ok, report.position) == (True, 2 * (deaths + 1))


async def test_an_event_that_is_gone_keeps_no_other_from_its_seal(storage: Storage) -> None:
    now = utc_now()
    lost = AuditWaiting(id="audit_0", created_at=now, updated_at=now)
    await storage.documents(AuditWaiting).insert(lost)
    await fill(storage, 3)
    sealer = await seal_all(storage)
    assert (sealer.position, sealer.waiting) == (3, 1)


async def test_a_head_that_was_set_back_seals_nothing_twice(new_database: Database) -> None:
    """It is seen at once: nothing is sealed any more."""
    storage = await open_storage(new_database.owner_url, owner_url=new_database.owner_url)
    await storage.migrate(MODELS)
    await fill(storage, 3)
    await seal_all(storage)
    (head,) = await everything(storage, AuditHead)
    await storage.documents(AuditHead).delete(head.id)
    await fill(storage, 1)
    before = await positions(storage)
    with pytest.raises(DuplicateDocument):
        await seal_all(storage)
    assert await positions(storage) == before
    assert not (await verify(storage)).ok
    await storage.close()


async def test_a_sealer_that_is_stuck_says_so(storage: Storage) -> None:
    clock = HandClock()
    trail = AuditTrail(storage, clock=clock)
    sealer = AuditSealer(storage, clock=clock)
    await sealer.step()
    assert sealer.state() == "sealed up to 0, 0 waiting"
    lost = AuditWaiting(id="audit_0", created_at=clock.now, updated_at=clock.now)
    await storage.documents(AuditWaiting).insert(lost)
    await trail.record("session.opened", actor=USER, subject=USER)
    clock.move(seconds=61)
    await sealer.step()
    told = "STUCK: sealed up to 1, 1 waiting for 61 seconds"
    assert (sealer.is_stuck, sealer.state()) == (True, told)
    await storage.documents(AuditWaiting).delete("audit_0")
    await sealer.step()
    assert (sealer.is_stuck, sealer.waiting) == (False, 0)
    # Nobody has looked for a while: the database is away, or the task has ended.
    clock.move(seconds=61)
    assert (sealer.is_stuck, sealer.waiting) == (True, 0)


async def test_it_seals_in_the_background(storage: Storage) -> None:
    await fill(storage, 1)
    sealer = AuditSealer(storage, clock=utc_now)
    sealer.start()
    try:
        async with asyncio.timeout(30):
            while not await positions(storage):  # noqa: ASYNC110 - at its own pace
                await asyncio.sleep(0.01)
    finally:
        await sealer.stop()
