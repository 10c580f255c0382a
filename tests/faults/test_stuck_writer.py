"""A writer that takes the head of the book and then does nothing: paused, swapped out, cut off."""

import asyncio
import time

import pytest

from guilder.ledger.journal import Journal
from guilder.ledger.models import Verdict
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from guilder.storage.errors import StorageUnavailable
from tests.support.bank import fund
from tests.support.bank_worker import transfer
from tests.support.databases import Database

RECOVERY_S = 5.0


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
