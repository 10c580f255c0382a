"""Those who stop in the middle: a writer that has the head and does nothing, callers that give
up."""

import asyncio
import random
import time

import pytest

from guilder.ledger.journal import Journal
from guilder.ledger.models import Verdict
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from guilder.storage.errors import StorageUnavailable
from tests.support.bank import fund
from tests.support.bank_worker import ACCOUNTS, transfer
from tests.support.databases import Database

RECOVERY_S = 5.0
GIVE_UPS = 500


async def test_a_stuck_writer_loses_the_head_to_the_others(database: Database) -> None:
    storage, other = await asyncio.gather(open_storage(database.url), open_storage(database.url))
    await fund(storage)
    journal = Journal(other.ledger())
    await journal.start()
    has_head, wakes_up = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with storage.ledger().batch() as batch:
            has_head.set()
            await wakes_up.wait()
            await batch.find_transfers([transfer(2).id])

    stuck = asyncio.create_task(hold())
    try:
        await has_head.wait()
        began = time.monotonic()
        outcome = await journal.post(transfer(1))
        assert outcome.verdict is Verdict.CREATED
        assert time.monotonic() - began < RECOVERY_S
        # Going on with what it knew before, it must fail.
        wakes_up.set()
        with pytest.raises(StorageUnavailable):
            await stuck
    finally:
        stuck.cancel()
        await journal.stop()
        assert (await verify(other.ledger())).ok
        await other.close()
        await storage.close()


async def test_callers_who_give_up_leave_the_journal_at_work(database: Database) -> None:
    storage = await open_storage(database.url)
    await fund(storage)
    journal = Journal(storage.ledger())
    await journal.start()
    chance = random.Random(4)

    async def give_up(number: int) -> None:
        posting = asyncio.create_task(journal.post(transfer(number)))
        await asyncio.wait([posting], timeout=chance.choice((0, 0.001, 0.003)))
        posting.cancel()
        await asyncio.wait([posting])

    try:
        for start in range(0, GIVE_UPS, 50):
            await asyncio.gather(*map(give_up, range(start, start + 50)))
        async with asyncio.timeout(RECOVERY_S):
            outcomes = await asyncio.gather(*(journal.post(transfer(n)) for n in range(GIVE_UPS)))
        moved = [o.transfer.id for o in outcomes if o.transfer is not None]
        assert {o.verdict for o in outcomes} <= {Verdict.CREATED, Verdict.EXISTS}
        assert set(moved) == {transfer(n).id for n in range(GIVE_UPS)}
        report = await verify(storage.ledger())
        assert report.ok
        assert report.transfers == GIVE_UPS + ACCOUNTS
    finally:
        await journal.stop()
        await storage.close()
