"""What COPY is given comes back as it was, field by field, as an INSERT would have put it."""

import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from guilder.kernel.errors import InvariantViolation
from guilder.storage.postgres.copy_rows import COLUMNS, copy_rows, encode_row
from guilder.storage.postgres.ledger_sql import TRANSFER_COLUMNS, Statements, transfer_of
from guilder.storage.records import Counted, Leg, Transfer, TransferKind
from tests.support.databases import Database

INT64_MAX = 2**63 - 1
NOON = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
PLAIN = Transfer(
    position=1,
    id=UUID(int=1),
    kind=TransferKind.POST,
    debit_account_id=UUID(int=2**127 + 5),
    credit_account_id=UUID(int=3),
    amount_minor=1,
    asset="USD",
    code="transfer",
    group_id=None,
    hold_id=None,
    expires_at=None,
    effective_at=NOON,
    created_at=NOON + timedelta(milliseconds=1),
    reference="",
    metadata={},
    fingerprint=bytes(range(32)),
    debit=Leg(1, -1, 2, 3),
    credit=Leg(4, 5, 6, 7),
    hash=bytes(range(32, 64)),
)
FULL = replace(
    PLAIN,
    position=2,
    id=UUID(int=2**128 - 1),
    kind=TransferKind.PARTIAL_CAPTURE,
    amount_minor=INT64_MAX,
    asset="POINTS",
    code="überweisung",
    group_id=UUID(int=11),
    hold_id=UUID(int=12),
    reverses_id=UUID(int=13),
    expires_at=NOON + timedelta(days=36_500),
    effective_at=datetime(1970, 1, 1, tzinfo=UTC),
    reference="Rechnung №17 🧾 \t\n\\.",
    metadata={"to": "wallet", "note": 'ä "quoted" \\ 🙂'},
    debit=Leg(INT64_MAX, -(2**63), INT64_MAX, 0),
    credit=Leg(1, INT64_MAX, 0, INT64_MAX),
    counted=(Counted(UUID(int=21), 1), Counted(UUID(int=22), INT64_MAX)),
)
OPTIONS = {
    "group_id": FULL.group_id,
    "hold_id": FULL.hold_id,
    "reverses_id": FULL.reverses_id,
    "expires_at": FULL.expires_at,
    "counted": FULL.counted,
}


@asynccontextmanager
async def _table(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Lend a connection with an empty table like the journal."""
    connection = await asyncpg.connect(database.url)
    try:
        await connection.execute("CREATE TEMP TABLE lines (LIKE book_main.transfers)")
        yield connection
    finally:
        await connection.close()


async def _copied(database: Database, transfers: Sequence[Transfer]) -> list[Transfer]:
    """Return what a table holds after COPY."""
    async with _table(database) as connection:
        done = await connection.copy_to_table(
            "lines", source=copy_rows(transfers), columns=COLUMNS, format="binary"
        )
        assert done == f"COPY {len(transfers)}"
        rows = await connection.fetch("SELECT * FROM lines ORDER BY position")
    return [transfer_of(row) for row in rows]


async def test_every_field_comes_back(database: Database) -> None:
    assert await _copied(database, [PLAIN, FULL]) == [PLAIN, FULL]


async def test_each_option_stands_in_its_own_column(database: Database) -> None:
    lines = [
        replace(PLAIN, position=number, **{name: value})
        for number, (name, value) in enumerate(OPTIONS.items(), 1)
    ]
    assert await _copied(database, lines) == lines


async def test_more_lines_than_one_message_takes(database: Database) -> None:
    lines = [replace(PLAIN, position=number, id=UUID(int=number)) for number in range(1, 1_500)]
    assert await _copied(database, lines) == lines


async def test_no_lines_are_no_rows(database: Database) -> None:
    assert await _copied(database, []) == []


def test_every_column_of_the_journal_is_copied_once() -> None:
    assert sorted(COLUMNS) == sorted(TRANSFER_COLUMNS)
    assert Statements("book_main").transfers == "book_main.transfers"


@pytest.mark.parametrize("beyond", [INT64_MAX + 1, -(2**63) - 1])
def test_a_number_beyond_int64_is_refused(beyond: int) -> None:
    with pytest.raises(struct.error):
        encode_row(replace(PLAIN, debit=Leg(1, beyond, 0, 0)))


@pytest.mark.parametrize("amount", [1.0, True])
def test_an_amount_that_is_no_integer_is_refused(amount: int) -> None:
    with pytest.raises(InvariantViolation):
        encode_row(replace(PLAIN, amount_minor=amount))


@pytest.mark.parametrize("name", ["fingerprint", "hash"])
@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_hash_of_another_length_is_neither_cut_nor_filled_up(name: str, length: int) -> None:
    with pytest.raises(InvariantViolation):
        encode_row(replace(PLAIN, **{name: bytes(length)}))


async def test_what_cannot_be_written_writes_nothing(database: Database) -> None:
    """A lone surrogate is no text: the lines before it must not stay."""
    async with _table(database) as connection:
        with pytest.raises(UnicodeEncodeError):
            await connection.copy_to_table(
                "lines",
                source=copy_rows([PLAIN, replace(FULL, reference="\ud800")]),
                columns=COLUMNS,
                format="binary",
            )
        assert await connection.fetchval("SELECT count(*) FROM lines") == 0
