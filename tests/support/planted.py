"""Faults planted into a book's storage, small and of the kinds that others have shipped. The tests
of the books must turn red on each of them; nothing else may use them."""

import asyncio
import copy
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from guilder.storage.base import LedgerBatch
from guilder.storage.errors import StorageUnavailable
from guilder.storage.postgres.ledger import Engine, PostgresLedger
from guilder.storage.records import Account, Transfer

NO_UNIQUE_ID = "no_unique_id"
"""Who asks again is paid again."""
READ_THEN_WRITE = "read_then_write"
"""Two writers decide on the same balances, and the later one wins."""
ANSWER_FIRST = "answer_first"
"""The verdict leaves before COMMIT has returned."""
FORGETFUL_SERVER = "forgetful_server"
"""`synchronous_commit = off`: the server acknowledges what it has not yet written."""

UNCONSTRAINED = {
    NO_UNIQUE_ID: ("ALTER TABLE book_main.transfers DROP CONSTRAINT transfers_id",),
    READ_THEN_WRITE: (
        "ALTER TABLE book_main.transfers DROP CONSTRAINT transfers_pkey",
        "ALTER TABLE book_main.balances DROP CONSTRAINT covered",
    ),
    FORGETFUL_SERVER: ("ALTER ROLE guilder_app SET synchronous_commit = off",),
}
"""What has to go from the database, which would else refuse what the fault does."""
_WINDOW_S = 0.02
"""Faults that are races are made wide enough to be met in every run, on any machine."""
FORGETFUL_SETTINGS = {"wal_writer_delay": "10s"}


class NoUniqueId(PostgresLedger):
    """Finds no transfer that is there."""

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[LedgerBatch]:
        async with super().batch() as batch:
            batch.find_transfers = _find_nothing  # type: ignore[method-assign, assignment]
            yield batch


async def _find_nothing(_: Sequence[UUID]) -> dict[UUID, Transfer]:
    return {}


class ReadThenWrite(PostgresLedger):
    """Reads the head without its lock, and writes whatever the head is by then."""

    def __init__(self, engine: Engine, book: str = "main") -> None:
        super().__init__(engine, book)
        sql = self._sql = copy.copy(self._sql)
        sql.take_head = sql.take_head.replace(" FOR UPDATE", "")
        sql.advance = sql.advance.replace("revision = $10", "$10::bigint >= 0")

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[LedgerBatch]:
        async with super().batch() as batch:
            load = batch.load_accounts

            async def load_slowly(account_ids: Iterable[UUID]) -> dict[UUID, Account]:
                accounts = await load(account_ids)
                await asyncio.sleep(_WINDOW_S)
                return accounts

            batch.load_accounts = load_slowly  # type: ignore[method-assign]
            yield batch


class AnswerFirst(PostgresLedger):
    """Commits after the block has been left."""

    def __init__(self, engine: Engine, book: str = "main") -> None:
        super().__init__(engine, book)
        self._commits: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[LedgerBatch]:
        real = super().batch()
        batch = await real.__aenter__()
        try:
            yield batch
        except BaseException:
            await real.__aexit__(*sys.exc_info())
            raise

        async def commit() -> None:
            await asyncio.sleep(_WINDOW_S)
            with suppress(StorageUnavailable):
                await real.__aexit__(None, None, None)

        task = asyncio.create_task(commit())
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)


LEDGERS: dict[str, type[PostgresLedger]] = {
    NO_UNIQUE_ID: NoUniqueId,
    READ_THEN_WRITE: ReadThenWrite,
    ANSWER_FIRST: AnswerFirst,
}
