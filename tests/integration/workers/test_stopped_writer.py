"""A process that has the head and is killed or stopped, at any place of its batch, holds up nobody
for more than two seconds."""

import asyncio
import signal
import sys
import time

import pytest

from guilder.ledger.journal import Journal
from guilder.ledger.models import Verdict
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from tests.support.bank import fund
from tests.support.bank_worker import transfer
from tests.support.databases import Database
from tests.support.workers import PATIENCE_S, POLL_S, state_of

BLOCKED_S = 2.0
LOAD_S = 2.0
"""What a busy machine may add. Without a remedy it would be ten seconds, or for ever."""
# Few are one statement each; many are copied while they are decided.
BATCHES = [(10, 5), (8_000, 100), (8_000, 7_000)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize(("count", "at"), BATCHES)
async def test_who_stops_in_the_middle_of_a_batch_loses_the_head(
    new_database: Database, number: signal.Signals, count: int, at: int
) -> None:
    storage = await open_storage(new_database.url)
    await fund(storage)
    journal = Journal(storage.ledger())
    await journal.start()
    stopped = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.stopped_writer", new_database.url),
        *map(str, (int(number), count, at)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await _stopped_or_dead(stopped.pid)
        began = time.monotonic()
        outcome = await journal.post(transfer(1))
        took_s = time.monotonic() - began
        assert outcome.verdict is Verdict.CREATED
        assert took_s <= BLOCKED_S + LOAD_S
        if number == signal.SIGSTOP:
            await _goes_on(stopped, count)
    finally:
        if stopped.returncode is None:
            stopped.kill()
        await stopped.communicate()
        await journal.stop()
        report = await verify(storage.ledger())
        await storage.close()
    assert report.ok, report.difference


async def _stopped_or_dead(pid: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while state_of(pid) not in "TZ":  # noqa: ASYNC110 - processes tell nobody
            await asyncio.sleep(POLL_S)


async def _goes_on(stopped: asyncio.subprocess.Process, count: int) -> None:
    """Continue it: what it knew is void, it tries again, and each transfer is there once."""
    stopped.send_signal(signal.SIGCONT)
    async with asyncio.timeout(PATIENCE_S):
        said, _ = await stopped.communicate()
    assert int(said) <= count
    assert stopped.returncode == 0
