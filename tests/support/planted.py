"""Faults planted into a book's storage, small and of the kinds that others have shipped. The tests
of the books must turn red on each of them; nothing else may use them."""

import asyncio
import copy
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

from guilder.storage.base import LedgerBatch, LedgerStorage, Storage
from guilder.storage.errors import StorageUnavailable
from guilder.storage.mongo.lease import Seat
from guilder.storage.mongo.ledger import MongoLedger
from guilder.storage.mongo.storage import MongoStorage
from guilder.storage.postgres.ledger import Engine, PostgresLedger
from guilder.storage.postgres.storage import PostgresStorage
from guilder.storage.records import Account, Transfer

NO_UNIQUE_ID = "no_unique_id"
"""Who asks again is paid again."""
READ_THEN_WRITE = "read_then_write"
"""Two writers decide on the same balances, and the later one wins. On PostgreSQL only: MongoDB
itself refuses two transactions that change one document."""
ANSWER_FIRST = "answer_first"
"""The verdict leaves before COMMIT has returned."""
FORGETFUL_SERVER = "forgetful_server"
"""The server acknowledges what it has not yet written: `synchronous_commit = off`, `j: false`."""

UNCONSTRAINED = {
    NO_UNIQUE_ID: ("ALTER TABLE book_main.transfers DROP CONSTRAINT transfers_id",),
    READ_THEN_WRITE: (
        "ALTER TABLE book_main.transfers DROP CONSTRAINT transfers_pkey",
        "ALTER TABLE book_main.balances DROP CONSTRAINT covered",
    ),
    FORGETFUL_SERVER: ("ALTER ROLE guilder_app SET synchronous_commit = off",),
}
"""What has to go from a PostgreSQL database, which would else refuse what the fault does."""
_WINDOW_S = 0.02
"""Faults that are races are made wide enough to be met in every run, on any machine."""
FORGETFUL_SETTINGS = {"wal_writer_delay": "10s"}


class _FindsNothing:
    """Finds no transfer that is there. To be mixed into a ledger."""

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[LedgerBatch]:
        async with super().batch() as batch:  # type: ignore[misc]
            batch.find_transfers = _find_nothing
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


class _AnswersFirst:
    """Commits after the block has been left. To be mixed into a ledger."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._commits: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[LedgerBatch]:
        real = super().batch()  # type: ignore[misc]
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


class _PostgresNoUniqueId(_FindsNothing, PostgresLedger):
    pass


class _PostgresAnswerFirst(_AnswersFirst, PostgresLedger):
    pass


class _MongoNoUniqueId(_FindsNothing, MongoLedger):
    pass


class _MongoAnswerFirst(_AnswersFirst, MongoLedger):
    pass


_POSTGRESQL: dict[str, type[PostgresLedger]] = {
    NO_UNIQUE_ID: _PostgresNoUniqueId,
    READ_THEN_WRITE: ReadThenWrite,
    ANSWER_FIRST: _PostgresAnswerFirst,
}
_MONGODB: dict[str, type[MongoLedger]] = {
    NO_UNIQUE_ID: _MongoNoUniqueId,
    ANSWER_FIRST: _MongoAnswerFirst,
}


def ledger_with(fault: str | None, storage: Storage) -> LedgerStorage:
    """Return the book of a storage with a fault planted; as it is for one that lies elsewhere."""
    if isinstance(storage, PostgresStorage) and fault in _POSTGRESQL:
        return _POSTGRESQL[fault](storage.engine)
    if isinstance(storage, MongoStorage) and fault in _MONGODB:
        return _MONGODB[fault](storage.engine, Seat(storage.engine, "book_main_head"))
    return storage.ledger()
