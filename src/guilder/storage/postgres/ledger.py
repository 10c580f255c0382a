"""A book on PostgreSQL: set-based statements, arrays and COPY; one transaction for a whole batch."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from itertools import chain, islice
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec

from guilder.kernel.errors import check
from guilder.storage.base import LedgerBatch, LedgerReads, TransferFilter
from guilder.storage.records import Account, Head, Hold, Leg, Transfer, TransferKind

Connection = asyncpg.pool.PoolConnectionProxy | asyncpg.Connection
Row = Mapping[str, Any]

COPY_FROM = 64
"""From so many transfers on COPY is cheaper than one INSERT over arrays."""

_ACCOUNT_FIELDS = (
    "id, asset, code, owner, created_at, "
    "posted, pending_in, pending_out, sequence, no_overdraft, is_frozen, is_closed"
)
_HOLD_FIELDS = (
    "id, debit_account_id, credit_account_id, asset, amount_minor, remaining_minor, expires_at"
)
_TRANSFER_COLUMNS: dict[str, str] = {
    "position": "bigint",
    "id": "uuid",
    "kind": "smallint",
    "debit_account_id": "uuid",
    "credit_account_id": "uuid",
    "amount_minor": "bigint",
    "asset": "text",
    "code": "text",
    "group_id": "uuid",
    "hold_id": "uuid",
    "expires_at": "timestamptz",
    "effective_at": "timestamptz",
    "created_at": "timestamptz",
    "reference": "text",
    "metadata": "jsonb",
    "fingerprint": "bytea",
    "debit_sequence": "bigint",
    "debit_posted": "bigint",
    "debit_pending_in": "bigint",
    "debit_pending_out": "bigint",
    "credit_sequence": "bigint",
    "credit_posted": "bigint",
    "credit_pending_in": "bigint",
    "credit_pending_out": "bigint",
    "hash": "bytea",
}
_TRANSFER_FIELDS = ", ".join(_TRANSFER_COLUMNS)
_TRANSFER_ARRAYS = ", ".join(
    f"${number}::{kind}[]" for number, kind in enumerate(_TRANSFER_COLUMNS.values(), 1)
)

_encode_metadata = msgspec.json.Encoder(order="deterministic").encode
_NO_METADATA = "{}"


class Engine(Protocol):
    """What a book needs of the PostgreSQL engine."""

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection; turn the loss of it into `StorageUnavailable`."""


class _Statements:
    """The SQL of one book. The schema's name comes from `PostgresLedger`, never from a request."""

    def __init__(self, schema: str) -> None:
        self.transfers = f"{schema}.transfers"
        # Both times are read again after a wait for the lock; the later one wins, so that the
        # book's time never runs backwards when the clock of the machine does.
        self.take_head = (
            "SELECT position, hash, revision, greatest(changed_at, "
            f"date_trunc('milliseconds', clock_timestamp())) AS now FROM {schema}.head FOR UPDATE"
        )
        self.head = f"SELECT position, hash, revision FROM {schema}.head"
        self.find_transfers = (
            f"SELECT {_TRANSFER_FIELDS} FROM {self.transfers} WHERE id = ANY($1::uuid[])"
        )
        self.transfers_after = (
            f"SELECT {_TRANSFER_FIELDS} FROM {self.transfers} "
            "WHERE position > $1 ORDER BY position LIMIT $2"
        )
        accounts = f"{schema}.accounts JOIN {schema}.balances ON account_id = id"
        self.accounts = f"SELECT {_ACCOUNT_FIELDS} FROM {accounts} WHERE id = ANY($1::uuid[])"
        self.accounts_after = (
            f"SELECT {_ACCOUNT_FIELDS} FROM {accounts} "
            "WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2"
        )
        self.accounts_of = f"SELECT {_ACCOUNT_FIELDS} FROM {accounts} WHERE owner = $1"
        self.open_account = (
            f"WITH opened AS (INSERT INTO {schema}.accounts (id, asset, code, owner, created_at) "
            "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING) "
            f"INSERT INTO {schema}.balances "
            "VALUES ($1, 0, 0, 0, 0, $6, false, false) ON CONFLICT DO NOTHING"
        )
        self.holds = f"SELECT {_HOLD_FIELDS} FROM {schema}.holds WHERE id = ANY($1::uuid[])"
        self.holds_after = (
            f"SELECT {_HOLD_FIELDS} FROM {schema}.holds "
            "WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2"
        )
        self.insert_transfers = (
            f"INSERT INTO {self.transfers} ({_TRANSFER_FIELDS}) "
            f"SELECT * FROM unnest({_TRANSFER_ARRAYS})"
        )
        self.put_holds = (
            f"INSERT INTO {schema}.holds ({_HOLD_FIELDS}) "
            "SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], "
            "$6::bigint[], $7::timestamptz[]) "
            "ON CONFLICT (id) DO UPDATE SET remaining_minor = excluded.remaining_minor"
        )
        self.advance = (
            f"WITH changed AS (UPDATE {schema}.balances AS balance SET posted = new.posted, "
            "pending_in = new.pending_in, pending_out = new.pending_out, sequence = new.sequence "
            "FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) "
            "AS new (account_id, posted, pending_in, pending_out, sequence) "
            "WHERE balance.account_id = new.account_id) "
            f"UPDATE {schema}.head SET position = $6, hash = $7, revision = $8, "
            "changed_at = $9 WHERE revision = $10"
        )
        self.account_transfers = " UNION ALL ".join(
            f"(SELECT {_TRANSFER_FIELDS} FROM {self.transfers} "
            f"WHERE {side}_account_id = ANY($1::uuid[]) AND ($2::text IS NULL OR $2 = '{side}') "
            "AND ($3::smallint[] IS NULL OR kind = ANY($3)) AND ($4::text IS NULL OR code = $4) "
            "AND ($5::bigint IS NULL OR amount_minor >= $5) "
            "AND ($6::bigint IS NULL OR amount_minor < $6) "
            "AND ($7::timestamptz IS NULL OR created_at >= $7) "
            "AND ($8::timestamptz IS NULL OR created_at < $8) "
            "AND ($9::bigint IS NULL OR position < $9) ORDER BY position DESC LIMIT $10)"
            for side in ("debit", "credit")
        )


class PostgresReads:
    """Reads of a book, each on a connection that `lend` gives."""

    def __init__(self, engine: Engine, statements: _Statements) -> None:
        self._engine = engine
        self._sql = statements

    async def _fetch(self, query: str, *arguments: object) -> list[Row]:
        async with self._engine.acquire() as connection:
            rows: list[Row] = await connection.fetch(query, *arguments)
            return rows

    async def head(self) -> Head:
        """Return where the book ends."""
        (row,) = await self._fetch(self._sql.head)
        return _head(row)

    async def accounts(self, account_ids: Sequence[UUID]) -> dict[UUID, Account]:
        """Return those of the accounts that exist, from one consistent read."""
        return _by_id(_account(row) for row in await self._fetch(self._sql.accounts, account_ids))

    async def accounts_after(self, account_id: UUID | None, limit: int) -> list[Account]:
        """Return accounts in the order of their ids."""
        rows = await self._fetch(self._sql.accounts_after, account_id, limit)
        return [_account(row) for row in rows]

    async def accounts_of(self, owner: str) -> list[Account]:
        """Return an owner's accounts, from one consistent read."""
        return [_account(row) for row in await self._fetch(self._sql.accounts_of, owner)]

    async def transfers(self, transfer_ids: Sequence[UUID]) -> dict[UUID, Transfer]:
        """Return those of the transfers that the journal has."""
        rows = await self._fetch(self._sql.find_transfers, transfer_ids)
        return _by_id(_transfer(row) for row in rows)

    async def transfers_after(self, position: int, limit: int) -> list[Transfer]:
        """Return the journal from `position` + 1 on, in order."""
        rows = await self._fetch(self._sql.transfers_after, position, limit)
        return [_transfer(row) for row in rows]

    async def account_transfers(
        self,
        account_ids: Sequence[UUID],
        wanted: TransferFilter,
        *,
        before_position: int | None = None,
        limit: int = 25,
    ) -> list[Transfer]:
        """Return the transfers that touch the accounts, newest first."""
        rows = await self._fetch(
            f"SELECT DISTINCT ON (position) * FROM ({self._sql.account_transfers}) AS touching "
            "ORDER BY position DESC LIMIT $10",
            account_ids,
            wanted.side,
            wanted.kinds,
            wanted.code,
            wanted.amount_at_least,
            wanted.amount_below,
            wanted.created_at_least,
            wanted.created_below,
            before_position,
            limit,
        )
        return [_transfer(row) for row in rows]

    async def holds_after(self, hold_id: UUID | None, limit: int) -> list[Hold]:
        """Return holds in the order of their ids."""
        return [_hold(row) for row in await self._fetch(self._sql.holds_after, hold_id, limit)]


class PostgresLedger(PostgresReads):
    """One book, in a schema of its own."""

    def __init__(self, engine: Engine, book: str = "main") -> None:
        check(book.isidentifier(), "a book's name is an identifier")
        super().__init__(engine, _Statements(f"book_{book}"))

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[LedgerBatch]:
        """Take the head; commit on leaving, roll back on an exception."""
        async with self._engine.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(self._sql.take_head)
            check(row is not None, "a book has a head")
            yield _PostgresBatch(connection, self._sql, _head(row), row["now"])

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
        self, connection: Connection, statements: _Statements, head: Head, now: datetime
    ) -> None:
        self._connection = connection
        self._sql = statements
        self.head = head
        self.now = now

    async def find_transfers(self, transfer_ids: Sequence[UUID]) -> dict[UUID, Transfer]:
        rows = await self._connection.fetch(self._sql.find_transfers, transfer_ids)
        return _by_id(_transfer(row) for row in rows)

    async def load_accounts(self, account_ids: Iterable[UUID]) -> dict[UUID, Account]:
        rows = await self._connection.fetch(self._sql.accounts, list(account_ids))
        return _by_id(_account(row) for row in rows)

    async def load_holds(self, hold_ids: Sequence[UUID]) -> dict[UUID, Hold]:
        rows = await self._connection.fetch(self._sql.holds, hold_ids)
        return _by_id(_hold(row) for row in rows)

    async def append(self, transfers: Iterable[Transfer]) -> None:
        """Write new lines of the journal. They may be made while they are written."""
        records = map(_record, transfers)
        first = list(islice(records, COPY_FROM))
        if len(first) < COPY_FROM:
            if first:
                await self._connection.execute(self._sql.insert_transfers, *_columns(first))
            return
        schema, table = self._sql.transfers.split(".")
        await self._connection.copy_records_to_table(
            table,
            schema_name=schema,
            columns=list(_TRANSFER_COLUMNS),
            records=chain(first, records),
        )

    async def advance(
        self, accounts: Iterable[Account], holds: Sequence[Hold], head: Head
    ) -> None:
        """Write what the new lines changed: balances, holds, and the head."""
        if holds:
            await self._connection.execute(
                self._sql.put_holds, *_columns(map(msgspec.structs.astuple, holds))
            )
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


def _columns(records: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*records, strict=True)]


def _by_id(records: Iterable[Any]) -> dict[UUID, Any]:
    return {record.id: record for record in records}


def _record(transfer: Transfer) -> tuple[object, ...]:
    check(type(transfer.amount_minor) is int, "amounts are integers")
    debit, credit, metadata = transfer.debit, transfer.credit, transfer.metadata
    return (
        transfer.position,
        transfer.id,
        transfer.kind,
        transfer.debit_account_id,
        transfer.credit_account_id,
        transfer.amount_minor,
        transfer.asset,
        transfer.code,
        transfer.group_id,
        transfer.hold_id,
        transfer.expires_at,
        transfer.effective_at,
        transfer.created_at,
        transfer.reference,
        _encode_metadata(metadata).decode() if metadata else _NO_METADATA,
        transfer.fingerprint,
        debit.sequence,
        debit.posted,
        debit.pending_in,
        debit.pending_out,
        credit.sequence,
        credit.posted,
        credit.pending_in,
        credit.pending_out,
        transfer.hash,
    )


def _head(row: Row) -> Head:
    return Head(row["position"], row["hash"], row["revision"])


def _account(row: Row) -> Account:
    return Account(**row)


def _hold(row: Row) -> Hold:
    return Hold(**row)


def _transfer(row: Row) -> Transfer:
    return Transfer(
        position=row["position"],
        id=row["id"],
        kind=TransferKind(row["kind"]),
        debit_account_id=row["debit_account_id"],
        credit_account_id=row["credit_account_id"],
        amount_minor=row["amount_minor"],
        asset=row["asset"],
        code=row["code"],
        group_id=row["group_id"],
        hold_id=row["hold_id"],
        expires_at=row["expires_at"],
        effective_at=row["effective_at"],
        created_at=row["created_at"],
        reference=row["reference"],
        metadata=msgspec.json.decode(row["metadata"]),
        fingerprint=row["fingerprint"],
        debit=Leg(
            row["debit_sequence"],
            row["debit_posted"],
            row["debit_pending_in"],
            row["debit_pending_out"],
        ),
        credit=Leg(
            row["credit_sequence"],
            row["credit_posted"],
            row["credit_pending_in"],
            row["credit_pending_out"],
        ),
        hash=row["hash"],
    )
