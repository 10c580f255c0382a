"""The SQL of a book, and how its rows become records."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from guilder.kernel.errors import check
from guilder.storage.base import TransferFilter
from guilder.storage.records import (
    Account,
    Counted,
    Counter,
    Head,
    Hold,
    Leg,
    Total,
    TotalBy,
    Transfer,
    TransferKind,
)

Row = asyncpg.Record

_ACCOUNT_FIELDS = (
    "id, asset, code, owner, created_at, "
    "posted, pending_in, pending_out, sequence, no_overdraft, is_frozen, is_closed"
)
_POSITION_MAX = 2**63 - 1
_SIDES = ("debit", "credit")
_HOLD_FIELDS = (
    "id, debit_account_id, credit_account_id, asset, amount_minor, remaining_minor, expires_at"
)
TRANSFER_COLUMNS: dict[str, str] = {
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
    "reverses_id": "uuid",
    "counted": "jsonb",
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
_TRANSFER_FIELDS = ", ".join(TRANSFER_COLUMNS)
_TRANSFER_ARRAYS = ", ".join(
    f"${number}::{kind}[]" for number, kind in enumerate(TRANSFER_COLUMNS.values(), 1)
)


_NO_METADATA = "{}"
_decode_counted = msgspec.json.Decoder(tuple[Counted, ...]).decode
_encode_counted = msgspec.json.Encoder().encode
_encode_metadata = msgspec.json.Encoder(order="deterministic").encode


class ReadStatements:  # sql: ours, the name of the schema
    """The SQL that reads one book. Its schema's name comes from `PostgresLedger` alone."""

    def __init__(self, schema: str) -> None:
        self.transfers = f"{schema}.transfers"
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
        self.holds = f"SELECT {_HOLD_FIELDS} FROM {schema}.holds WHERE id = ANY($1::uuid[])"
        self.holds_after = (
            f"SELECT {_HOLD_FIELDS} FROM {schema}.holds "
            "WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2"
        )
        self.holds_expired = (
            f"SELECT {_HOLD_FIELDS} FROM {schema}.holds "
            "WHERE remaining_minor > 0 AND expires_at <= $1 ORDER BY expires_at, id LIMIT $2"
        )
        self.counters = f"SELECT id, used FROM {schema}.counters WHERE id = ANY($1::uuid[])"
        self.counters_after = (
            f"SELECT id, used FROM {schema}.counters "
            "WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2"
        )
        self.totals = {
            by: (
                f"SELECT asset, {by.value} AS name, count(*) AS accounts, sum(posted) AS posted, "
                f"sum(pending_in) AS pending_in, sum(pending_out) AS pending_out FROM {accounts} "
                f"WHERE sequence > 0 GROUP BY asset, {by.value} "
                f'ORDER BY asset COLLATE "C", {by.value} COLLATE "C"'
            )
            for by in TotalBy
        }
        # A row and a range, for the same reason as in `account_transfers`.
        newest = " UNION ALL ".join(
            f"(SELECT position, {side}_sequence AS sequence, {side}_posted AS posted, "
            f"{side}_pending_in AS pending_in, {side}_pending_out AS pending_out "
            f"FROM {self.transfers} WHERE ({side}_account_id, position) <= (wanted.id, $2) "
            f"AND {side}_account_id >= wanted.id "
            f"ORDER BY {side}_account_id DESC, position DESC LIMIT 1)"
            for side in _SIDES
        )
        self.legs_at = (
            "SELECT wanted.id, leg.* FROM unnest($1::uuid[]) AS wanted (id) CROSS JOIN LATERAL "
            f"(SELECT * FROM ({newest}) AS either ORDER BY position DESC LIMIT 1) AS leg"
        )

    def account_transfers(
        self,
        account_ids: Sequence[UUID],
        wanted: TransferFilter,
        *,
        before_position: int | None,
        limit: int,
    ) -> tuple[str, list[object]]:
        """Return the query for a page of accounts' history, and its arguments.

        Account by account and side by side, each part reads (account, position) backwards and
        stops: a merchant with millions of transfers has his first page as fast as anybody. The
        bounds are a row and a range, not an equality, because that order is then the only one that
        PostgreSQL can read in; told `= account`, it may walk the whole journal by position.
        """
        arguments: list[object] = [
            list(account_ids),
            _POSITION_MAX if before_position is None else before_position,
        ]
        conditions = ""
        for condition, value in (
            ("kind = ANY(${}::smallint[])", wanted.kinds),
            ("code = ${}", wanted.code),
            ("amount_minor >= ${}", wanted.amount_at_least),
            ("amount_minor < ${}", wanted.amount_below),
            ("created_at >= ${}", wanted.created_at_least),
            ("created_at < ${}", wanted.created_below),
        ):
            if value is not None:
                arguments.append(value)
                conditions += f" AND {condition.format(len(arguments))}"
        parts = " UNION ALL ".join(
            "SELECT one.* FROM unnest($1::uuid[]) AS wanted (account_id) CROSS JOIN LATERAL "
            f"(SELECT {_TRANSFER_FIELDS} FROM {self.transfers} "
            f"WHERE ({side}_account_id, position) < (wanted.account_id, $2) "
            f"AND {side}_account_id >= wanted.account_id{conditions} "
            f"ORDER BY {side}_account_id DESC, position DESC LIMIT {int(limit)}) AS one"
            for side in ([wanted.side] if wanted.side in _SIDES else _SIDES)
        )
        query = f"SELECT DISTINCT ON (position) * FROM ({parts}) AS every"
        return f"{query} ORDER BY position DESC LIMIT {int(limit)}", arguments


class Statements(ReadStatements):  # sql: ours, the name of the schema
    """The SQL of one book: the statements of a batch beside those that read."""

    def __init__(self, schema: str) -> None:
        super().__init__(schema)
        # Both times are read again after a wait for the lock; the later one wins, so that the
        # book's time never runs backwards when the clock of the machine does.
        # Who has the head and stops in the middle, paused or cut off, holds up everybody else: he
        # loses it before two seconds have passed, not after the ten that other transactions have,
        # and before those who wait for it are told to come back (`lock_timeout`).
        self.take_head = (
            "SELECT position, hash, revision, greatest(changed_at, "
            "date_trunc('milliseconds', clock_timestamp())) AS now, "
            "set_config('idle_in_transaction_session_timeout', '1800ms', true) "
            f"FROM {schema}.head FOR UPDATE"
        )
        self.open_account = (
            f"WITH opened AS (INSERT INTO {schema}.accounts (id, asset, code, owner, created_at) "
            "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING) "
            f"INSERT INTO {schema}.balances "
            "VALUES ($1, 0, 0, 0, 0, $6, false, false) ON CONFLICT DO NOTHING"
        )
        self.put_counters = (
            f"INSERT INTO {schema}.counters (id, used) SELECT * FROM unnest($1::uuid[], "
            "$2::bigint[]) ON CONFLICT (id) DO UPDATE SET used = excluded.used"
        )
        self.set_flags = (
            f"WITH changed AS (UPDATE {schema}.balances AS balance SET is_frozen = new.is_frozen, "
            "is_closed = new.is_closed FROM unnest($1::uuid[], $2::boolean[], $3::boolean[]) "
            "AS new (account_id, is_frozen, is_closed) "
            "WHERE balance.account_id = new.account_id) "
            f"UPDATE {schema}.head SET revision = $4 WHERE revision = $5"
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


def transfer_row(transfer: Transfer) -> tuple[object, ...]:
    """Return a transfer as a row of `TRANSFER_COLUMNS`."""
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
        transfer.reverses_id,
        _encode_counted(transfer.counted).decode() if transfer.counted else None,
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


def head_of(row: Row) -> Head:
    """Return the head that a row holds."""
    return Head(row["position"], row["hash"], row["revision"])


def account_of(row: Row) -> Account:
    """Return the account that a row holds."""
    return Account(**row)


def counter_of(row: Row) -> Counter:
    """Return the counter that a row holds."""
    return Counter(row["id"], row["used"])


def total_of(row: Row) -> Total:
    """Return the sums that a row holds. PostgreSQL adds int64 up to exact decimals."""
    return Total(
        asset=row["asset"],
        name=row["name"],
        accounts=row["accounts"],
        posted=int(row["posted"]),
        pending_in=int(row["pending_in"]),
        pending_out=int(row["pending_out"]),
    )


def leg_of(row: Row) -> Leg:
    """Return the leg that a row holds."""
    return Leg(row["sequence"], row["posted"], row["pending_in"], row["pending_out"])


def hold_of(row: Row) -> Hold:
    """Return the hold that a row holds."""
    return Hold(**row)


def transfer_of(row: Row) -> Transfer:
    """Return the transfer that a row holds."""
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
        reverses_id=row["reverses_id"],
        counted=_decode_counted(row["counted"]) if row["counted"] else (),
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
