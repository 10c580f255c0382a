"""A book on MongoDB: a collection for each kind of record, one transaction for a batch.

A batch's transaction may hold thousands of documents. The vendor advises a thousand; measured, one
of 8,192 transfers is no slower for each than eight of 1,024, and it stays whole.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from bson.int64 import Int64
from pymongo.errors import BulkWriteError, OperationFailure

from guilder.kernel.errors import check
from guilder.storage.base import LedgerBatch, LedgerReads
from guilder.storage.errors import StorageUnavailable
from guilder.storage.mongo.engine import (
    Body,
    Database,
    Engine,
    Session,
    commit,
    to_the_end,
    write,
)
from guilder.storage.mongo.lease import Lease, Seat
from guilder.storage.mongo.ledger_reads import MongoReads
from guilder.storage.mongo.ledger_shapes import (
    account_body,
    account_of,
    balances_body,
    counter_body,
    counter_of,
    head_body,
    hold_body,
    hold_of,
    long,
    transfer_body,
    transfer_of,
)
from guilder.storage.mongo.translate import DUPLICATE_KEY, translate_errors
from guilder.storage.records import Account, Counter, Head, Hold, Transfer

R = TypeVar("R")

AT_ONCE = 2_048
"""Documents in one command: while the server writes these, we make the next. Measured: with fewer
the overhead of a command shows."""
_TURNS_TO_SEND = 4
"""Turns of the event loop until a command is on its way."""


class MongoLedger(MongoReads):
    """One book, in collections whose names begin with it.

    Args:
        engine: The database.
        seat: Where the batches of this process take turns.
    """

    def __init__(self, engine: Engine, seat: Seat, book: str = "main") -> None:
        check(book.isidentifier(), "a book's name is an identifier")
        super().__init__(engine, f"book_{book}")
        self._seat = seat

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[LedgerBatch]:
        """Take the head; commit on leaving, roll back on an exception.

        Raises:
            StorageUnavailable: The connection was lost, or the head was taken
                from us. Raised from leaving the block, the outcome is unknown.
        """
        with translate_errors():
            async with self._engine.session() as session, self._seat.take(session) as lease:
                batch = _MongoBatch(self._engine.database, self._prefix, session, lease)
                try:
                    await session.start_transaction()
                    yield batch
                    await to_the_end(commit(session))
                except BaseException:
                    await to_the_end(self._undo(session, lease.fence))
                    raise
                if not batch.has_moved_head:
                    await to_the_end(self._seat.give_back(lease.fence))

    async def _undo(self, session: Session, fence: int) -> None:
        """Roll back and free the head, as far as the database can be reached."""
        if session.in_transaction:
            await session.abort_transaction()
        await self._seat.give_back(fence)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[LedgerReads]:
        """Read the book as it is at one moment, for as long as the block lasts.

        MongoDB keeps a moment for `minSnapshotHistoryWindowInSeconds`, five minutes by default.
        """
        with translate_errors():
            async with self._engine.client.start_session(snapshot=True) as session:
                yield MongoReads(self._engine, self._prefix, session)

    async def open_accounts(self, accounts: Sequence[Account]) -> None:
        """Add those of the accounts that do not exist; leave the others as they are."""
        known = await self.accounts([account.id for account in accounts])
        missing = {a.id: account_body(a) for a in accounts if a.id not in known}
        if not missing:
            return
        with translate_errors():
            try:
                collection = self._engine.database[f"{self._prefix}_accounts"]
                await to_the_end(collection.insert_many(list(missing.values()), ordered=False))
            except BulkWriteError as error:
                told = error.details["writeErrors"]
                if error.details["writeConcernErrors"] or {e["code"] for e in told} != {
                    DUPLICATE_KEY
                }:
                    raise


class _MongoBatch:
    """The transaction of one batch. It alone holds the head."""

    def __init__(self, database: Database, prefix: str, session: Session, lease: Lease) -> None:
        self._database = database
        self._prefix = prefix
        self._session = session
        self._fence = lease.fence
        self.head = lease.head
        self.now = lease.now
        self.has_moved_head = False

    async def _find(self, kind: str, field: str, ids: Iterable[UUID]) -> list[Body]:
        wanted = list(ids)
        with translate_errors():
            cursor = self._database[f"{self._prefix}_{kind}"].find(
                {field: {"$in": wanted}}, session=self._session, batch_size=len(wanted) + 1
            )
            return await to_the_end(cursor.to_list())

    async def find_transfers(self, transfer_ids: Sequence[UUID]) -> dict[UUID, Transfer]:
        found = map(transfer_of, await self._find("transfers", "id", transfer_ids))
        return {transfer.id: transfer for transfer in found}

    async def load_accounts(self, account_ids: Iterable[UUID]) -> dict[UUID, Account]:
        found = map(account_of, await self._find("accounts", "_id", account_ids))
        return {account.id: account for account in found}

    async def load_holds(self, hold_ids: Sequence[UUID]) -> dict[UUID, Hold]:
        found = map(hold_of, await self._find("holds", "_id", hold_ids))
        return {hold.id: hold for hold in found}

    async def load_counters(self, counter_ids: Sequence[UUID]) -> dict[UUID, Counter]:
        found = map(counter_of, await self._find("counters", "_id", counter_ids))
        return {counter.id: counter for counter in found}

    async def append(self, transfers: Iterable[Transfer]) -> None:
        """Write new lines of the journal. They may be made while they are written."""

        async def insert(part: list[Body]) -> None:
            command = {"insert": f"{self._prefix}_transfers", "documents": part}
            check((await self._write(command))["n"] == len(part), "every line was written")

        await _in_turn(map(transfer_body, transfers), insert)

    async def advance(
        self,
        accounts: Iterable[Account],
        holds: Sequence[Hold],
        counters: Sequence[Counter],
        head: Head,
    ) -> None:
        """Write what the new lines changed: balances, holds, counters, and the head.

        Raises:
            StorageUnavailable: The head is no longer ours: another writer took it.
        """

        async def update(part: list[Body]) -> None:
            command = {"update": f"{self._prefix}_accounts", "updates": part}
            check((await self._write(command))["n"] == len(part), "every account was there")

        await _in_turn(
            ({"q": {"_id": a.id}, "u": {"$set": balances_body(a)}} for a in accounts), update
        )
        await self._put("holds", [hold_body(hold) for hold in holds])
        await self._put("counters", [counter_body(counter) for counter in counters])
        await self._move_head({**head_body(head), "changed_at": self.now})

    async def set_flags(self, accounts: Sequence[Account], head: Head) -> None:
        """Write `is_frozen` and `is_closed` of accounts, and the head's new revision.

        Raises:
            StorageUnavailable: The head is no longer ours: another writer took it.
        """
        updates = [
            {
                "q": {"_id": each.id},
                "u": {"$set": {"is_frozen": each.is_frozen, "is_closed": each.is_closed}},
            }
            for each in accounts
        ]
        await self._write({"update": f"{self._prefix}_accounts", "updates": updates})
        await self._move_head({"revision": long(head.revision)})

    async def _move_head(self, fields: Body) -> None:
        """Change the head from what it was when taken, and give it back; or do not go on."""
        taken = {
            "_id": "head",
            "fence": Int64(self._fence),
            "revision": Int64(self.head.revision),
        }
        done = await self._write(
            {
                "update": f"{self._prefix}_head",
                "updates": [{"q": taken, "u": {"$set": {**fields, "lease": None}}}],
            }
        )
        if done["nModified"] != 1:
            raise StorageUnavailable("Another writer has taken the book.", retry_after_s=1)
        self.has_moved_head = True

    async def _put(self, kind: str, bodies: list[Body]) -> None:
        if not bodies:
            return
        updates = [{"q": {"_id": body["_id"]}, "u": body, "upsert": True} for body in bodies]
        done = await self._write({"update": f"{self._prefix}_{kind}", "updates": updates})
        check(done["n"] == len(bodies), f"all {kind} were written")

    async def _write(self, command: Body) -> Body:
        with translate_errors():
            try:
                return await to_the_end(write(self._database, command, self._session))
            except OperationFailure as error:
                if error.code == DUPLICATE_KEY:
                    # Looked up and not found, so it came from another writer in the meantime.
                    raise StorageUnavailable(retry_after_s=1) from error
                raise


async def _in_turn(
    items: Iterator[R], send: Callable[[list[R]], Coroutine[Any, Any, None]]
) -> None:
    """Send the items in parts, one after the other; make the next part while one is under way."""
    under_way: asyncio.Task[None] | None = None
    try:
        while part := list(islice(items, AT_ONCE)):
            if under_way is not None:
                await under_way
            under_way = asyncio.create_task(send(part))
            if len(part) < AT_ONCE:
                break
            # It runs up to where it waits for the server; only then is the next part made.
            for _ in range(_TURNS_TO_SEND):
                await asyncio.sleep(0)
        if under_way is not None:
            await under_way
    except BaseException:
        if under_way is not None:
            await asyncio.gather(under_way, return_exceptions=True)
        raise
