"""When a checkpoint is signed: not more often than the interval, and when it has passed."""

from collections.abc import AsyncIterator

import pytest

from guilder.checkpoints.service import CheckpointService
from guilder.ledger.checkpoints import SEGMENT, Checkpoint, CheckpointKey
from guilder.ledger.journal import Journal
from guilder.storage.base import Storage
from tests.support.books import account, request
from tests.support.identity import HandClock
from tests.support.postgres_books import journal_on

INTERVAL_S = 60


class Table:
    """A book that is watched and signed under a clock that is moved by hand."""

    def __init__(self, storage: Storage, journal: Journal, clock: HandClock) -> None:
        self.journal = journal
        self.clock = clock
        self._storage = storage
        self.service = self.another()

    def another(self) -> CheckpointService:
        """Return the service of another process on the same book."""
        key = CheckpointKey(b"a secret that is kept for as long as the books")
        return CheckpointService(
            self._storage, self.journal.book, key, clock=self.clock, interval_s=INTERVAL_S
        )

    async def grow(self, transfers: int = 1) -> None:
        await self.journal.post_all([request("mint", "payer", 1) for _ in range(transfers)])

    async def signed(self, service: CheckpointService | None = None) -> list[int]:
        """Have the audit look at everything; return the positions that are signed by now."""
        while await (service or self.service).step():
            pass
        found = await self._storage.documents(Checkpoint).page({}, limit=100)
        return [each.statement.position for each in found]


@pytest.fixture
async def table(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Table]:
    monkeypatch.setattr("guilder.checkpoints.service._REST", 0)
    await storage.migrate([Checkpoint])
    async with journal_on(storage.ledger()) as journal:
        await journal.open_accounts([account("mint"), account("payer")])
        yield Table(storage, journal, HandClock())


async def test_the_first_is_signed_at_once_and_the_next_after_the_interval(table: Table) -> None:
    await table.grow(2)
    assert await table.signed() == [2]
    await table.grow()
    for _ in range(3):
        assert await table.signed() == [2]
    table.clock.move(seconds=INTERVAL_S - 0.001)
    assert await table.signed() == [2]
    table.clock.move(seconds=0.001)
    assert await table.signed() == [2, 3]
    # From the last one on, not from the first.
    await table.grow()
    table.clock.move(seconds=INTERVAL_S - 0.001)
    assert await table.signed() == [2, 3]


async def test_a_book_that_rests_is_not_signed_again(table: Table) -> None:
    await table.grow()
    for _ in range(3):
        assert await table.signed() == [1]
        table.clock.move(seconds=INTERVAL_S)


async def test_two_processes_sign_no_more_often_than_one(table: Table) -> None:
    await table.grow()
    assert await table.signed() == [1]
    await table.grow()
    assert await table.signed(table.another()) == [1]
    table.clock.move(seconds=INTERVAL_S)
    assert await table.signed(table.another()) == [1, 2]
    await table.grow()
    assert await table.signed() == [1, 2]


async def test_a_full_segment_does_not_wait(table: Table) -> None:
    await table.grow()
    assert await table.signed() == [1]
    await table.grow(SEGMENT - 1)
    assert await table.signed() == [1]
    await table.grow()
    assert await table.signed() == [1, SEGMENT + 1]
