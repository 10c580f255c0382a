"""A book on PostgreSQL: set-based statements, arrays and COPY; one transaction for a batch."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from itertools import chain, islice
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec

from guilder.kernel.errors import check
from guilder.storage.base import LedgerBatch, LedgerReads, TransferFilter
from guilder.storage.postgres.copy_rows import COLUMNS, copy_rows
from guilder.storage.postgres.ledger_sql import (
    Statements,
    account_of,
    counter_of,
    head_of,
    hold_of,
    leg_of,
    total_of,
    transfer_of,
    transfer_row,
)
from guilder.storage.postgres.stuck_copy import end_stuck_copies
from guilder.storage.records import Account, Counter, Head, Hold, Leg, Total, TotalBy, Transfer

Connection = asyncpg.pool.PoolConnectionProxy | asyncpg.Connection

COPY_FROM = 64
"""From so many transfers on COPY is cheaper than one INSERT over arrays."""


class Engine(Protocol):
    """What a book needs of the PostgreSQL engine."""

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection; turn the loss of it into `StorageUnavailable`."""


class PostgresReads:
    """Reads of a book, each on a connection that `lend` gives."""

    def __init__(self, engine: Engine, statements: Statements) -> None:
        self._engine = engine
        self._sql = statements

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._engine.acquire() as connection:
            return await connection.fetch(query, *arguments)

    async def head(self) -> Head:
        """Return where the book ends."""
        (row,) = await self._fetch(self._sql.head)
        return head_of(row)

    async def accounts(self, account_ids: Sequence[UUID]) -> dict[UUID, Account]:
        """Return those of the accounts that exist, from one consistent read."""
        return _by_id(account_of(row) for row in await self._fetch(self._sql.accounts, account_ids))

    async def accounts_after(self, account_id: UUID | None, limit: int) -> list[Account]:
        """Return accounts in the order of their ids."""
        rows = await self._fetch(self._sql.accounts_after, account_id, limit)
        return [account_of(row) for row in rows]

    async def accounts_of(self, owner: str) -> list[Account]:
        """Return an owner's accounts, from one consistent read."""
        return [account_of(row) for row in await self._fetch(self._sql.accounts_of, owner)]

    async def transfers(self, transfer_ids: Sequence[UUID]) -> dict[UUID, Transfer]:
        """Return those of the transfers that the journal has."""
        rows = await self._fetch(self._sql.find_transfers, transfer_ids)
        return _by_id(transfer_of(row) for row in rows)

    async def transfers_after(self, position: int, limit: int) -> list[Transfer]:
        """Return the journal from `position` + 1 on, in order."""
        rows = await self._fetch(self._sql.transfers_after, position, limit)
        return [transfer_of(row) for row in rows]

    async def account_transfers(
        self,
        account_ids: Sequence[UUID],
        wanted: TransferFilter,
        *,
        before_position: int | None = None,
        limit: int = 25,
    ) -> list[Transfer]:
        """Return the transfers that touch the accounts, newest first."""
        query, arguments = self._sql.account_transfers(
            account_ids, wanted, before_position=before_position, limit=limit
        )
        rows = await self._fetch(query, *arguments)
        return [transfer_of(row) for row in rows]

    async def holds(self, hold_ids: Sequence[UUID]) -> dict[UUID, Hold]:
        """Return those of the holds that exist, settled ones too."""
        return _by_id(hold_of(row) for row in await self._fetch(self._sql.holds, hold_ids))

    async def holds_expired(self, now: datetime, limit: int) -> list[Hold]:
        """Return open holds whose time is over, the oldest first."""
        return [hold_of(row) for row in await self._fetch(self._sql.holds_expired, now, limit)]

    async def counters(self, counter_ids: Sequence[UUID]) -> dict[UUID, Counter]:
        """Return those of the counters that have counted something."""
        rows = await self._fetch(self._sql.counters, counter_ids)
        return _by_id(counter_of(row) for row in rows)

    async def counters_after(self, counter_id: UUID | None, limit: int) -> list[Counter]:
        """Return counters in the order of their ids."""
        rows = await self._fetch(self._sql.counters_after, counter_id, limit)
        return [counter_of(row) for row in rows]

    async def totals(self, by: TotalBy = TotalBy.CODE) -> list[Total]:
        """Return the sums of balances by asset and code or owner, from one consistent read."""
        return [total_of(row) for row in await self._fetch(self._sql.totals[by])]

    async def legs_at(self, account_ids: Sequence[UUID], position: int) -> dict[UUID, Leg]:
        """Return what the last transfer up to a position left on each account that had one."""
        rows = await self._fetch(self._sql.legs_at, account_ids, position)
        return {row["id"]: leg_of(row) for row in rows}

    async def holds_after(self, hold_id: UUID | None, limit: int) -> list[Hold]:
        """Return holds in the order of their ids."""
        return [hold_of(row) for row in await self._fetch(self._sql.holds_after, hold_id, limit)]


class PostgresLedger(PostgresReads):
    """One book, in a schema of its own."""

    def __init__(self, engine: Engine, book: str = "main") -> None:
        check(book.isidentifier(), "a book's name is an identifier")
        super().__init__(engine, Statements(f"book_{book}"))

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[LedgerBatch]:
        """Take the head; commit on leaving, roll back on an exception."""
        async with self._engine.acquire() as connection, connection.transaction():
            try:
                (row,) = await connection.fetch(self._sql.take_head)
            except asyncpg.LockNotAvailableError:
                async with self._engine.acquire() as other:
                    await end_stuck_copies(other, self._sql.transfers)
                raise
            yield _PostgresBatch(connection, self._sql, head_of(row), row["now"])

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[LedgerReads]:
        """Read the book as it is at one moment, for as long as the block lasts."""
        async with (
            self._engine.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield PostgresReads(_OneConnection(connection), self._sql)

    async def open_accounts(self, accounts: Sequence[Account]) -> None:
        """Add those of the accounts that do not exist; leave the others as they are."""
        async with self._engine.acquire() as connection:
            await connection.executemany(
                self._sql.open_account,
                [
                    (a.id, a.asset, a.code, a.owner, a.created_at, a.no_overdraft)
                    for a in sorted(accounts, key=lambda account: account.id)
                ],
            )


class _OneConnection:
    """An engine that lends the one connection which it was given."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        yield self._connection


class _PostgresBatch:
    """The transaction of one batch. The lock on the head's row makes it the only one."""

    def __init__(
        self, connection: Connection, statements: Statements, head: Head, now: datetime
    ) -> None:
        self._connection = connection
        self._sql = statements
        self.head = head
        self.now = now

    async def find_transfers(self, transfer_ids: Sequence[UUID]) -> dict[UUID, Transfer]:
        rows = await self._connection.fetch(self._sql.find_transfers, transfer_ids)
        return _by_id(transfer_of(row) for row in rows)

    async def load_accounts(self, account_ids: Iterable[UUID]) -> dict[UUID, Account]:
        rows = await self._connection.fetch(self._sql.accounts, list(account_ids))
        return _by_id(account_of(row) for row in rows)

    async def load_holds(self, hold_ids: Sequence[UUID]) -> dict[UUID, Hold]:
        rows = await self._connection.fetch(self._sql.holds, hold_ids)
        return _by_id(hold_of(row) for row in rows)

    async def load_counters(self, counter_ids: Sequence[UUID]) -> dict[UUID, Counter]:
        rows = await self._connection.fetch(self._sql.counters, counter_ids)
        return _by_id(counter_of(row) for row in rows)

    async def append(self, transfers: Iterable[Transfer]) -> None:
        """Write new lines of the journal. They may be made while they are written."""
        lines = iter(transfers)
        first = list(islice(lines, COPY_FROM))
        if len(first) < COPY_FROM:
            if first:
                columns = _columns(map(transfer_row, first))
                await self._connection.execute(self._sql.insert_transfers, *columns)
            return
        schema, table = self._sql.transfers.split(".")
        await self._connection.copy_to_table(
            table,
            schema_name=schema,
            columns=COLUMNS,
            source=copy_rows(chain(first, lines)),
            format="binary",
        )

    async def advance(
        self,
        accounts: Iterable[Account],
        holds: Sequence[Hold],
        counters: Sequence[Counter],
        head: Head,
    ) -> None:
        """Write what the new lines changed: balances, holds, counters, and the head."""
        for statement, changed in (
            (self._sql.put_holds, holds),
            (self._sql.put_counters, counters),
        ):
            if changed:
                columns = _columns(map(msgspec.structs.astuple, changed))
                await self._connection.execute(statement, *columns)
        ids, *balances = _columns(
            (a.id, a.posted, a.pending_in, a.pending_out, a.sequence) for a in accounts
        )
        check({type(value) for column in balances for value in column} == {int}, "int64 only")
        done = await self._connection.execute(
            self._sql.advance,
            ids,
            *balances,
            head.position,
            head.hash,
            head.revision,
            self.now,
            self.head.revision,
        )
        check(done == "UPDATE 1", "the head is where the batch took it")

    async def set_flags(self, accounts: Sequence[Account], head: Head) -> None:
        """Write `is_frozen` and `is_closed` of accounts, and the head's new revision."""
        done = await self._connection.execute(
            self._sql.set_flags,
            *_columns((each.id, each.is_frozen, each.is_closed) for each in accounts),
            head.revision,
            self.head.revision,
        )
        check(done == "UPDATE 1", "the head is where the batch took it")


def _columns(records: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*records, strict=True)]


def _by_id(records: Iterable[Any]) -> dict[UUID, Any]:
    return {record.id: record for record in records}
