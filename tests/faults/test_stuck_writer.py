"""Those who stop in the middle: a writer that has the head and does nothing, a process that has it
and is killed or paused, callers that give up."""

import asyncio
import contextlib
import random
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from guilder.ledger.journal import Journal
from guilder.ledger.models import Verdict
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from guilder.storage.errors import StorageUnavailable
from tests.support.bank import fund
from tests.support.bank_worker import ACCOUNTS, transfer
from tests.support.databases import Database
from tests.support.telling import tell

RECOVERY_S = 5.0
BLOCKED_S = 2.0
"""The longest that a dead process may keep others from the head."""
SLACK_S = 0.5
"""To find out and to answer; on a busy machine four times what a transfer takes there."""
GIVE_UPS = 500

_HOLD = """
import asyncio, sys
from guilder.storage import open_storage

async def hold():
    storage = await open_storage(sys.argv[1])
    async with storage.ledger().batch() as batch:
        await batch.find_transfers([])
        print("has the head", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(hold())
"""


@contextlib.asynccontextmanager
async def holder_of_the_head(url: str) -> AsyncIterator[Process]:
    """Lend another process, which has taken the head of the book."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _HOLD, url),
        cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"has the head\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
async def test_a_process_that_is_gone_with_the_head_blocks_nobody_for_long(
    new_database: Database, what: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = await open_storage(new_database.url)
    await fund(storage)
    journal = Journal(storage.ledger())
    await journal.start()
    try:
        async with holder_of_the_head(new_database.url) as holder:
            holder.send_signal(what)
            began = time.monotonic()
            outcome = await journal.post(transfer(1))
            blocked_s = time.monotonic() - began
            began = time.monotonic()
            await journal.post(transfer(2))
            alone_s = time.monotonic() - began
        assert outcome.verdict is Verdict.CREATED
        tell(capsys, f"head {what.name}: others waited {blocked_s:.2f} s, then {alone_s:.3f} s")
        assert blocked_s < BLOCKED_S + max(SLACK_S, 4 * alone_s)
        assert (await verify(storage.ledger())).ok
    finally:
        await journal.stop()
        await storage.close()


async def test_a_stuck_writer_loses_the_head_to_the_others(database: Database) -> None:
    """On MongoDB a process that lives says so, and keeps the head for as long as it works."""
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


async def test_callers_who_give_up_leave_the_journal_at_work(new_database: Database) -> None:
    storage = await open_storage(new_database.url)
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
